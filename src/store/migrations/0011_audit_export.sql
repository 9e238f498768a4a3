-- How far each export of the audit log has come: the number of the last row that was taken there, and what became of the latest attempt.
-- One gateway exports at a time: the node that stands here, until its time has passed.
CREATE TABLE audit_exports (
    name TEXT NOT NULL PRIMARY KEY,
    delivered BIGINT NOT NULL,
    delivered_at_ms BIGINT NOT NULL,
    missing BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    error TEXT NOT NULL,
    node TEXT NOT NULL,
    until_ms BIGINT NOT NULL
);
