-- The hot rows of a batch, in ascending order. One writer at a time: nothing to lock.
SELECT event_id, capacity, waitlist_capacity, taken, waiting, next_seq, opens_at, closes_at, gate,
       school_limit, promote_until
  FROM event_seats
 WHERE event_id IN (SELECT value FROM json_each($1))
 ORDER BY event_id
