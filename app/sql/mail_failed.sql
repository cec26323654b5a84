-- The mails that need a person: dead or held, newest first; but none that took the private link to
-- somebody to whom it was sent again since, as after a correction of the address.
SELECT id, kind, state, coalesce(subject, 0) AS subject, failures, crashes, note, created_at
  FROM jobs
 WHERE lane IN ('mail', 'bulk') AND state IN (3, 4)
   AND NOT (kind IN ('ticket', 'waitlisted', 'promoted', 'resend')
            AND EXISTS (SELECT 1 FROM jobs later
                         WHERE later.subject = jobs.subject AND later.id > jobs.id
                           AND later.kind = 'resend'))
 ORDER BY id DESC
 LIMIT 1000
