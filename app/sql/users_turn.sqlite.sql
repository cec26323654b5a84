-- One writer at a time: nothing to wait for.
SELECT 1 AS number
