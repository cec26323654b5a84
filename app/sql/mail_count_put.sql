UPDATE mail_counts
   SET hour_at = $2, hour_count = $3, day_at = $4, day_count = $5
 WHERE address_key = $1
