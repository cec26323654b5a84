-- The mails that need a person: dead or held, newest first.
SELECT id, kind, state, coalesce(subject, 0) AS subject, failures, crashes, note, created_at
  FROM jobs
 WHERE lane IN ('mail', 'bulk') AND state IN (3, 4)
 ORDER BY id DESC
 LIMIT 1000
