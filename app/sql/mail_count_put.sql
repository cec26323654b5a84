INSERT INTO mail_counts (address_key, hour_at, hour_count, day_at, day_count)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (address_key) DO UPDATE
   SET hour_at = excluded.hour_at, hour_count = excluded.hour_count, day_at = excluded.day_at,
       day_count = excluded.day_count
