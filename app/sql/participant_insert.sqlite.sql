INSERT INTO participants (registration_id, position, name, email, dedupe_key)
VALUES ($1, $2, $3, $4, $5)
