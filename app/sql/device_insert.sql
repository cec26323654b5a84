-- The same code a second time is the same device: the first answer was lost.
INSERT INTO devices (name, events, pair_key, pair_until, expires_at, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (pair_key) DO NOTHING
