-- The unique index forbids it; this looks at the rows without it.
SELECT CAST(min(registration_id) AS TEXT) AS subject, 1 AS expected, count(*) AS found
  FROM participants
 WHERE dedupe_key IS NOT NULL
 GROUP BY dedupe_key
HAVING count(*) > 1
 LIMIT 1000
