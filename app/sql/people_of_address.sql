-- Leads whose key begins with the eight bytes of one address in one event: keys from $1 to $2.
SELECT registration_id AS number
  FROM participants
 WHERE dedupe_key >= $1 AND dedupe_key <= $2 AND position = 0
