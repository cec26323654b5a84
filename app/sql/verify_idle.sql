-- A free place beside a waiting student while the waitlist moves by itself: until promote_until,
-- whatever frees a place fills it. $1 is now.
SELECT e.slug AS subject, s.capacity - s.taken AS expected, s.waiting AS found
  FROM event_seats s JOIN events e ON e.id = s.event_id
 WHERE s.waiting > 0 AND s.capacity > s.taken AND s.gate <> 2 AND $1 < s.promote_until
