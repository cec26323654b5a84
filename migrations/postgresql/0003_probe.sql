-- One row that /readyz writes (probe.sql): whether a disk takes a change, only a change can tell.

CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at BIGINT NOT NULL
);
