-- Whether the change of registration $1 with the mark $2 is stored.
SELECT 1 AS number FROM audit WHERE registration_id = $1 AND detail LIKE $2
