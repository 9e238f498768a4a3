-- Rows that say who somebody is and what they may carry a stamp, made with a key that is not in the database: who can write here cannot give
-- anybody anything. Rows from before have none, so they go: people sign in again, tokens are made again, and an identity provider
-- tells who there is when it is next asked to.
DELETE FROM admin_tokens;
DELETE FROM admin_sessions;
DELETE FROM people;

-- `key`, `configured:NAME`, `token:ID` or `person`: by whose leave the token is.
ALTER TABLE admin_tokens ADD COLUMN maker TEXT NOT NULL DEFAULT '';
ALTER TABLE admin_tokens ADD COLUMN stamp TEXT NOT NULL DEFAULT '';

-- When the identity provider last told of them.
ALTER TABLE admin_sessions ADD COLUMN told_ms BIGINT NOT NULL DEFAULT 0;
-- What the identity provider gave, sealed; empty where nothing is sealed.
ALTER TABLE admin_sessions ADD COLUMN kept TEXT NOT NULL DEFAULT '';
-- Until then a process asks the identity provider about them, and no other does.
ALTER TABLE admin_sessions ADD COLUMN renewing_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE admin_sessions ADD COLUMN stamp TEXT NOT NULL DEFAULT '';

ALTER TABLE people ADD COLUMN stamp TEXT NOT NULL DEFAULT '';

-- What the identity provider last told of somebody who signed in: what the tokens that they made may, goes by it.
CREATE TABLE people_told (
    person TEXT NOT NULL PRIMARY KEY,
    -- JSON lists.
    identities TEXT NOT NULL,
    member_of TEXT NOT NULL,
    told_ms BIGINT NOT NULL,
    stamp TEXT NOT NULL
);

UPDATE people_changes SET number = number + 1 WHERE id = 1;
