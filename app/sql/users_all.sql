SELECT id, email, name, role, events, is_active, created_at FROM users ORDER BY email_key
