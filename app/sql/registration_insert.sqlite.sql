INSERT INTO registrations (id, status, request_key, request_fp, submit_id, source, guardian_ok,
                           created_at, updated_at, grade, school, school_key, phone, team_name,
                           team_key, answers)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11, $12, $13, $14, $15)
