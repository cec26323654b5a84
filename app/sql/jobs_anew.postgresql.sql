-- What was composed about a registration and has not gone out is composed anew when it is sent; with
-- $2 = 1 what has gone out is forgotten, too. One that is being sent loses its claim, so its worker
-- stops before the final dot. In ascending id, like everybody who locks several jobs.
UPDATE jobs
   SET payload = CAST('' AS BYTEA), claim = claim + 1, state = CASE state WHEN 1 THEN 0 ELSE state END,
       owner = NULL, lease_until = NULL
 WHERE id = ANY (ARRAY (SELECT id FROM jobs
                         WHERE subject = $1 AND claim > 0 AND (state <> 2 OR $2 = 1)
                         ORDER BY id FOR UPDATE))
