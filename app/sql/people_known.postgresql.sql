-- $1 is a string of 16-byte keys.
SELECT t.dedupe_key AS key, t.registration_id AS id, t.position
  FROM generate_series(1, length($1::bytea), 16) k(i)
  JOIN participants t ON t.dedupe_key = substring($1::bytea FROM k.i FOR 16)
