-- Mails hold the address and the text that was sent. One that is being sent loses its claim, so its
-- worker cannot store anything any more. In ascending id, like everybody who locks several jobs.
UPDATE jobs
   SET payload = $3, note = 'erased', claim = claim + 1, ended_at = coalesce(ended_at, $2),
       state = 2, owner = NULL, lease_until = NULL
 WHERE id = ANY (ARRAY (SELECT id FROM jobs WHERE subject = $1 ORDER BY id FOR UPDATE))
