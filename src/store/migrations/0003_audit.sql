-- What was done at the admin surface, and what was refused: each row holds the digest of the one before it.
CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    request_id TEXT NOT NULL,
    address TEXT NOT NULL,
    previous TEXT NOT NULL,
    digest TEXT NOT NULL
);

CREATE INDEX audit_by_time ON audit (at_ms);

-- A signed word that the chain had this digest at this row. A base stands for all rows up to it, which are there no more.
CREATE TABLE audit_checkpoints (
    seq BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    digest TEXT NOT NULL,
    is_base BIGINT NOT NULL,
    public_key TEXT NOT NULL,
    signature TEXT NOT NULL
);

-- The end of the chain. It is locked while rows are added, so that two nodes add them one after the other.
CREATE TABLE audit_tail (
    one BIGINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    digest TEXT NOT NULL
);

INSERT INTO audit_tail (one, seq, digest) VALUES (1, 0, '');
