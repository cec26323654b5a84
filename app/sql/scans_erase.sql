UPDATE scans SET note = NULL WHERE registration_id = $1
