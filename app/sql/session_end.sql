-- One, and all whose time is over.
DELETE FROM sessions WHERE token_key = $1 OR expires_at <= $2
