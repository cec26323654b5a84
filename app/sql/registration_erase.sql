-- The row stays, for the counts; its private link is dead.
UPDATE registrations
   SET school = NULL, school_key = NULL, phone = NULL, grade = NULL, team_name = NULL, answers = NULL, team_key = NULL,
       manage_rev = manage_rev + 1, updated_at = $2, erased_at = $2
 WHERE id = $1
