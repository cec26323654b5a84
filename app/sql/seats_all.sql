-- Once per second and worker: all hot rows, and whether a text changed.
SELECT s.event_id, s.capacity, s.waitlist_capacity, s.taken, s.waiting, s.next_seq, s.opens_at,
       s.closes_at, s.gate, s.school_limit, s.promote_until, e.version
  FROM event_seats s JOIN events e ON e.id = s.event_id
 ORDER BY s.event_id
