SELECT (SELECT count(*) FROM events) AS events,
       (SELECT count(*) FROM registrations) AS registrations,
       (SELECT count(*) FROM participants) AS participants,
       count(*) AS mails,
       count(CASE WHEN state IN (0, 1) THEN 1 END) AS mails_waiting,
       count(CASE WHEN state = 3 THEN 1 END) AS mails_dead,
       count(CASE WHEN state = 4 THEN 1 END) AS mails_held,
       min(CASE WHEN state = 0 AND due_at <= $1 THEN due_at END) AS oldest_due
  FROM jobs
 WHERE lane IN ('mail', 'bulk')
