-- $1 is a string of 16-byte keys.
SELECT t.team_key AS key, t.id, -1 AS position
  FROM generate_series(1, length($1::bytea), 16) k(i)
  JOIN registrations t ON t.team_key = substring($1::bytea FROM k.i FOR 16)
