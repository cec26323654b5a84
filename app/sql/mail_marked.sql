-- Whether an attempt at this job was counted already.
SELECT mark FROM jobs WHERE id = $1
