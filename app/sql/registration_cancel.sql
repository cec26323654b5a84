UPDATE registrations
   SET status = 3, team_key = NULL, school_key = NULL, cancelled_at = $2, updated_at = $2,
       cancel_reason = $3
 WHERE id = $1
