UPDATE sessions SET seen_at = $2 WHERE token_key = $1
