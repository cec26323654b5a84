-- The hot rows of a batch, locked in ascending order, so batches never wait in a circle. The lock is a
-- record in the log too: so a batch that only finds what is stored already waits for the standby as
-- any other (test_what_the_standby_lacks_is_not_confirmed).
SELECT event_id, capacity, waitlist_capacity, taken, waiting, next_seq, opens_at, closes_at, gate,
       school_limit, promote_until
  FROM event_seats
 WHERE event_id = ANY (ARRAY (SELECT value::bigint FROM json_array_elements_text($1::json)))
 ORDER BY event_id
   FOR UPDATE
