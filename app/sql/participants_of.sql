SELECT position, name, email FROM participants WHERE registration_id = $1 ORDER BY position
