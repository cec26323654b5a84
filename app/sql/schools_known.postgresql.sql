-- $1 is a string of 16-byte keys.
SELECT t.school_key AS key, t.taken AS id, 0 AS position
  FROM generate_series(1, length($1::bytea), 16) k(i)
  JOIN event_school_seats t ON t.school_key = substring($1::bytea FROM k.i FOR 16)
