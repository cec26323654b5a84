SELECT hour_at, hour_count, day_at, day_count FROM mail_counts WHERE address_key = $1
