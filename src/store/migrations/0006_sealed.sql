-- The keys that values in other tables are sealed with, each itself sealed by a master key that is not in the database. The latest one
-- seals; the others open what they sealed.
CREATE TABLE data_keys (
    id TEXT NOT NULL PRIMARY KEY,
    master TEXT NOT NULL,
    wrapped TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
