-- The longest waiting of an event: ids between $1 and $2.
SELECT id AS number FROM registrations WHERE status = 2 AND id > $1 AND id < $2 ORDER BY id LIMIT $3
