-- $1 is a string of 16-byte keys. One array and no join: whatever the planner believes about the
-- table, it looks each key up in the index.
SELECT t.request_key AS key, t.id, t.status, t.request_fp, t.submit_id, t.ticket_rev, t.manage_rev,
       t.created_at,
       CASE WHEN t.status = 2
            THEN (SELECT count(*) FROM registrations w
                   WHERE w.status = 2 AND w.id > (t.id >> 32) << 32 AND w.id <= t.id)
            ELSE 0 END AS position
  FROM registrations t
 WHERE t.request_key = ANY (ARRAY (SELECT substring($1::bytea FROM i FOR 16)
                                     FROM generate_series(1, length($1::bytea), 16) i))
