SELECT id, slug, title, summary, description, category, venue, starts_at, ends_at, tz,
       utc_offset_min, kind, team_min, team_max, dedupe, grade_min, grade_max, edit_until,
       cancel_until, status, version, created_at, updated_at, questions
  FROM events
 ORDER BY starts_at, slug
