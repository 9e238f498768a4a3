-- Tokens of the admin surface. What is kept of a token is a keyed digest.
CREATE TABLE admin_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    -- A JSON list of names.
    roles TEXT NOT NULL,
    -- A JSON list of accounts; empty text: everything.
    scope TEXT NOT NULL,
    -- A JSON list: by which names the one who made it is known.
    identities TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- Zero: never.
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT NOT NULL
);

-- People who are signed in. What is kept of a session's cookie is a digest.
CREATE TABLE admin_sessions (
    digest TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- JSON lists.
    identities TEXT NOT NULL,
    member_of TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    used_ms BIGINT NOT NULL
);

-- People and groups as SCIM tells them.
CREATE TABLE people (
    id TEXT NOT NULL PRIMARY KEY,
    -- `user` or `group`.
    kind TEXT NOT NULL,
    -- What may be there once: a user's name in lower case, a group's id.
    unique_name TEXT NOT NULL,
    -- The resource as JSON, without `id`, `meta` and `schemas`.
    resource TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    UNIQUE (kind, unique_name)
);

-- One row: counts every change to the tables above, so that other processes see that there was one.
CREATE TABLE people_changes (
    id BIGINT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO people_changes (id, number) VALUES (1, 0);
