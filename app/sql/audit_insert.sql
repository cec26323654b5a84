INSERT INTO audit (at, actor, action, event_id, registration_id, detail)
VALUES ($1, $2, $3, $4, $5, $6)
