-- Who works for the fest, and what happens at the door.
--
-- None of this is touched by a registration.

-- An argon2id hash each (accounts.h). `events` is a JSON list of event ids; NULL = the whole fest.
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE, -- user_by_email.sql
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'organiser', 'desk', 'viewer')),
    events TEXT,
    password TEXT NOT NULL,
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- A phone at the door. pair_key is of the one-time code; whoever shows the code first has the device.
CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL, -- "Gate B"
    events TEXT,
    pair_key BLOB UNIQUE, -- device_pair.sql
    pair_until INTEGER NOT NULL,
    paired_at INTEGER,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- The token itself is only in the browser's cookie.
CREATE TABLE sessions (
    token_key BLOB PRIMARY KEY, -- session_one.sql
    user_id INTEGER REFERENCES users (id),
    device_id INTEGER REFERENCES devices (id),
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL, -- to within some minutes
    expires_at INTEGER NOT NULL,
    CHECK ((user_id IS NULL) <> (device_id IS NULL))
) STRICT, WITHOUT ROWID;
-- sessions_end.sql: all of one user.
CREATE INDEX sessions_user ON sessions (user_id);

-- Who is in. The primary key decides which of two scans was the first; nothing else does.
CREATE TABLE attendance (
    registration_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    gate TEXT NOT NULL,
    PRIMARY KEY (registration_id, position)
) STRICT, WITHOUT ROWID;

-- Every scan and its result, undone ones too. Appended only.
CREATE TABLE scans (
    id INTEGER PRIMARY KEY,
    scan_key BLOB NOT NULL UNIQUE, -- scan_known.sql: a scan that is sent again gets its first answer
    at INTEGER NOT NULL,
    registration_id INTEGER NOT NULL,
    position INTEGER NOT NULL, -- -1 = all of a team
    result TEXT NOT NULL,
    entered INTEGER NOT NULL, -- how many came in by it
    gate TEXT NOT NULL,
    note TEXT
) STRICT;
-- scans_of.sql: the history of a registration.
CREATE INDEX scans_registration ON scans (registration_id);

-- audit_of.sql: the history of a registration. Registering writes no audit.
CREATE INDEX audit_registration ON audit (registration_id) WHERE registration_id IS NOT NULL;

-- A registration whose names, address and answers were overwritten; the row stays for the counts.
ALTER TABLE registrations ADD COLUMN erased_at INTEGER;
