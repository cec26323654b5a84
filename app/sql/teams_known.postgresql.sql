-- $1 is a string of 16-byte keys.
SELECT t.team_key AS key, t.id, -1 AS position
  FROM registrations t
 WHERE t.team_key = ANY (ARRAY (SELECT substring($1::bytea FROM i FOR 16)
                                  FROM generate_series(1, length($1::bytea), 16) i))
