SELECT id, status, school_key, ticket_rev, manage_rev, resent_at FROM registrations WHERE id = $1
