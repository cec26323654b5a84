-- Events and registrations.
--
-- The registration path stays lean: one registration writes registrations (and its request key),
-- one row of participants per person (and its key), one job. Each index below names its query.

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE, -- event_one.sql; also keeps links from being used again
    title TEXT NOT NULL,
    summary TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    venue TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    tz TEXT NOT NULL,
    utc_offset_min INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('individual', 'team')),
    team_min INTEGER NOT NULL,
    team_max INTEGER NOT NULL,
    dedupe TEXT NOT NULL CHECK (dedupe IN ('email', 'email_name', 'none')),
    grade_min INTEGER,
    grade_max INTEGER,
    edit_until INTEGER NOT NULL,
    cancel_until INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('published', 'cancelled')),
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK (ends_at >= starts_at),
    CHECK (1 <= team_min AND team_min <= team_max AND team_max <= 20)
) STRICT;

-- The hot row: all that decides about places, apart from the texts, so that mending a description
-- never waits behind the rush. The checks are the second lock behind seats.c.
CREATE TABLE event_seats (
    event_id INTEGER PRIMARY KEY REFERENCES events (id),
    capacity INTEGER,
    waitlist_capacity INTEGER,
    taken INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    next_seq INTEGER NOT NULL DEFAULT 1,
    opens_at INTEGER NOT NULL,
    closes_at INTEGER NOT NULL,
    gate INTEGER NOT NULL DEFAULT 1 CHECK (gate IN (0, 1, 2)),
    school_limit INTEGER,
    promote_until INTEGER NOT NULL,
    CHECK (taken >= 0 AND waiting >= 0),
    CHECK (capacity IS NULL OR taken <= capacity)
) STRICT;

-- Live registrations per school, where an event limits them. The key is of event and folded name.
CREATE TABLE event_school_seats (
    school_key BLOB PRIMARY KEY, -- schools_known.sql
    event_id INTEGER NOT NULL REFERENCES events (id),
    taken INTEGER NOT NULL CHECK (taken >= 0)
) STRICT, WITHOUT ROWID;

-- id is (event << 32) | seq: primary key, order of arrival and unique (event, seq) in one. It needs
-- no foreign key: verify looks for registrations of events that do not exist.
CREATE TABLE registrations (
    id INTEGER PRIMARY KEY,
    status INTEGER NOT NULL CHECK (status IN (1, 2, 3)), -- confirmed, waitlisted, cancelled
    request_key BLOB NOT NULL,
    request_fp BLOB NOT NULL,
    submit_id INTEGER NOT NULL,
    ticket_rev INTEGER NOT NULL DEFAULT 1,
    manage_rev INTEGER NOT NULL DEFAULT 1,
    source INTEGER NOT NULL,
    guardian_ok INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    grade INTEGER,
    school TEXT,
    school_key BLOB, -- while live, where schools are limited
    phone TEXT,
    team_name TEXT,
    team_key BLOB, -- while live
    promoted_at INTEGER,
    cancelled_at INTEGER,
    cancel_reason TEXT,
    resent_at INTEGER
) STRICT;
-- requests_known.sql: a request that comes a second time finds its registration.
CREATE UNIQUE INDEX registrations_request_key ON registrations (request_key);
-- teams_known.sql: a team's name is used once per event (the key is of event and name).
CREATE UNIQUE INDEX registrations_team_key ON registrations (team_key) WHERE team_key IS NOT NULL;
-- waiting_first.sql, waiting_before.sql: who moves up, and who stands before whom.
CREATE INDEX registrations_waiting ON registrations (id) WHERE status = 2;

-- Position 0 is the lead. dedupe_key says who it is within the event (the first eight bytes are of
-- event and address alone); NULL where persons are not compared or the registration is dead.
CREATE TABLE participants (
    registration_id INTEGER NOT NULL, -- no foreign key on the hot path: verify looks for orphans
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    dedupe_key BLOB,
    PRIMARY KEY (registration_id, position)
) STRICT, WITHOUT ROWID;
-- people_known.sql, and people_of_address.sql by its first half: the same person, once per event.
CREATE UNIQUE INDEX participants_dedupe_key ON participants (dedupe_key)
    WHERE dedupe_key IS NOT NULL;

-- mail_of.sql: what became of the mails about a registration; and verify, which wants one for each.
CREATE INDEX jobs_subject ON jobs (subject) WHERE subject IS NOT NULL;

-- How many mails went to an address lately. Not on the registration path: job workers count.
CREATE TABLE mail_counts (
    address_key BLOB PRIMARY KEY, -- mail_count_one.sql
    hour_at INTEGER NOT NULL,
    hour_count INTEGER NOT NULL,
    day_at INTEGER NOT NULL,
    day_count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What organisers and students changed. Appended only.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    event_id INTEGER,
    registration_id INTEGER,
    detail TEXT
) STRICT;
