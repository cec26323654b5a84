-- Mails by lane and state.
SELECT lane, state, count(*) AS mails, min(due_at) AS oldest_due
  FROM jobs
 WHERE lane IN ('mail', 'bulk')
 GROUP BY lane, state
 ORDER BY lane, state
