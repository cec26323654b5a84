-- When an event begins to limit schools: counts the live registrations with ids between $2 and $3.
INSERT INTO event_school_seats (school_key, event_id, taken)
SELECT school_key, $1, count(*)
  FROM registrations
 WHERE id > $2 AND id < $3 AND status <> 3 AND school_key IS NOT NULL
 GROUP BY school_key
