SELECT count(*) AS number
  FROM events e JOIN registrations r
    ON r.id > e.id * 4294967296 AND r.id < (e.id + 1) * 4294967296
 WHERE e.ends_at < $1 AND r.erased_at IS NULL
