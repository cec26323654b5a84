-- The lanes that rest now, and why.
SELECT lane, paused_until, reason FROM job_lanes WHERE paused_until > $1 ORDER BY lane DESC
