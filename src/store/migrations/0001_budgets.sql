-- What was used of each budget, by the time that it counts under: what is written under one time counts as long.
CREATE TABLE budget_used (
    meter TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (meter, at_ms)
);

-- What may have been used or held beside that, when the process ended before it could say.
CREATE TABLE budget_cover (
    meter TEXT NOT NULL PRIMARY KEY,
    amount BIGINT NOT NULL
);
