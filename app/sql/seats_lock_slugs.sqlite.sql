-- One writer at a time: nothing to lock.
SELECT 1 AS number WHERE $1 IS NULL
