-- $1 is a string of 16-byte keys.
WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 16 FROM k WHERE i + 16 < length($1))
SELECT t.dedupe_key AS key, t.registration_id AS id, t.position,
       (SELECT r.resent_at FROM registrations r WHERE r.id = t.registration_id) AS resent_at
  FROM k CROSS JOIN participants t ON t.dedupe_key = substr($1, k.i, 16)
