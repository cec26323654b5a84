-- Registrations are numbered from 1 without a gap, and rows stay when they die.
SELECT e.slug AS subject, s.next_seq - 1 AS expected, coalesce(r.n, 0) AS found
  FROM event_seats s JOIN events e ON e.id = s.event_id
  LEFT JOIN (SELECT id / 4294967296 AS event, count(*) AS n, max(id % 4294967296) AS last
               FROM registrations GROUP BY id / 4294967296) r ON r.event = s.event_id
 WHERE s.next_seq - 1 <> coalesce(r.n, 0) OR s.next_seq - 1 <> coalesce(r.last, 0)
