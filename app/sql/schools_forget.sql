DELETE FROM event_school_seats WHERE event_id = $1
