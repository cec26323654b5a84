-- A team has become smaller: whoever takes a position of those who left has not come in.
DELETE FROM attendance WHERE registration_id = $1 AND position >= $2
