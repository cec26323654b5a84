UPDATE registrations SET status = 1, promoted_at = $2, updated_at = $2 WHERE id = $1 AND status = 2
