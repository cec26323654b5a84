SELECT e.slug AS subject, s.taken AS expected, coalesce(r.n, 0) AS found
  FROM event_seats s JOIN events e ON e.id = s.event_id
  LEFT JOIN (SELECT id / 4294967296 AS event, count(*) AS n FROM registrations WHERE status = 1
              GROUP BY id / 4294967296) r ON r.event = s.event_id
 WHERE s.taken <> coalesce(r.n, 0)
