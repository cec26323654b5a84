-- Every place, live or not, where an address may stand that begins with $1, all before the '@' and the
-- '@' itself. This reads the whole table: it is asked rarely, and an index would cost each registration.
SELECT registration_id, position, email
  FROM participants
 WHERE lower(substr(email, 1, length(CAST($1 AS TEXT)))) = lower(CAST($1 AS TEXT))
 ORDER BY 1, 2
