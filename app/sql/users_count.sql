SELECT count(*) AS number FROM users
