SELECT position, at, gate FROM attendance WHERE registration_id = $1 ORDER BY position
