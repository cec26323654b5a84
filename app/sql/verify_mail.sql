-- Each registration was told its outcome once, in its own transaction.
SELECT e.slug || ' ' || CAST(r.id % 4294967296 AS TEXT) AS subject, 1 AS expected,
       coalesce(j.n, 0) AS found
  FROM registrations r
  JOIN events e ON e.id = r.id / 4294967296
  LEFT JOIN (SELECT subject, count(*) AS n FROM jobs WHERE kind IN ('ticket', 'waitlisted')
              GROUP BY subject) j ON j.subject = r.id
 WHERE coalesce(j.n, 0) <> 1
 LIMIT 1000
