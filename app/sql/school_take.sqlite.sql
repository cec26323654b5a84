INSERT INTO event_school_seats (school_key, event_id, taken) VALUES ($1, $2, $3)
    ON CONFLICT (school_key) DO UPDATE SET taken = event_school_seats.taken + excluded.taken
