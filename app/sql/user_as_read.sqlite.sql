-- User $1 if the hash is still $2 and nobody has switched them off. One writer at a time: nothing to
-- lock.
SELECT id AS number FROM users WHERE id = $1 AND password = $2 AND is_active = 1
