-- Whose ticket it is. One writer at a time: nothing to lock.
SELECT id, status, school_key, ticket_rev, manage_rev, resent_at, erased_at, updated_at
  FROM registrations
 WHERE id = $1
