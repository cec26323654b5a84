-- $1 is a string of 16-byte keys.
WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 16 FROM k WHERE i + 16 < length($1))
SELECT t.team_key AS key, t.id, -1 AS position
  FROM k CROSS JOIN registrations t ON t.team_key = substr($1, k.i, 16)
