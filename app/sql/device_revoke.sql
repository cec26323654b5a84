UPDATE devices SET revoked_at = $2, pair_key = NULL WHERE id = $1 AND revoked_at IS NULL
