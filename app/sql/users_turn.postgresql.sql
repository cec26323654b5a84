-- Changes of users take turns; the number is theirs alone. Whoever counts owners behind it counts those
-- that others have stored.
SELECT 1 AS number FROM pg_advisory_xact_lock(717002)
