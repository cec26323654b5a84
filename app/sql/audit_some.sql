-- Of registration $1 or all (0), below id $2 or from the newest (0), at most $3.
SELECT id, at, actor, action, event_id, registration_id, detail
  FROM audit
 WHERE ($1 = 0 OR registration_id = $1) AND ($2 = 0 OR id < $2)
 ORDER BY id DESC
 LIMIT $3
