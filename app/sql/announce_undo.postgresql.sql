-- In ascending id, like everybody who locks several jobs.
DELETE FROM jobs
 WHERE id = ANY (ARRAY(SELECT id FROM jobs
                        WHERE lane = 'bulk' AND state = 0 AND claim = 0 AND due_at > $3 AND subject > $1
                              AND subject < $2
                        ORDER BY id FOR UPDATE))
