UPDATE registrations SET resent_at = $2 WHERE id = $1
