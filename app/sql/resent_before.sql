-- What sending again with the mark $2 stored.
SELECT 1 AS number
  FROM audit
 WHERE registration_id = $1 AND action = 'resend' AND detail LIKE $2
