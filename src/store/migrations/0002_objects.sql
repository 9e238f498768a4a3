-- Accounts and virtual keys that were made at the admin surface. A body is the JSON that was sent; one that is empty was taken away, and
-- stays as long as other nodes may not know that.
CREATE TABLE objects (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    hint TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE INDEX objects_by_revision ON objects (revision);

-- Of each virtual key the keyed hash; two of them while one is rotated.
CREATE TABLE key_hashes (
    hash TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    until_ms BIGINT NOT NULL
);

CREATE INDEX key_hashes_by_name ON key_hashes (name);

-- Each change of an object has the next number, so that other nodes ask for what is new only.
CREATE TABLE revisions (
    one BIGINT NOT NULL PRIMARY KEY,
    latest BIGINT NOT NULL
);

INSERT INTO revisions (one, latest) VALUES (1, 0);
