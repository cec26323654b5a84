SELECT e.slug || ' ' || CAST(r.id % 4294967296 AS TEXT) AS subject, 1 AS expected, 0 AS found
  FROM registrations r JOIN events e ON e.id = r.id / 4294967296
 WHERE NOT EXISTS (SELECT 1 FROM participants p WHERE p.registration_id = r.id AND p.position = 0)
 LIMIT 1000
