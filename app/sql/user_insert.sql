INSERT INTO users (email, email_key, name, role, events, password, is_active, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)
