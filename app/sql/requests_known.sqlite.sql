-- $1 is a string of 16-byte keys.
WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 16 FROM k WHERE i + 16 < length($1))
SELECT t.request_key AS key, t.id, t.status, t.request_fp, t.submit_id, t.ticket_rev, t.manage_rev,
       t.created_at,
       CASE WHEN t.status = 2
            THEN (SELECT count(*) FROM registrations w
                   WHERE w.status = 2 AND w.id > (t.id >> 32) << 32 AND w.id <= t.id)
            ELSE 0 END AS position
  FROM k CROSS JOIN registrations t ON t.request_key = substr($1, k.i, 16)
