UPDATE participants SET dedupe_key = NULL WHERE registration_id = $1
