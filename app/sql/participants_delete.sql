DELETE FROM participants WHERE registration_id = $1
