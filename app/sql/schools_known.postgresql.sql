-- $1 is a string of 16-byte keys.
SELECT t.school_key AS key, t.taken AS id, 0 AS position
  FROM event_school_seats t
 WHERE t.school_key = ANY (ARRAY (SELECT substring($1::bytea FROM i FOR 16)
                                    FROM generate_series(1, length($1::bytea), 16) i))
