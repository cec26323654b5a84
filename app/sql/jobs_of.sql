SELECT id, kind, state, created_at, ended_at, note FROM jobs WHERE subject = $1 ORDER BY id DESC LIMIT 200
