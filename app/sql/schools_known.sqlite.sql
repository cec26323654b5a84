-- $1 is a string of 16-byte keys.
WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 16 FROM k WHERE i + 16 < length($1))
SELECT t.school_key AS key, t.taken AS id, 0 AS position
  FROM k CROSS JOIN event_school_seats t ON t.school_key = substr($1, k.i, 16)
