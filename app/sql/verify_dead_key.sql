SELECT CAST(r.id AS TEXT) AS subject, 0 AS expected, count(*) AS found
  FROM registrations r JOIN participants p ON p.registration_id = r.id
 WHERE r.status = 3
   AND (p.dedupe_key IS NOT NULL OR r.team_key IS NOT NULL OR r.school_key IS NOT NULL)
 GROUP BY r.id
 LIMIT 1000
