-- What was composed about a registration and has not gone out is composed anew when it is sent; with
-- $2 = 1 what has gone out is forgotten, too. One that is being sent loses its claim, so its worker
-- stops before the final dot.
UPDATE jobs
   SET payload = x'', claim = claim + 1, state = CASE state WHEN 1 THEN 0 ELSE state END,
       owner = NULL, lease_until = NULL
 WHERE subject = $1 AND claim > 0 AND (state <> 2 OR $2 = 1)
