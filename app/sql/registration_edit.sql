UPDATE registrations
   SET school = $2, school_key = $3, phone = $4, grade = $5, team_name = $6, team_key = $7,
       manage_rev = $8, updated_at = $9, answers = $10
 WHERE id = $1
