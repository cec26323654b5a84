-- Keys of the registrations of an event with ids above $1 and below $2, for refusals from memory.
SELECT r.id, r.request_key AS request, p.dedupe_key AS person
  FROM registrations r LEFT JOIN participants p ON p.registration_id = r.id
 WHERE r.id > $1 AND r.id < $2
 ORDER BY r.id
