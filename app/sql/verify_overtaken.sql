-- A newcomer who was confirmed at once while an older one waited, and still does.
SELECT e.slug AS subject, w.first % 4294967296 AS expected, min(r.id) % 4294967296 AS found
  FROM (SELECT id / 4294967296 AS event, min(id) AS first FROM registrations WHERE status = 2
         GROUP BY id / 4294967296) w
  JOIN events e ON e.id = w.event
  JOIN registrations r ON r.id > w.first AND r.id < (w.event + 1) * 4294967296
                      AND r.status = 1 AND r.promoted_at IS NULL
 GROUP BY e.slug, w.first
