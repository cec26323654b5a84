UPDATE registrations SET resent_at = $2, manage_rev = $3, ticket_rev = ticket_rev + $4 WHERE id = $1
