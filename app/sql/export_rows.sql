-- A row per participant, leads first: $1 < id < $2, status $3 or any (0).
SELECT r.id, e.slug AS event, r.id % 4294967296 AS seq,
       CASE r.status WHEN 1 THEN 'confirmed' WHEN 2 THEN 'waitlisted' ELSE 'cancelled' END AS status,
       p.name, coalesce(p.email, '') AS email, r.school, r.grade, r.phone, r.team_name AS team,
       r.answers, CASE WHEN r.guardian_ok = 1 THEN 'given' ELSE '' END AS consent,
       r.created_at, r.promoted_at, r.cancelled_at
  FROM registrations r
  JOIN participants p ON p.registration_id = r.id
  JOIN events e ON e.id = r.id / 4294967296
 WHERE r.id > $1 AND r.id < $2 AND ($3 = 0 OR r.status = $3)
 ORDER BY r.id, p.position
