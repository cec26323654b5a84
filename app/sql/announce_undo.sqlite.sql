DELETE FROM jobs
 WHERE lane = 'bulk' AND state = 0 AND claim = 0 AND due_at > $3 AND subject > $1 AND subject < $2
