-- The same token a second time is the same session: the first answer was lost.
INSERT INTO sessions (token_key, user_id, device_id, created_at, seen_at, expires_at)
VALUES ($1, $2, $3, $4, $4, $5)
ON CONFLICT (token_key) DO NOTHING
