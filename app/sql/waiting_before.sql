-- How many wait in this event up to and including this one. $1 = event << 32.
SELECT count(*) AS number FROM registrations WHERE status = 2 AND id > $1 AND id <= $2
