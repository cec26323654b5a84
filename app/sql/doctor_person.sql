-- Somebody whose key follows from the secret and this row alone: does the secret fit the data?
SELECT e.id AS id, e.dedupe AS dedupe, p.name AS name, p.email AS email, p.dedupe_key AS dedupe_key
  FROM participants p JOIN events e ON e.id = p.registration_id >> 32
 WHERE p.position = 0 AND p.dedupe_key IS NOT NULL AND p.email NOT LIKE '%+%'
 ORDER BY p.registration_id DESC
 LIMIT 1
