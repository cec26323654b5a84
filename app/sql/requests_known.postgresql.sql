-- $1 is a string of 16-byte keys.
SELECT t.request_key AS key, t.id, t.status, t.request_fp, t.submit_id, t.ticket_rev, t.manage_rev, t.created_at
  FROM generate_series(1, length($1::bytea), 16) k(i)
  JOIN registrations t ON t.request_key = substring($1::bytea FROM k.i FOR 16)
