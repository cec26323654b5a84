-- User $1 if the hash is still $2 and nobody has switched them off. The lock keeps a change waiting
-- until the session is stored, for the change to end it; a change under way is waited for.
SELECT id AS number FROM users WHERE id = $1 AND password = $2 AND is_active = 1 FOR SHARE
