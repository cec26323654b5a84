SELECT e.slug AS subject, s.waiting AS expected, coalesce(r.n, 0) AS found
  FROM event_seats s JOIN events e ON e.id = s.event_id
  LEFT JOIN (SELECT id / 4294967296 AS event, count(*) AS n FROM registrations WHERE status = 2
              GROUP BY id / 4294967296) r ON r.event = s.event_id
 WHERE s.waiting <> coalesce(r.n, 0)
