INSERT INTO mail_counts (address_key, hour_at, hour_count, day_at, day_count)
VALUES ($1, 0, 0, 0, 0)
    ON CONFLICT (address_key) DO NOTHING
