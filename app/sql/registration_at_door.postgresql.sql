-- Whose ticket it is; while it is corrected or cancelled this waits, for then somebody else may stand
-- in the position that is scanned.
SELECT id, status, school_key, ticket_rev, manage_rev, resent_at, erased_at, updated_at
  FROM registrations
 WHERE id = $1
   FOR SHARE
