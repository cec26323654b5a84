-- First scan wins: the primary key decides. Nobody without a place gets a row.
INSERT INTO attendance (registration_id, position, at, gate)
SELECT p.registration_id, p.position, CAST($3 AS BIGINT), CAST($4 AS TEXT)
  FROM participants p JOIN registrations r ON r.id = p.registration_id
 WHERE p.registration_id = $1 AND r.status = 1 AND ($2 = -1 OR p.position = $2)
    ON CONFLICT (registration_id, position) DO NOTHING
