DELETE FROM attendance WHERE registration_id = $1 AND ($2 = -1 OR position = $2)
