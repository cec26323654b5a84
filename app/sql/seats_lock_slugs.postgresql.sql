-- The gates of the events in a file, in ascending order.
SELECT event_id AS number
  FROM event_seats
 WHERE event_id = ANY (ARRAY (SELECT id FROM events
                               WHERE slug = ANY (ARRAY (SELECT json_array_elements_text($1::json)))))
 ORDER BY event_id
   FOR UPDATE
