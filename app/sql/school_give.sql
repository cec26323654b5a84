UPDATE event_school_seats SET taken = taken - 1 WHERE school_key = $1
