INSERT INTO event_seats (event_id, capacity, waitlist_capacity, taken, waiting, next_seq, opens_at,
                         closes_at, gate, school_limit, promote_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
