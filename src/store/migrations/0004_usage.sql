-- What was asked in each hour, by whom, of what, and how that was answered. A row without a tag has every request; one with a tag has
-- those of them that carried it, once more.
CREATE TABLE usage_hours (
    hour_ms BIGINT NOT NULL,
    key_name TEXT NOT NULL,
    account TEXT NOT NULL,
    team TEXT NOT NULL,
    customer TEXT NOT NULL,
    organisation TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    cache TEXT NOT NULL,
    tag TEXT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    saved_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    saved BIGINT NOT NULL,
    took_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    PRIMARY KEY (hour_ms, key_name, account, team, customer, organisation, model, provider, cache, tag)
);

-- Requests one by one, where that is asked for. Ids are in the order of time.
CREATE TABLE requests (
    id TEXT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    accounts TEXT NOT NULL,
    tenant TEXT NOT NULL,
    tags TEXT NOT NULL,
    surface TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    provider_model TEXT NOT NULL,
    cache TEXT NOT NULL,
    status BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    saved_tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    saved BIGINT NOT NULL,
    took_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    error TEXT NOT NULL,
    request_body TEXT NOT NULL,
    answer_body TEXT NOT NULL
);

CREATE INDEX requests_by_time ON requests (at_ms);
CREATE INDEX requests_by_request_id ON requests (request_id);
