-- The parameters are the fields of the record event.
UPDATE events
   SET slug = $2, title = $3, summary = $4, description = $5, category = $6, venue = $7,
       starts_at = $8, ends_at = $9, tz = $10, utc_offset_min = $11, kind = $12, team_min = $13,
       team_max = $14, dedupe = $15, grade_min = $16, grade_max = $17, edit_until = $18,
       cancel_until = $19, status = $20, version = $21, created_at = $22, updated_at = $23,
       questions = $24
 WHERE id = $1
