SELECT d.id, d.name, d.events, d.pair_until, d.paired_at, d.expires_at, d.revoked_at, d.created_at,
       max(s.seen_at) AS seen_at
  FROM devices d LEFT JOIN sessions s ON s.device_id = d.id
 GROUP BY d.id
 ORDER BY d.id DESC
 LIMIT 500
