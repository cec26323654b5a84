-- At most once since $3.
UPDATE registrations
   SET resent_at = $2
 WHERE id = $1 AND status <> 3 AND (resent_at IS NULL OR resent_at <= $3)
