-- Gateways that write to this database, each with the number of its latest write, by which one that is sent twice is known, and with the
-- time until which all that it was granted is its own. Zero: that time is not known yet. One that is fenced has let it pass, and has
-- nothing any more.
CREATE TABLE budget_nodes (
    node TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    fenced BIGINT NOT NULL
);

-- What a gateway was granted of a budget: what it may hold and use without writing it down. Of that its requests held so much when it
-- last wrote; and so much it would need, which it could not have.
CREATE TABLE budget_leases (
    meter TEXT NOT NULL,
    node TEXT NOT NULL,
    amount BIGINT NOT NULL,
    firm BIGINT NOT NULL,
    wish BIGINT NOT NULL,
    PRIMARY KEY (meter, node)
);

CREATE INDEX budget_leases_by_node ON budget_leases (node);

-- Who changes what is granted of a budget changes its row here first, so that one comes after the other.
CREATE TABLE budget_locks (
    meter TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);

INSERT INTO budget_nodes (node, number, until_ms, fenced)
    SELECT 'before', 0, 0, 0 WHERE EXISTS (SELECT 1 FROM budget_cover WHERE amount > 0);
INSERT INTO budget_leases (meter, node, amount, firm, wish) SELECT meter, 'before', amount, amount, 0 FROM budget_cover WHERE amount > 0;
DROP TABLE budget_cover;
