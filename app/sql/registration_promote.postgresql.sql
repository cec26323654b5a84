UPDATE registrations r
   SET status = 1, promoted_at = n.at, updated_at = n.at
  FROM unnest($1::bigint[], $2::bigint[]) AS n (id, at)
 WHERE r.id = ANY ($1::bigint[]) AND r.id = n.id AND r.status = 2
