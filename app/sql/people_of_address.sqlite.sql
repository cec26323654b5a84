-- Leads whose key begins with the eight bytes of one address in one event: for each event its first
-- possible key stands in $1 and its last one in $2, 16 bytes each.
WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 16 FROM k WHERE i + 16 < length($1))
SELECT t.registration_id AS number
  FROM k
 CROSS JOIN participants t
    ON t.dedupe_key >= substr($1, k.i, 16) AND t.dedupe_key <= substr($2, k.i, 16)
 WHERE t.position = 0
 LIMIT $3
