SELECT id, email, name, role, events, is_active, password, created_at
  FROM users
 WHERE email_key = $1
