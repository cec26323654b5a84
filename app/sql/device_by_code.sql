SELECT id, name, events, pair_until, paired_at, expires_at, revoked_at, created_at
  FROM devices
 WHERE pair_key = $1 AND pair_until > $2 AND expires_at > $2 AND revoked_at IS NULL
