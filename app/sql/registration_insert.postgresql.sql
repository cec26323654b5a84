INSERT INTO registrations (id, status, request_key, request_fp, submit_id, source, guardian_ok,
                           created_at, updated_at, grade, school, school_key, phone, team_name,
                           team_key, answers)
SELECT n.id, n.status, n.request_key, n.request_fp, n.submit_id, n.source, n.guardian_ok,
       n.created_at, n.created_at, n.grade, n.school, n.school_key, n.phone, n.team_name, n.team_key,
       n.answers
  FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[],
              $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::bytea[], $12::text[],
              $13::text[], $14::bytea[], $15::text[])
       AS n (id, status, request_key, request_fp, submit_id, source, guardian_ok, created_at, grade,
             school, school_key, phone, team_name, team_key, answers)
