-- Leads whose key begins with the eight bytes of one address in one event: for each event its first
-- possible key stands in $1 and its last one in $2, 16 bytes each. The limit inside keeps the look-up
-- by key one per event; without it the server reads all leads and compares each with every range.
SELECT t.registration_id AS number
  FROM generate_series(1, length($1::bytea), 16) i
 CROSS JOIN LATERAL (SELECT registration_id
                       FROM participants
                      WHERE dedupe_key >= substring($1::bytea FROM i FOR 16)
                        AND dedupe_key <= substring($2::bytea FROM i FOR 16)
                        AND position = 0
                      ORDER BY dedupe_key
                      LIMIT $3) t
 LIMIT $3
