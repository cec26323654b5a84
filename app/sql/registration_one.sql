SELECT id, status, ticket_rev, manage_rev, team_name, school, phone, grade, guardian_ok, source,
       created_at, updated_at, promoted_at, cancelled_at, cancel_reason, resent_at, erased_at,
       answers
  FROM registrations
 WHERE id = $1
