-- Mails hold the address and the text that was sent. One that is being sent loses its claim, so its
-- worker cannot store anything any more.
UPDATE jobs
   SET payload = $3, note = 'erased', claim = claim + 1, ended_at = coalesce(ended_at, $2),
       state = 2, owner = NULL, lease_until = NULL
 WHERE subject = $1
