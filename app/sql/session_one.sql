-- Whose the session $1 is at the moment $2; a user's was used since $3.
SELECT s.user_id, s.device_id, coalesce(u.email, d.name) AS name, coalesce(u.role, 'device') AS role,
       coalesce(u.events, d.events) AS events, s.seen_at, s.expires_at
  FROM sessions s
  LEFT JOIN users u ON u.id = s.user_id
  LEFT JOIN devices d ON d.id = s.device_id
 WHERE s.token_key = $1 AND s.expires_at > $2
   AND ((u.is_active = 1 AND s.seen_at > $3) OR (d.revoked_at IS NULL AND d.expires_at > $2))
