SELECT at, position, result, gate, note FROM scans WHERE registration_id = $1 ORDER BY id DESC LIMIT 200
