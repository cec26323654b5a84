UPDATE registrations SET resent_at = $2, manage_rev = $3 WHERE id = $1
