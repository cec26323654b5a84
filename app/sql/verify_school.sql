SELECT e.slug AS subject, k.taken AS expected, coalesce(r.n, 0) AS found
  FROM event_school_seats k
  JOIN events e ON e.id = k.event_id
  JOIN event_seats s ON s.event_id = k.event_id AND s.school_limit IS NOT NULL
  LEFT JOIN (SELECT school_key, count(*) AS n FROM registrations
              WHERE status <> 3 AND school_key IS NOT NULL GROUP BY school_key) r
         ON r.school_key = k.school_key
 WHERE k.taken <> coalesce(r.n, 0)
