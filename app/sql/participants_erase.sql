UPDATE participants SET name = '', email = NULL, dedupe_key = NULL
 WHERE registration_id = $1 AND ($2 = -1 OR position = $2)
