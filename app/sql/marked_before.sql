-- What the change with the mark $2 stored, looked for among the last thousand entries.
SELECT detail
  FROM audit
 WHERE id > (SELECT coalesce(max(id), 0) - 1000 FROM audit)
   AND event_id = $1 AND detail LIKE $2
