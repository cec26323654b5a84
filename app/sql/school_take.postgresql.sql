INSERT INTO event_school_seats (school_key, event_id, taken)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[])
    ON CONFLICT (school_key) DO UPDATE SET taken = event_school_seats.taken + excluded.taken
