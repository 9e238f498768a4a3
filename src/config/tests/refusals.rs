//! What is refused, and in which words.

use super::read;

/// Each: a file, and the message that it gets.
const REFUSED: &[(&str, &str)] = &[
    // What is not YAML, or not YAML for settings.
    (
        "log: {level: info\n",
        "this is not valid YAML: unclosed bracket '{' at line 1, column 6; check the indentation, and put text that holds any of `: # { } [ ] * &` in quotes",
    ),
    ("log:\n\tlevel: info\n", "a tab in the indentation at line 2, column 1; YAML is indented with spaces only"),
    ("log: {}\n\nlog: {}\n", "the key `log` is there twice at line 3, column 1; keep one of them"),
    ("log: {1: a, '1': b}\n", "the key `1` is there twice at line 1, column 13; keep one of them"),
    (
        "log: {}\n---\nlog: {}\n",
        "a second YAML document at line 3, column 1; keep one document: remove the `---` line between them",
    ),
    (
        "log: *a\n",
        "an alias (`*name`) of an anchor (`&name`) that is not there at line 1, column 6; put text that begins with `*` in quotes",
    ),
    ("log: &a [*a]\n", "an anchor (`&name`) that holds its own alias at line 1, column 10"),
    (
        "log: !x {}\n",
        "a tag (`!name`), which settings have no use for at line 1, column 9; remove it, or put text that begins with `!` in quotes",
    ),
    ("? [a]\n: b\n", "a key that is not text at line 1, column 3"),
    // Targets on trial, and limits that two models set.
    (
        "providers: [{name: a, kind: openai_compatible, base_url: \"http://x/v1\"}]\nmodels: [{name: m, targets: [{provider: a, canary: {percent: 5}}]}]\n",
        "models[0].targets: the only target is a canary: nobody takes over what it fails at line 2, column 29; add the target that all other requests go to",
    ),
    (
        "providers: [{name: a, kind: openai_compatible, base_url: \"http://x/v1\"}]\nmodels: [{name: m, targets: [{provider: a}, {provider: a, model: n, canary: {percent: 0}}]}]\n",
        "models[0].targets[1].canary.percent: expected a number from 0.001 to 100, found `0` at line 2, column 87",
    ),
    (
        "providers: [{name: a, kind: openai_compatible, base_url: \"http://x/v1\"}]\nmodels: [{name: m, targets: [{provider: a}, {provider: a, model: n, weight: 2, canary: {percent: 5}}]}]\n",
        "models[0].targets[1].weight: a canary gets its `percent` of the requests, before the other targets are asked at line 2, column 77; take `weight` from this target",
    ),
    (
        "providers: [{name: a, kind: openai_compatible, base_url: \"http://x/v1\"}]\nmodels: [{name: m, targets: [{provider: a}, {provider: a, model: n, canary: {percent: 5}}, {provider: a, model: o, canary: {percent: 5}}]}]\n",
        "models[0].targets[2]: another target of this model is a canary at line 2, column 92; try one at a time",
    ),
    (
        "providers: [{name: a, kind: openai_compatible, base_url: \"http://x/v1\"}]\nmodels: [{name: m, targets: [{provider: a}, {provider: a, model: n, canary: {share: 5}}]}]\n",
        "models[0].targets[1].canary: unknown key `share` at line 2, column 78; the keys here are `percent`, `error_percent`, `min_requests`",
    ),
    (
        "providers: [{name: a, kind: openai_compatible, base_url: \"http://x/v1\"}]\nmodels: [{name: m, targets: [{provider: a, max_in_flight: 3}]}, {name: n, targets: [{provider: a, model: m, max_in_flight: 4}]}]\n",
        "models[1]: `max_in_flight` of `m` at `a` is 3 elsewhere at line 2, column 65; all targets of one provider and model share the limit: write one number",
    ),
    // Who administers, and whose tokens are taken.
    (
        "admin: {roles: [{name: owner, allow: []}]}\n",
        "admin.roles[0].name: there is a role `owner` already at line 1, column 24; give each role a name of its own",
    ),
    (
        "admin: {tokens: [{name: a, key: tok-0123456789abcdef, roles: [vewer]}]}\n",
        "admin.tokens[0].roles[0]: there is no such role at line 1, column 63; did you mean `viewer`?",
    ),
    (
        "admin: {key: tok-0123456789abcdef, tokens: [{name: a, key: tok-0123456789abcdef, roles: [viewer]}]}\n",
        "admin.tokens[0]: the key is the same as that of `admin.key` at line 1, column 45; callers must not administer: choose another key",
    ),
    (
        "admin: {tokens: [{name: a, key: tok-0123456789abcdef, roles: [viewer], scope: x}]}\n",
        "admin.tokens[0].scope: there is no account `x` at line 1, column 79; add it to `accounts`",
    ),
    (
        "admin: {listen: '8081'}\n",
        "admin.listen: expected an address such as `127.0.0.1:8080` or `[::1]:8080`, found no port at line 1, column 17",
    ),
    (
        "admin: {sso: {issuer: 'http://id.example', client_id: c, redirect_url: 'https://g.example/admin/auth/callback'}}\n",
        "admin.sso.issuer: expected a URL that begins with `https://`, or with `http://` and an address of this machine at line 1, column 23; it has no user name, query or fragment",
    ),
    (
        "admin: {sso: {issuer: 'https://id.example', client_id: c, redirect_url: 'https://g.example/'}}\n",
        "admin.sso.redirect_url: expected a URL that ends with `/admin/auth/callback` at line 1, column 73; write the address under which browsers reach this gateway, and that path",
    ),
    (
        "admin: {sso: {issuer: 'https://id.example', client_id: c, redirect_url: 'https://g.example/admin/auth/callback', accounts: {red: a}}}\naccounts: [{name: a, kind: team}]\n",
        "admin.sso.accounts: the group `red` has an account and no role, so it would give nobody anything at line 1, column 124; name its role in `roles`: the account is how far that reaches",
    ),
    (
        "admin: {tokens: [{name: scim, key: tok-0123456789abcdef, roles: [admin]}], sso: {issuer: 'https://id.example', client_id: c, redirect_url: 'https://g.example/admin/auth/callback', scim: skim}}\n",
        "admin.sso.scim: there is no such token in `admin.tokens` at line 1, column 187; did you mean `scim`?",
    ),
    (
        "auth: {issuers: [{name: a, issuer: 'https://id.example', audience: []}]}\n",
        "auth.issuers[0].audience: expected at least one audience: tokens that are meant for others must not open this at line 1, column 68",
    ),
    (
        "auth: {issuers: [{name: a, issuer: 'https://id.example', audience: g, algorithms: [HS256]}]}\n",
        "auth.issuers[0].algorithms[0]: expected an algorithm that signs with a private key at line 1, column 84; there are `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`",
    ),
    (
        "auth: {issuers: [{name: a, issuer: 'https://id.example', audience: g, replay: never}]}\n",
        "auth.issuers[0].replay: unknown answer to a replayed token `never`, expected one of `allow`, `refuse` at line 1, column 79",
    ),
    // The database.
    (
        "store: {url: 'mysql://u:p@h/d'}\n",
        "store.url: expected the URL of a PostgreSQL database at line 1, column 14; write it as in `postgres://askonce:PASSWORD@db.example.com/askonce`, or leave it out",
    ),
    (
        "store: {url: 'postgres://u:p@h/d'}\n",
        "store.url: a database elsewhere needs a `hashing_key`, or virtual keys are lost with this machine's data directory at line 1, column 14; make one by `openssl rand -hex 32`, and keep it with the backups",
    ),
    (
        "accounts: [{name: a, kind: team, budgets: [{usd: 1, per: day, models: [x, y]}, {usd: 2, per: day, models: [y, x]}]}]\n",
        "accounts[0].budgets[1]: another one here counts the same in the same time at line 1, column 80; keep the smaller one of the two",
    ),
    (
        "store: {connections: 0}\n",
        "store.connections: expected a whole number from 1 to 200, found `0` at line 1, column 22",
    ),
    // Keys.
    (
        "cahce: {}\n",
        "unknown key `cahce` at line 1, column 1; did you mean `cache`? (the keys here are `listen`, `trusted_proxies`, `data_dir`, `log`, `auth`, `accounts`, `reservation`, `alerts`, `audit`, `admin`, `limits`, `secrets`, `store`, `providers`, `default_provider`, `models`, `prices`, `topics`, `complexity`, `guardrails`, `retry`, `breaker`, `queue`, `embedding`, `index`, `cache`, `responses`, `recording`, `usage`, `request_log`, `catalogue`)",
    ),
    (
        "log:\n  colour: red\n",
        "log: unknown key `colour` at line 2, column 3; the keys here are `format`, `level`, `prompts`",
    ),
    (
        "log: [info]\n",
        "log: expected a map with the keys `format`, `level`, `prompts`, found a list at line 1, column 6",
    ),
    (
        "providers: {a: b}\n",
        "providers: expected a list, found a map at line 1, column 12; begin each element with `- `",
    ),
    ("providers:\n  - kind: demo\n", "providers[0]: the key `name` is missing at line 2, column 5; add it"),
    // Types and ranges.
    ("listen: 1\n", "listen: expected text, found `1` at line 1, column 9; put it in quotes if it is meant as text"),
    ("log: {prompts: yes}\n", "log.prompts: expected `true` or `false`, found the text `yes` at line 1, column 16"),
    (
        "limits: {in_flight: 0}\n",
        "limits.in_flight: expected a whole number from 1 to 1000000, found `0` at line 1, column 21",
    ),
    (
        "limits: {in_flight: -1}\n",
        "limits.in_flight: expected a whole number from 1 to 1000000, found `-1` at line 1, column 21",
    ),
    (
        "limits: {in_flight: '7'}\n",
        "limits.in_flight: expected a whole number from 1 to 1000000, found the text `7` at line 1, column 21",
    ),
    (
        "limits: {in_flight: '${KEY}'}\n",
        "limits.in_flight: expected a whole number from 1 to 1000000, found the text `${KEY}` at line 1, column 21",
    ),
    (
        "limits: {body_bytes: 32 megs}\n",
        "limits.body_bytes: expected a number of bytes, or a number with one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, found the text `32 megs` at line 1, column 22",
    ),
    (
        "limits: {body_bytes: 2GiB}\n",
        "limits.body_bytes: expected a size from 1KiB to 1GiB, found the text `2GiB` at line 1, column 22",
    ),
    (
        "log: {format: jsno}\n",
        "log.format: unknown log format `jsno`, expected one of `pretty`, `json` at line 1, column 15; did you mean `json`?",
    ),
    (
        "log: {level: '${KEY}'}\n",
        "log.level: unknown log level `${KEY}`, expected one of `off`, `error`, `warn`, `info`, `debug`, `trace` at line 1, column 14",
    ),
    (
        "embedding: {device: gpu}\n",
        "embedding.device: unknown device `gpu`, expected one of `cpu`, `cuda`, `cuda:N` at line 1, column 21; did you mean `cpu`?",
    ),
    (
        "embedding: {precision: fp16}\n",
        "embedding.precision: unknown precision `fp16`, expected one of `f32`, `bf16`, `int8` at line 1, column 24",
    ),
    (
        "embedding: {pin: 3}\n",
        "embedding.pin: expected `true` or `false`, found `3` at line 1, column 18; or a list of cores, such as `[2, 3]`",
    ),
    ("embedding: {pin: []}\n", "embedding.pin: expected 1 to 1024 cores, found 0 at line 1, column 18"),
    (
        "embedding: {pin: [0, 1024]}\n",
        "embedding.pin[1]: expected a whole number from 0 to 1023, found `1024` at line 1, column 22",
    ),
    (
        "cache: {semantic: {threshold: 0.3}}\n",
        "cache.semantic.threshold: expected a number from 0.5 to 1, found `0.3` at line 1, column 31",
    ),
    (
        "cache: {semantic: {threshold: .nan}}\n",
        "cache.semantic.threshold: expected a number from 0.5 to 1, found `NaN` at line 1, column 31",
    ),
    (
        "retry: {backoff_ms: 9000}\n",
        "retry: `backoff_ms` (9000) is above `backoff_max_ms` (5000) at line 1, column 8; raise `backoff_max_ms`",
    ),
    (
        "breaker: {probe_interval_ms: 50}\n",
        "breaker.probe_interval_ms: expected a whole number from 100 to 86400000, found `50` at line 1, column 30",
    ),
    // Variables.
    (
        "listen: ${NOPE}\n",
        "listen: the environment variable `NOPE` is not set at line 1, column 9; set it, or write `${NOPE:-default}`",
    ),
    (
        "listen: $HOST:80\n",
        "listen: a `$` before a name at line 1, column 9; write `${NAME}` for a variable, or `$$` where a dollar sign is meant",
    ),
    // Listening and keys.
    (
        "listen: 127.0.0.1\n",
        "listen: expected an address such as `127.0.0.1:8080` or `[::1]:8080`, found no port at line 1, column 9",
    ),
    (
        "data_dir: ~ada/x\n",
        "data_dir: `~` stands for the home folder only where it is alone or before a `/` at line 1, column 11",
    ),
    (
        "listen: 0.0.0.0:80\n",
        "auth: other machines can reach `0.0.0.0:80`, and there are no keys at line 1, column 9; add a key to `auth.keys`, or write `auth: {open: true}` to let everybody in, or listen on 127.0.0.1",
    ),
    (
        "auth: {open: false}\n",
        "auth.open: there are no keys and callers without one are not let in, so nobody could call at line 1, column 14; add a key to `auth.keys`, or remove `open`",
    ),
    (
        "auth: {keys: [{name: a, key: '${SHORT}'}]}\n",
        "auth.keys[0].key: expected a key of at least 16 characters, found a shorter one at line 1, column 30; a good one is made by `openssl rand -hex 24`",
    ),
    (
        "auth: {keys: [{name: a, key: 12345678901234567}]}\n",
        "auth.keys[0].key: expected text, found a number at line 1, column 30; put it in quotes if it is meant as text",
    ),
    (
        "auth: {keys: [{name: a, key: '${LINES}'}]}\n",
        "auth.keys[0].key: expected visible ASCII without spaces, as an HTTP header can carry it, found something else at line 1, column 30; check for a stray line break at its end",
    ),
    (
        "auth: {keys: [{name: a b, key: '${KEY}'}]}\n",
        "auth.keys[0].name: expected a name of at most 64 letters, digits and `-`, `_`, `.`, `:`, `@` at line 1, column 22",
    ),
    (
        "auth: {keys: [{name: anonymous, key: '${KEY}'}]}\n",
        "auth.keys[0].name: the name `anonymous` is that of callers without a key at line 1, column 22; choose another",
    ),
    (
        "auth: {keys: [{name: a, key: '${KEY}'}, {name: a, key: '${KEY}-2'}]}\n",
        "auth.keys[1]: another key has the name `a` at line 1, column 41; give each key a name of its own",
    ),
    (
        "auth: {keys: [{name: a, key: '${KEY}'}, {name: b, key: '${KEY}'}]}\n",
        "auth.keys[1]: the key is the same as that of `a` at line 1, column 41; give each caller a key of its own",
    ),
    (
        "auth: {keys: [{name: a, key: '${KEY}'}]}\nadmin: {key: '${KEY}'}\n",
        "admin.key: the key is the same as that of the caller `a` at line 2, column 14; callers must not administer: choose another key",
    ),
    // Providers and models.
    (
        "providers: [{name: a, kind: opnai}]\n",
        "providers[0].kind: unknown provider kind `opnai`, expected one of `openai`, `openai_compatible`, `azure`, `anthropic`, `gemini`, `vertex`, `bedrock`, `cohere`, `ollama-native`, `demo`, or a name that `askonce providers` lists at line 1, column 29; did you mean `openai`?",
    ),
    (
        "providers: [{name: a, kind: openai_compatible}]\n",
        "providers[0]: the key `base_url` is missing, which a provider of kind `openai_compatible` needs at line 1, column 13; add one, such as `http://127.0.0.1:8000/v1`",
    ),
    (
        "providers: [{name: a, kind: openai, base_url: 'https://ada:hunter2@host/v1'}]\n",
        "providers[0].base_url: a base URL holds no user name or password; use `api_key` or `headers` at line 1, column 47; write the part before `/chat/completions`, such as `https://api.example.com/v1`",
    ),
    (
        "providers: [{name: a, kind: demo}, {name: a, kind: demo}]\n",
        "providers[1]: another provider has the name `a` at line 1, column 36; give each provider a name of its own",
    ),
    (
        "providers: [{name: a, kind: demo, api_key: '${KEY}'}]\n",
        "providers[0].api_key: a provider of kind `demo` answers inside the process and has no `api_key` at line 1, column 44; remove it",
    ),
    (
        "providers: [{name: a, kind: openai, headers: {Host: b}}]\n",
        "providers[0].headers.Host: the header `host` is written by askonce itself at line 1, column 53; remove it",
    ),
    (
        "providers: [{name: a, kind: openai, headers: {x-a: b, X-A: b}}]\n",
        "providers[0].headers.X-A: the header `x-a` is there twice, in different case at line 1, column 60",
    ),
    (
        "providers: [{name: a, kind: openai, headers: {a b: c}}]\n",
        "providers[0].headers.a b: `a b` cannot be the name of an HTTP header at line 1, column 52",
    ),
    (
        "providers: [{name: a, kind: openai, headers: {x-a: '${LINES}'}}]\n",
        "providers[0].headers.x-a: expected the value of an HTTP header: visible ASCII, and spaces only inside at line 1, column 52",
    ),
    (
        "providers: [{name: a, kind: openai, api_key: '${KEY}', headers: {Authorization: b}}]\n",
        "providers[0].headers.Authorization: the header `authorization` and `api_key` say the same thing at line 1, column 81; remove one of them",
    ),
    (
        "default_provider: a\n",
        "default_provider: there is no provider `a` at line 1, column 19; add one to `providers`",
    ),
    (
        "providers: [{name: local, kind: demo}]\nmodels: [{name: m, targets: [{provider: lokal}]}]\n",
        "models[0].targets[0].provider: there is no provider `lokal` at line 2, column 41; did you mean `local`?",
    ),
    (
        "models: [{name: m, targets: []}]\n",
        "models[0].targets: expected at least one target, found none at line 1, column 29; add `- provider: NAME`",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}, {provider: a, model: m}]}]\n",
        "models[0].targets[1]: this target is there twice at line 2, column 45; `retry.attempts` says how often each is tried, `weight` its share",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, when: stream && }]}]\n",
        "models[0].targets[0].when: expected a condition in CEL, such as `tokens > 8000`; it ends too early at line 2, column 50; docs/routing.md has what conditions may ask about",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels:\n  - name: m\n    targets:\n      - provider: a\n        when: tokens >> 5\n",
        "models[0].targets[0].when: expected a condition in CEL, such as `tokens > 8000`; its column 9 cannot be read: extraneous input '>', expected a value at line 6, column 15; docs/routing.md has what conditions may ask about",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, when: header.x == ''}]}]\n",
        "models[0].targets[0].when: expected a condition in CEL, such as `tokens > 8000`; there is no variable `header`; there are model, surface, stream, headers, params, tokens, tenant, time, topic, complexity, hard, budget, limits at line 2, column 50; docs/routing.md has what conditions may ask about",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, when: true}]}]\n",
        "models[0].targets[0].when: expected text, found `true` at line 2, column 50; put it in quotes if it is meant as text",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, params: [1]}]}]\n",
        "models[0].targets[0].params: expected a map, found a list at line 2, column 52",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, params: {stream: true}}]}]\n",
        "models[0].targets[0].params.stream: the field `stream` is set by the gateway alone at line 2, column 61; `model` of the target names the model; callers say whether they stream",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, params: {x: {y: .nan}}}]}]\n",
        "models[0].targets[0].params.x.y: expected a number that JSON can carry, found `NaN` at line 2, column 60",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], price: {input_usd_per_million_tokens: -1, output_usd_per_million_tokens: 0}}]\n",
        "models[0].price.input_usd_per_million_tokens: expected a number from 0 to 1000000, found `-1` at line 2, column 84",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a}}]\n",
        "models[0].shadow: the key `percent` is missing at line 2, column 54; add it",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {percent: 5}}]\n",
        "models[0].shadow: the key `provider` is missing at line 2, column 54; add it",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: b, percent: 5}}]\n",
        "models[0].shadow.provider: there is no provider `b` at line 2, column 65; did you mean `a`?",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 0}}]\n",
        "models[0].shadow.percent: expected a number from 0.001 to 100, found `0` at line 2, column 77",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 101}}]\n",
        "models[0].shadow.percent: expected a number from 0.001 to 100, found `101` at line 2, column 77",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 5, model: 'x-*'}}]\n",
        "models[0].shadow.model: a `*` stands for what the `*` of the model's `name` stood for, which has none at line 2, column 87",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 5, key: k}}]\n",
        "models[0].shadow.key: provider `a` has no key of this name at line 2, column 85; its `keys` have the names",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 5, usd_per_day: 0}}]\n",
        "models[0].shadow.usd_per_day: expected a number from 0.000001 to 1000000, found `0` at line 2, column 93",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 5, max_in_flight: 0}}]\n",
        "models[0].shadow.max_in_flight: expected a whole number from 1 to 1000, found `0` at line 2, column 95",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 5, judge: maybe}}]\n",
        "models[0].shadow.judge: expected `true` or `false`, found the text `maybe` at line 2, column 87",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 5, params: {model: x}}}]\n",
        "models[0].shadow.params.model: the field `model` is set by the gateway alone at line 2, column 96; `model` of the target names the model; callers say whether they stream",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 5, when: stream}}]\n",
        "models[0].shadow: unknown key `when` at line 2, column 80; the keys here are `provider`, `model`, `key`, `params`, `price`, `percent`, `judge`, `usd_per_day`, `max_in_flight`, `labels`",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}], shadow: {provider: a, percent: 5, judge: true}}]\n",
        "models[0].shadow.judge: there is no model that could be asked at line 2, column 87; name one in `cache.judge`, or leave this out",
    ),
    // Topics and complexity.
    ("topics: [{name: a}]\n", "topics[0]: the key `examples` is missing at line 1, column 10; add it"),
    ("topics: [{examples: [q]}]\n", "topics[0]: the key `name` is missing at line 1, column 10; add it"),
    (
        "topics: [{name: a, examples: []}]\n",
        "topics[0].examples: expected at least one example, found none at line 1, column 30; add questions of the topic",
    ),
    ("topics: [{name: a, examples: ['']}]\n", "topics[0].examples[0]: expected text, found none at line 1, column 31"),
    (
        "topics: [{name: a, examples: [q, ' ']}]\n",
        "topics[0].examples[1]: expected a question of at most 2000 characters, found only spaces at line 1, column 34",
    ),
    (
        "topics:\n  - {name: a, examples: [q]}\n  - {name: b, examples: [q]}\n  - {name: a, examples: [r]}\n",
        "topics[2]: another topic has the name `a` at line 4, column 5; put all its examples into one entry",
    ),
    (
        "topics: [{name: a, examples: [q], at_least: 1.5}]\n",
        "topics[0].at_least: expected a number from 0 to 1, found `1.5` at line 1, column 45",
    ),
    ("complexity: {}\n", "complexity: the key `file` is missing at line 1, column 13; add it"),
    ("complexity: judge.json\n", "complexity: expected a map with the keys `file`, found text at line 1, column 13"),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, when: topic == 'x'}]}]\n",
        "models[0].targets[0].when: the condition asks about `topic`, and there are no topics at line 2, column 50; add some to `topics`",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a}, {provider: a, when: \"topic in ['legal', '', 'leagl']\"}]}]\ntopics: [{name: legal, examples: [q]}]\n",
        "models[0].targets[1].when: there is no topic `leagl` at line 2, column 65; did you mean `legal`?",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, when: \"'code' == topic\"}]}]\ntopics: [{name: legal, examples: [q]}]\n",
        "models[0].targets[0].when: there is no topic `code` at line 2, column 50; the topics are `legal`",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, when: hard}]}]\n",
        "models[0].targets[0].when: the condition asks about `hard`, of which nothing was learned at line 2, column 50; name the file that `askonce complexity train` wrote in `complexity.file`",
    ),
    (
        "providers: [{name: a, kind: demo}]\nmodels: [{name: m, targets: [{provider: a, when: complexity > 0.5}]}]\n",
        "models[0].targets[0].when: the condition asks about `complexity`, of which nothing was learned at line 2, column 50; name the file that `askonce complexity train` wrote in `complexity.file`",
    ),
    // The cache.
    (
        "cache: {memory_bytes: 2MiB, max_answer_bytes: 3MiB}\n",
        "cache.max_answer_bytes: one answer of 3MiB would not fit into `memory_bytes` (2MiB) at line 1, column 47; raise `memory_bytes`, or lower this",
    ),
    (
        "cache: {overrides: [{ttl_s: 5}]}\n",
        "cache.overrides[0]: an override is for a tenant, a model or both, and this one names neither at line 1, column 21; add `tenant` or `model`, or change `cache` itself",
    ),
    (
        "cache: {overrides: [{model: m}]}\n",
        "cache.overrides[0]: this override changes nothing at line 1, column 21; add one of `enabled`, `semantic`, `judgement`, `error_budget`, `strictness`, `threshold`, `follow_ups`, `ttl_s`",
    ),
    (
        "cache: {overrides: [{model: m, ttl_s: 5}, {model: m, ttl_s: 6}]}\n",
        "cache.overrides[1]: another override is for the same tenant and model at line 1, column 43; put them into one",
    ),
    (
        "cache: {harmless_fields: [user, temperature]}\n",
        "cache.harmless_fields[1]: `temperature` cannot be harmless: it decides how the answer is made at line 1, column 33; requests that differ in it must not share an answer; remove it",
    ),
    (
        "cache: {harmless_fields: [user, user]}\n",
        "cache.harmless_fields[1]: `user` is there twice at line 1, column 33; remove one of them",
    ),
    // What is kept.
    (
        "cache: {eviction: fifo}\n",
        "cache.eviction: unknown word for `eviction` `fifo`, expected one of `cost`, `lru`, `lfu` at line 1, column 19",
    ),
    (
        "cache: {staleness: {hours_ttl_s: 60}}\n",
        "cache.staleness: `minutes_ttl_s` may not be more than `hours_ttl_s`, nor that more than `days_ttl_s` at line 1, column 20; a class that is named for a shorter time has to be the shorter one",
    ),
    (
        "cache: {staleness: {tools: weeks}}\n",
        "cache.staleness.tools: expected one of `never`, `minutes`, `hours`, `days`, `static`, found `weeks` at line 1, column 28",
    ),
    (
        "cache: {quota: {scope: {entries: -1}}}\n",
        "cache.quota.scope.entries: expected a whole number from 0 to 1099511627776, found `-1` at line 1, column 34",
    ),
    (
        "cache: {error_budget: 0}",
        "cache.error_budget: expected a number from 0.0001 to 0.2, found `0` at line 1, column 23",
    ),
    (
        "cache: {semantic: {judgement: clever}}",
        "cache.semantic.judgement: unknown word for `judgement` `clever`, expected one of `learned`, `static` at line 1, column 31",
    ),
    (
        "cache: {judge: {calls_per_minute: 5}}",
        "cache.judge: a judge wants `model`: the model that is asked whether two answers say the same at line 1, column 16; name a small one, or leave `judge` out",
    ),
    (
        "recording: {prompts: plain}\n",
        "recording.prompts: unknown word for `prompts` `plain`, expected one of `hashed`, `clear` at line 1, column 22",
    ),
    (
        "usage: {flush_m: 5}\n",
        "usage: unknown key `flush_m` at line 1, column 9; did you mean `flush_ms`? (the keys here are `enabled`, `flush_ms`, `retention_days`)",
    ),
    (
        "usage: {flush_ms: 5}\n",
        "usage.flush_ms: expected a whole number from 10 to 60000, found `5` at line 1, column 19",
    ),
    (
        "request_log: {sample: 2}\n",
        "request_log.sample: expected a number from 0.000001 to 1, found `2` at line 1, column 23",
    ),
    (
        "request_log: {redact: ['(']}\n",
        "request_log.redact[0]: expected a regular expression at line 1, column 24; the syntax is that of the Rust crate `regex`, without look-around",
    ),
    (
        "request_log: {redact: ['[0-9]*']}\n",
        "request_log.redact[0]: the pattern matches a text of no length at line 1, column 24; say what has to be there, as in `[0-9]+` in place of `[0-9]*`",
    ),
];

#[test]
fn refuses_in_these_words() {
    for (text, expected) in REFUSED {
        let error = read(text).expect_err(text);
        assert_eq!(error.to_string(), format!("a.yaml: {expected}"), "for {text:?}");
    }
}
