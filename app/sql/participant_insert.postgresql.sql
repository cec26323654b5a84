INSERT INTO participants (registration_id, position, name, email, dedupe_key)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bytea[])
