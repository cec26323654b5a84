-- Mails by lane and state; of those that are tried again, one reason.
SELECT lane, state, count(*) AS mails, min(due_at) AS oldest_due,
       max(CASE WHEN state = 0 AND failures > 0 THEN note END) AS note
  FROM jobs
 WHERE lane IN ('mail', 'bulk')
 GROUP BY lane, state
 ORDER BY lane, state
