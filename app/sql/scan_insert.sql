INSERT INTO scans (scan_key, at, registration_id, position, result, entered, gate, note)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
