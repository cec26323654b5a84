SELECT CAST(j.subject AS TEXT) AS subject, j.subject / 4294967296 AS expected,
       j.subject % 4294967296 AS found
  FROM jobs j
 WHERE j.lane IN ('mail', 'bulk') AND j.subject IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM registrations r WHERE r.id = j.subject)
 LIMIT 1000
