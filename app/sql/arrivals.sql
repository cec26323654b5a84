-- Registrations by event and minute since $1: each has put one mail, and mails are in the order of
-- their arrival. Looks at no more than the newest 20,000, so a long rush costs no more than a short.
SELECT subject / 4294967296 AS event, created_at / 60000 AS minute, count(*) AS n
  FROM jobs
 WHERE id > (SELECT coalesce(max(id), 0) - 20000 FROM jobs)
   AND created_at >= $1 AND kind IN ('ticket', 'waitlisted')
 GROUP BY 1, 2
