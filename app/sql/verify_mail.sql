-- Each registration was told its outcome once, in its own transaction. The job is deleted 30 days
-- after it ended (USH_JOBS_KEEP_MS), which may be as early as that after the registration.
SELECT e.slug || ' ' || CAST(r.id % 4294967296 AS TEXT) AS subject, 1 AS expected,
       coalesce(j.n, 0) AS found
  FROM registrations r
  JOIN events e ON e.id = r.id / 4294967296
  LEFT JOIN (SELECT subject, count(*) AS n FROM jobs WHERE kind IN ('ticket', 'waitlisted')
              GROUP BY subject) j ON j.subject = r.id
 WHERE coalesce(j.n, 0) > 1 OR (j.n IS NULL AND r.created_at > $1 - 2592000000)
 LIMIT 1000
