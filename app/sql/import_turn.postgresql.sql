-- Imports take turns; the number is theirs alone.
SELECT 1 AS number FROM pg_advisory_xact_lock(717001)
