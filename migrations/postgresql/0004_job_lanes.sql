-- When a lane of the job queue rests: see sqlite/0004_job_lanes.sql for the columns.

CREATE TABLE job_lanes (
    lane         TEXT PRIMARY KEY,
    paused_until BIGINT NOT NULL DEFAULT 0,
    reason       TEXT,
    paced_until  BIGINT NOT NULL DEFAULT 0,
    day_at       BIGINT NOT NULL DEFAULT 0,
    day_count    BIGINT NOT NULL DEFAULT 0
);
