UPDATE users
   SET name = $2, role = $3, events = $4, password = $5, is_active = $6, updated_at = $7
 WHERE id = $1
