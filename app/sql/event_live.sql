-- The live registrations of an event, a page at a time: ids between $1 and $2.
SELECT id AS number FROM registrations WHERE id > $1 AND id < $2 AND status <> 3 ORDER BY id LIMIT $3
