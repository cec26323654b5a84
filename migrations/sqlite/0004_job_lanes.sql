-- When a lane of the job queue rests (src/jobs/lanes.c). A lane without a row never did.

CREATE TABLE job_lanes (
    lane         TEXT PRIMARY KEY,
    paused_until INTEGER NOT NULL DEFAULT 0, -- ms since 1970; nothing is claimed before
    reason       TEXT,                       -- why, for people
    -- Claims of all lanes of a worker are counted in the row of its first one.
    paced_until  INTEGER NOT NULL DEFAULT 0, -- when what was claimed is paid for, at so many a minute
    day_at       INTEGER NOT NULL DEFAULT 0, -- the first claim of the day that is counted
    day_count    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
