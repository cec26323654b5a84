-- Every place where an address stands, live or not.
SELECT registration_id, position FROM participants WHERE lower(email) = lower($1) ORDER BY 1, 2
