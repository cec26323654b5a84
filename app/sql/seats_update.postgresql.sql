-- The parameters are the fields of the record seats.
UPDATE event_seats s
   SET capacity = n.capacity, waitlist_capacity = n.waitlist_capacity, taken = n.taken,
       waiting = n.waiting, next_seq = n.next_seq, opens_at = n.opens_at, closes_at = n.closes_at,
       gate = n.gate, school_limit = n.school_limit, promote_until = n.promote_until
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
              $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
       AS n (event_id, capacity, waitlist_capacity, taken, waiting, next_seq, opens_at, closes_at,
             gate, school_limit, promote_until)
 WHERE s.event_id = ANY ($1::bigint[]) AND s.event_id = n.event_id
