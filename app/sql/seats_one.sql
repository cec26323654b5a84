-- Without locking: for a plan in a read-only view.
SELECT event_id, capacity, waitlist_capacity, taken, waiting, next_seq, opens_at, closes_at, gate,
       school_limit, promote_until
  FROM event_seats
 WHERE event_id = $1
