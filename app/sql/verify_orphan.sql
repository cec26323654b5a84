SELECT CAST(p.registration_id AS TEXT) AS subject, p.registration_id / 4294967296 AS expected,
       p.registration_id % 4294967296 AS found
  FROM participants p
 WHERE NOT EXISTS (SELECT 1 FROM registrations r WHERE r.id = p.registration_id)
 LIMIT 1000
