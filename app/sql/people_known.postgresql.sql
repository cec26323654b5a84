-- $1 is a string of 16-byte keys.
SELECT t.dedupe_key AS key, t.registration_id AS id, t.position,
       (SELECT r.resent_at FROM registrations r WHERE r.id = t.registration_id) AS resent_at
  FROM participants t
 WHERE t.dedupe_key = ANY (ARRAY (SELECT substring($1::bytea FROM i FOR 16)
                                    FROM generate_series(1, length($1::bytea), 16) i))
