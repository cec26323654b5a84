-- $1 < id < $2, status $3 or any (0), text $4 in one of its people, school or team or any (''), at
-- most $5.
SELECT r.id, r.status, r.ticket_rev, r.manage_rev, r.team_name, r.school, r.phone, r.grade,
       r.guardian_ok, r.source, r.created_at, r.updated_at, r.promoted_at, r.cancelled_at,
       r.cancel_reason, r.resent_at, r.erased_at, p.name AS lead_name, p.email AS lead_email
  FROM registrations r JOIN participants p ON p.registration_id = r.id AND p.position = 0
 WHERE r.id > $1 AND r.id < $2 AND ($3 = 0 OR r.status = $3)
   AND ($4 = '' OR lower(r.school) LIKE lower($4) ESCAPE '\'
        OR lower(r.team_name) LIKE lower($4) ESCAPE '\'
        OR EXISTS (SELECT 1 FROM participants m
                    WHERE m.registration_id = r.id
                      AND (lower(m.name) LIKE lower($4) ESCAPE '\'
                           OR lower(m.email) LIKE lower($4) ESCAPE '\')))
 ORDER BY r.id
 LIMIT $5
