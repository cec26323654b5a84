-- The mails to everybody about an event that have not begun: subjects between $1 and $2, due after $3.
SELECT count(*) AS mails, min(due_at) AS begins_at
  FROM jobs
 WHERE lane = 'bulk' AND state = 0 AND claim = 0 AND due_at > $3 AND subject > $1 AND subject < $2
