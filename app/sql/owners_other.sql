-- Owners who could still do everything if user $1 could not.
SELECT count(*) AS number
  FROM users
 WHERE role = 'owner' AND is_active = 1 AND events IS NULL AND id <> $1
