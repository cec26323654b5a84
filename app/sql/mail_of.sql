-- The newest job about a registration, for "sent at 10:02" on the student's page.
SELECT state, ended_at, note FROM jobs WHERE subject = $1 ORDER BY id DESC LIMIT 1
