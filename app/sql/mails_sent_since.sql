SELECT count(*) AS number
  FROM jobs
 WHERE id > (SELECT coalesce(max(id), 0) - 20000 FROM jobs) AND state = 2 AND ended_at >= $1
