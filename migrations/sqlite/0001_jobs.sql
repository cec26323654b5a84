-- The job queue of libusher (include/usher/jobs.h). One row per job, which stays when it has ended.
--
-- A job is put in the transaction of a registration, so every index here is paid for in the rush.
-- There are three; two are partial and hold only the few rows that their query asks for.

CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY, -- in the order of putting
    kind        TEXT    NOT NULL,    -- which function runs it
    lane        TEXT    NOT NULL,    -- which workers take it
    subject     INTEGER,             -- the application's row it is about
    payload     BLOB    NOT NULL,    -- the kind's input; what was sent, once mark 1 is stored
    unique_key  TEXT,
    state       INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4), -- enum ush_job_state
    due_at      INTEGER NOT NULL,    -- ms since 1970; not run before
    claim       INTEGER NOT NULL DEFAULT 0, -- the fence: raised by every claim
    owner       INTEGER,             -- identity of the process that runs it, while state = 1
    lease_until INTEGER,             -- ms since 1970, while state = 1
    mark        INTEGER NOT NULL DEFAULT 0, -- how far the last attempt got
    failures    INTEGER NOT NULL DEFAULT 0, -- attempts that ended with an error
    crashes     INTEGER NOT NULL DEFAULT 0, -- attempts that ended with their process
    unknowns    INTEGER NOT NULL DEFAULT 0, -- attempts of which nobody knows whether they took effect
    note        TEXT,                -- the last error, or what the other side answered
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT;

-- Claim: the due rows of a lane, oldest first. A row leaves the index when it is claimed, so its
-- size is the length of the queue and not that of the table.
CREATE INDEX jobs_ready ON jobs (lane, due_at, id) WHERE state = 0;

-- Renewing, releasing and finding again what a process holds, and the look for leases that are
-- over: a few rows per process.
CREATE INDEX jobs_running ON jobs (owner) WHERE state = 1;

-- A second job with the same key is dropped (ON CONFLICT DO NOTHING), also after the first has
-- ended; and the application finds the job of a key.
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key) WHERE unique_key IS NOT NULL;
