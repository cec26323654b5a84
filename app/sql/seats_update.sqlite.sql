-- The parameters are the fields of the record seats.
UPDATE event_seats
   SET capacity = $2, waitlist_capacity = $3, taken = $4, waiting = $5, next_seq = $6,
       opens_at = $7, closes_at = $8, gate = $9, school_limit = $10, promote_until = $11
 WHERE event_id = $1
