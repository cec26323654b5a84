-- The parameters are the fields of the record event; the id is given here.
INSERT INTO events (id, slug, title, summary, description, category, venue, starts_at, ends_at, tz,
                    utc_offset_min, kind, team_min, team_max, dedupe, grade_min, grade_max,
                    edit_until, cancel_until, status, version, created_at, updated_at,
                    questions)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
        $21, $22, $23, $24)
