SELECT CAST(r.id AS TEXT) AS subject, r.id / 4294967296 AS expected, r.id % 4294967296 AS found
  FROM registrations r
 WHERE NOT EXISTS (SELECT 1 FROM event_seats s WHERE s.event_id = r.id / 4294967296)
 LIMIT 1000
