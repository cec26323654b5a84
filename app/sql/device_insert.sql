INSERT INTO devices (name, events, pair_key, pair_until, expires_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
