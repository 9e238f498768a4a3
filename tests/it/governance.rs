//! Keys that are made at the admin surface, what keys may, and budgets that outlive the process.

use crate::support::gateway::{ADMIN_KEY, client};
use crate::support::process::{EXACT_ONLY, Process};
use crate::support::store;
use crate::support::{Gateway, Given, Reply, Upstream, ask, with};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PRICE: &str = "price: {input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 1}";

fn given(upstream: &Upstream, more: &str) -> Given {
    let yaml = format!(
        "providers:\n  - {{name: up, kind: openai_compatible, base_url: \"${{UP}}\", api_key: sk-up-0123456789, models: [m, n]}}\n\
         models:\n  - {{name: m, targets: [{{provider: up}}], {PRICE}}}\n\
         auth: {{keys: [{{name: file, key: sk-file-0123456789}}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\n{more}"
    );
    Given::yaml(&yaml).variable("UP", &upstream.url)
}

async fn admin(gateway: &Gateway, method: &str, path: &str, body: Value) -> Reply {
    let method = method.parse().unwrap();
    let request = client().request(method, gateway.url(path)).bearer_auth(ADMIN_KEY).json(&body);
    Reply::of(request).await
}

/// Makes a key; gives its secret.
async fn key(gateway: &Gateway, settings: Value) -> String {
    let made = admin(gateway, "POST", "/admin/keys", settings).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["key"].as_str().unwrap().to_owned()
}

async fn chat(gateway: &Gateway, key: &str, body: &Value) -> Reply {
    gateway.chat_with(body, &[("authorization", &format!("Bearer {key}"))]).await
}

#[tokio::test]
async fn a_virtual_key_is_good_until_it_is_taken_away_and_its_answers_are_its_own() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "").start().await;
    let team = json!({"name": "lab", "kind": "team", "budgets": [{"usd": 1, "per": "month"}]});
    assert_eq!(admin(&gateway, "POST", "/admin/accounts", team).await.status, 201);
    let one = key(&gateway, json!({"name": "one", "account": "lab"})).await;
    let two = key(&gateway, json!({"name": "two", "account": "lab"})).await;
    assert_eq!(chat(&gateway, &one, &ask("x")).await.words(), "answer 1");
    assert_eq!(chat(&gateway, &one, &ask("x")).await.cache(), "hit/exact");
    assert_eq!(chat(&gateway, &two, &ask("x")).await.words(), "answer 2", "another's answers are not shared");
    // Where Anthropic's and Google's clients put it.
    for name in ["x-api-key", "x-goog-api-key", "api-key"] {
        assert_eq!(gateway.chat_with(&ask("x"), &[(name, &one)]).await.cache(), "hit/exact", "{name}");
    }
    let shown = admin(&gateway, "GET", "/admin/accounts/lab", json!({})).await.json();
    assert_eq!(shown["standing"][0]["used"], json!(0.00003), "two answers of 15 tokens: {shown}");
    let wrong = one.replace("sk-ao-", "sk-ao-x");
    assert_eq!(chat(&gateway, &wrong, &ask("x")).await.error(), (401, "invalid_api_key".to_owned()));
    let listed = admin(&gateway, "GET", "/admin/keys?limit=2", json!({})).await;
    assert!(!listed.text().contains(&one[10..]), "a secret is told once");
    let names: Vec<Value> = listed.json()["data"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!((names, &listed.json()["next_cursor"]), (vec![json!("file"), json!("one")], &json!("one")));
    // Taken away, it is refused at once, for what is remembered as well.
    let begun = Instant::now();
    assert_eq!(admin(&gateway, "DELETE", "/admin/keys/one", json!({})).await.status, 204);
    assert_eq!(chat(&gateway, &one, &ask("x")).await.error(), (401, "invalid_api_key".to_owned()));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(chat(&gateway, &two, &ask("x")).await.cache(), "hit/exact");
}

#[tokio::test]
async fn a_change_wants_the_version_that_was_read_and_a_trial_changes_nothing() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "").start().await;
    let secret = key(&gateway, json!({"name": "k"})).await;
    let url = gateway.url("/admin/keys/k");
    let patch = |tag: &str, path: &str, body: Value| {
        Reply::of(client().patch(format!("{url}{path}")).bearer_auth(ADMIN_KEY).header("if-match", tag).json(&body))
    };
    let old = admin(&gateway, "GET", "/admin/keys/k", json!({})).await.header("etag").to_owned();
    let changed = patch(&old, "", json!({"models": ["n"]})).await;
    let new = changed.header("etag").to_owned();
    assert!(changed.status == 200 && new != old, "{new}");
    assert_eq!(patch(&old, "", json!({"models": null})).await.error(), (412, "version_changed".to_owned()));
    assert_eq!(patch("1", "", json!({})).await.status, 400);
    assert_eq!(patch(&new, "?dry_run=true", json!({"models": null})).await.status, 200);
    assert_eq!(chat(&gateway, &secret, &ask("x")).await.error(), (403, "model_not_allowed".to_owned()));
    let refused = admin(&gateway, "PATCH", "/admin/keys/k", json!({"budgets": [{"usd": "much", "per": "day"}]})).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("budgets[0].usd"), "{}", refused.text());
    assert_eq!(
        admin(&gateway, "PATCH", "/admin/keys/file", json!({})).await.error(),
        (409, "owned_by_file".to_owned())
    );
    assert_eq!(admin(&gateway, "GET", "/admin/keys/nobody", json!({})).await.status, 404);
    assert_eq!(admin(&gateway, "GET", "/admin/keys?limit=0", json!({})).await.status, 400);
    assert_eq!(Reply::of(client().get(gateway.url("/admin/keys"))).await.status, 401);
    let rotated = admin(&gateway, "POST", "/admin/keys/k/rotate", json!({"overlap_s": 60})).await.json();
    let new = rotated["key"].as_str().unwrap();
    let body = with(ask("x"), json!({"model": "up/n"}));
    admin(&gateway, "PATCH", "/admin/keys/k", json!({"models": null})).await;
    for secret in [&*secret, new] {
        assert_eq!(chat(&gateway, secret, &body).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_may_what_its_rights_say() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "").start().await;
    let rights = json!({"name": "k", "tools": false, "images": false, "max_output_tokens": 50, "surfaces": ["chat_completions"]});
    let bound = key(&gateway, rights).await;
    let fits = with(ask("x"), json!({"max_tokens": 50}));
    assert_eq!(chat(&gateway, &bound, &fits).await.status, 200);
    let picture = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]);
    for (fields, param) in [
        (json!({"max_tokens": 51}), "max_tokens"),
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"max_tokens": 5, "tools": [{"type": "function", "function": {"name": "f"}}]}), "tools"),
        (json!({"max_tokens": 5, "messages": picture}), "messages"),
    ] {
        let refused = chat(&gateway, &bound, &with(ask("x"), fields)).await;
        assert_eq!(refused.error(), (403, "parameter_not_allowed".to_owned()), "{param}");
        assert_eq!(refused.json()["error"]["param"], param);
    }
    let embeddings = json!({"model": "n", "input": "x"});
    let refused = Reply::of(client().post(gateway.url("/v1/embeddings")).bearer_auth(&bound).json(&embeddings)).await;
    assert_eq!(refused.error(), (403, "surface_not_allowed".to_owned()));
    // Keys of one tenant, of which one shares nothing, one may not read, and one stores nothing.
    let calls = upstream.calls();
    let alone = key(&gateway, json!({"name": "alone", "tenant": "t", "cache": {"share": false}})).await;
    let blind = key(&gateway, json!({"name": "blind", "tenant": "t", "cache": {"read": false}})).await;
    let mute = key(&gateway, json!({"name": "mute", "tenant": "t", "cache": {"write": false}})).await;
    let free = key(&gateway, json!({"name": "free", "tenant": "t"})).await;
    assert_eq!(chat(&gateway, &alone, &ask("y")).await.status, 200);
    assert_eq!(chat(&gateway, &alone, &ask("y")).await.cache(), "hit/exact");
    assert_eq!(chat(&gateway, &mute, &ask("y")).await.words(), format!("answer {}", calls + 2));
    assert_eq!(
        chat(&gateway, &free, &ask("y")).await.words(),
        format!("answer {}", calls + 3),
        "none is stored for it"
    );
    assert_eq!(chat(&gateway, &mute, &ask("y")).await.cache(), "hit/exact");
    assert_eq!(chat(&gateway, &blind, &ask("y")).await.words(), format!("answer {}", calls + 4));
    assert_eq!(chat(&gateway, &free, &ask("y")).await.words(), format!("answer {}", calls + 4), "the newest is stored");
}

#[tokio::test]
async fn what_is_left_is_told_in_headers() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "").start().await;
    let limits = json!([{"requests": 2, "per": "minute"}, {"tokens": 1000, "per": "day", "window": "calendar"}]);
    let secret = key(&gateway, json!({"name": "k", "rate_limits": limits})).await;
    let first = chat(&gateway, &secret, &with(ask("x"), json!({"max_tokens": 10}))).await;
    assert_eq!(first.header("x-ratelimit-limit-requests"), "2");
    assert_eq!(first.header("x-ratelimit-remaining-requests"), "1");
    assert!(first.header("ratelimit").starts_with("\"requests\";r=1;t="), "{}", first.header("ratelimit"));
    assert_eq!(first.header("ratelimit-policy"), "\"requests\";q=2;w=60, \"tokens\";q=1000;w=86400");
    let second = chat(&gateway, &secret, &with(ask("x"), json!({"max_tokens": 10}))).await;
    assert_eq!((second.cache().as_str(), second.header("x-ratelimit-remaining-tokens")), ("hit/exact", "985"));
    let third = chat(&gateway, &secret, &ask("y")).await;
    assert_eq!(third.error(), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(third.header("x-ratelimit-remaining-requests"), "0");
    assert!(!chat(&gateway, "sk-file-0123456789", &ask("x")).await.headers.contains_key("ratelimit"));
}

/// So many processes are killed.
fn kills() -> usize {
    std::env::var("ASKONCE_BUDGET_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(3)
}

/// Many ask at once, the process is killed again and again, and never is more spent than the budget has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_lets_anybody_spend_twice() {
    let upstream = Upstream::counting().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("askonce.yaml");
    // Each answer costs 15 micro-dollars.
    let most = 20_000usize;
    let yaml = format!(
        "providers:\n  - {{name: up, kind: openai_compatible, base_url: \"{}\", api_key: sk-up-0123456789, models: [m]}}\n\
         models:\n  - {{name: m, targets: [{{provider: up}}], {PRICE}}}\n\
         accounts:\n  - {{name: house, kind: organisation, budgets: [{{usd: 0.02, per: ever}}]}}\n  - {{name: lab, kind: team, in: house, budgets: [{{usd: 1, per: day}}]}}\n\
         auth: {{keys: [{{name: k, key: sk-one-0123456789, account: lab, budgets: [{{usd: 0.5, per: month}}]}}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\n{EXACT_ONLY}",
        upstream.url
    );
    std::fs::write(&config, yaml + &store::yaml(Some(dir.path()))).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let refused = Arc::new(AtomicUsize::new(0));
    for round in 0..=kills() {
        let mut process = Process::serve(&config, dir.path()).await;
        let over = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..64)
            .map(|_| {
                let (url, over) = (format!("{}/v1/chat/completions", process.url), over.clone());
                let (asked, refused) = (asked.clone(), refused.clone());
                tokio::spawn(async move {
                    let client = client();
                    while !over.load(Ordering::Relaxed) {
                        let number = asked.fetch_add(1, Ordering::Relaxed);
                        let body = with(ask(&format!("question {number}")), json!({"max_tokens": 20}));
                        match client.post(&url).bearer_auth("sk-one-0123456789").json(&body).send().await {
                            Ok(response) if response.status() == 402 => {
                                refused.fetch_add(1, Ordering::Relaxed);
                                tokio::time::sleep(Duration::from_millis(5)).await;
                            }
                            Ok(response) => drop(response.bytes().await),
                            Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50 + rand::random_range(0..200))).await;
        over.store(round == kills(), Ordering::Relaxed);
        if round < kills() {
            process.signal("KILL");
            process.ended().await;
        }
        for caller in callers {
            caller.await.unwrap();
        }
        let spent = upstream.calls() * 15;
        assert!(spent <= most, "{spent} micro-dollars were spent of {most}, after {round} kills");
    }
    println!(
        "{} kills, {} requests, {} answers ({} of {most} micro-dollars), {} refused",
        kills(),
        asked.load(Ordering::Relaxed),
        upstream.calls(),
        upstream.calls() * 15,
        refused.load(Ordering::Relaxed)
    );
    assert!(upstream.calls() > 0);
}

/// Who ends in order leaves nothing reserved: the next process has what was left, to the micro-dollar.
#[tokio::test]
async fn an_orderly_end_leaves_the_books_exact() {
    let upstream = Upstream::counting().await;
    let dir = tempfile::tempdir().unwrap();
    let accounts = "accounts: [{name: house, kind: organisation, budgets: [{usd: 0.0002, per: ever}]}]\n";
    let settings = given(&upstream, accounts).dir(dir.path());
    let ask = |number: usize| with(ask(&format!("q{number}")), json!({"max_tokens": 10}));
    let gateway = settings.start().await;
    let secret = key(&gateway, json!({"name": "k", "account": "house"})).await;
    for number in 0..5 {
        assert_eq!(chat(&gateway, &secret, &ask(number)).await.status, 200);
    }
    gateway.stop().await;
    let gateway = settings.start_again().await;
    let shown = admin(&gateway, "GET", "/admin/accounts/house", json!({})).await.json();
    assert_eq!(shown["standing"][0]["used"], json!(0.000075), "{shown}");
    assert_eq!(chat(&gateway, &secret, &ask(5)).await.status, 200, "the key is known, too");
}

/// Who administers a team makes keys in it, and cannot give it, or themselves, more.
#[tokio::test]
async fn who_has_one_team_changes_what_is_in_it_and_not_what_it_is_given() {
    let upstream = Upstream::counting().await;
    let accounts = "accounts: [{name: house, kind: organisation}]\n";
    let tokens = format!(
        "admin: {{key: {ADMIN_KEY}, tokens: [{{name: lead, key: token-of-lead-0123456789, roles: [editor], scope: lab}}]}}"
    );
    let lab =
        "{name: lab, kind: team, in: house, budgets: [{usd: 1, per: day}]}, {name: other, kind: team, in: house}]\n";
    let accounts = accounts.replace("}]\n", &format!("}}, {lab}"));
    let gateway = given(&upstream, &accounts).with(&format!("admin: {{key: {ADMIN_KEY}}}"), &tokens).start().await;
    let lead = async |method: &str, path: &str, body: Value| {
        let request = client().request(method.parse().unwrap(), gateway.url(path));
        Reply::of(request.bearer_auth("token-of-lead-0123456789").json(&body)).await
    };
    assert_eq!(lead("POST", "/admin/keys", json!({"name": "a", "account": "lab"})).await.status, 201);
    let user = json!({"name": "ann", "kind": "user", "in": "lab", "budgets": [{"usd": 100, "per": "day"}]});
    assert_eq!(lead("POST", "/admin/accounts", user).await.status, 201, "the team's budget holds all the same");
    admin(&gateway, "POST", "/admin/keys", json!({"name": "b", "account": "other"})).await;
    for (method, path, body, status) in [
        ("POST", "/admin/keys", json!({"name": "c"}), 403),
        ("POST", "/admin/keys", json!({"name": "c", "account": "other"}), 403),
        ("POST", "/admin/keys", json!({"name": "c", "account": "lab", "tenant": "b"}), 403),
        ("PATCH", "/admin/keys/a", json!({"account": "other"}), 403),
        ("PATCH", "/admin/keys/a", json!({"account": null}), 403),
        ("PATCH", "/admin/keys/b", json!({"enabled": false}), 404),
        ("DELETE", "/admin/keys/b", json!({}), 404),
        ("GET", "/admin/keys/b", json!({}), 404),
        ("GET", "/admin/accounts/house", json!({}), 404),
        ("PATCH", "/admin/accounts/lab", json!({"budgets": null}), 403),
        ("DELETE", "/admin/accounts/lab", json!({}), 403),
        ("POST", "/admin/keys/b/rotate", json!({}), 404),
        ("GET", "/admin/cache", json!({}), 403),
    ] {
        let reply = lead(method, path, body.clone()).await;
        assert_eq!(reply.status, status, "{method} {path} {body}: {}", reply.text());
    }
    let keys = lead("GET", "/admin/keys", json!({})).await.json();
    let names: Vec<&Value> = keys["data"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!("a")]);
    assert_eq!(lead("PATCH", "/admin/keys/a", json!({"models": ["m"]})).await.status, 200);
    assert_eq!(lead("PATCH", "/admin/accounts/ann", json!({"in": "lab"})).await.status, 200);
}

/// The command line does what the admin surface does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_budgets_on_the_command_line() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "").start().await;
    let url = gateway.url("");
    let askonce = async |arguments: &[&str]| {
        let (url, key) = (["--url", url.trim_end_matches('/')], ["--admin-key", ADMIN_KEY]);
        let (first, rest) = arguments.split_at(2);
        let all: Vec<String> = [first, &url[..], &key[..], rest].concat().iter().map(ToString::to_string).collect();
        let run = move || crate::support::process::run(&all.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    let (code, _, said) = askonce(&["team", "create", "lab", "--budget", "1/day"]).await;
    assert_eq!(code, 0, "{said}");
    let (code, made, said) =
        askonce(&["key", "create", "ci", "--account", "lab", "--limit", "requests=5/minute"]).await;
    assert_eq!(code, 0, "{said}");
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(chat(&gateway, made["key"].as_str().unwrap(), &ask("x")).await.status, 200);
    let (code, shown, said) = askonce(&["budget", "set", "account/lab", "2/day", "--soft", "1.5"]).await;
    assert!(code == 0 && shown.contains("of 2.0 left"), "{shown}{said}");
    let (_, shown, _) = askonce(&["key", "list"]).await;
    assert!(shown.contains("ci  lab  api  requests per minute: 4 of 5 left"), "{shown}");
    assert_eq!(askonce(&["budget", "remove", "account/lab", "week"]).await.0, 1, "there is none");
    assert_eq!(askonce(&["key", "disable", "ci"]).await.0, 0);
    let refused = chat(&gateway, made["key"].as_str().unwrap(), &ask("x")).await;
    assert_eq!(refused.error(), (401, "disabled_api_key".to_owned()));
    assert_eq!(askonce(&["key", "delete", "ci"]).await.0, 0);
    assert_eq!(askonce(&["key", "show", "ci"]).await.0, 1);
    let (code, shown, said) = askonce(&["audit", "tail", "--action", "keys.create"]).await;
    assert!(code == 0 && shown.contains("admin key keys.create ci done"), "{shown}{said}");
}

#[tokio::test]
async fn what_is_sent_twice_is_done_once() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "").start().await;
    let send = |name: &'static str, key: &str, bearer: &str| {
        let request = client().post(gateway.url("/admin/keys")).bearer_auth(bearer).header("idempotency-key", key);
        Reply::of(request.json(&json!({"name": name})))
    };
    let first = send("one", "a", ADMIN_KEY).await;
    let again = send("one", "a", ADMIN_KEY).await;
    assert_eq!((first.status, again.status), (201, 201), "{}", again.text());
    assert_eq!(again.json(), first.json(), "the secret, too");
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(send("one", "b", ADMIN_KEY).await.status, 409, "another request, which finds the name taken");
    assert_eq!(send("two", "a", ADMIN_KEY).await.error(), (400, "idempotency_key_reused".to_owned()));
    assert_eq!(send("two", &"x".repeat(256), ADMIN_KEY).await.status, 400);
    let token = json!({"name": "ci", "roles": ["admin"]});
    let token = admin(&gateway, "POST", "/admin/tokens", token).await.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(send("one", "a", &token).await.status, 409, "what somebody else was answered is not theirs");
    let mut many = tokio::task::JoinSet::new();
    for _ in 0..16 {
        many.spawn(send("many", "c", ADMIN_KEY));
    }
    let mut secrets = std::collections::BTreeSet::new();
    for reply in many.join_all().await {
        match reply.status {
            201 => drop(secrets.insert(reply.json()["key"].as_str().unwrap().to_owned())),
            status => assert_eq!((status, reply.error().1.as_str()), (409, "idempotency_key_in_use")),
        }
    }
    assert_eq!(secrets.len(), 1);
    let made = async || {
        let rows = admin(&gateway, "GET", "/admin/audit?action=keys.create&outcome=done", json!({})).await.json();
        rows["data"].as_array().unwrap().len()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while made().await < 2 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(made().await, 2, "each is told of once");
}

#[tokio::test]
async fn the_admin_surface_is_described() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "").start().await;
    assert_eq!(gateway.get("/admin/openapi.json").await.status, 401);
    let document = admin(&gateway, "GET", "/admin/openapi.json", json!({})).await.json();
    assert_eq!(document["openapi"], "3.1.1");
    assert_eq!(document["paths"]["/admin/keys"]["post"]["x-askonce-permission"], "keys:create");
    // What is described can be asked for: no query that stands there is refused as unknown.
    for (path, operations) in document["paths"].as_object().unwrap() {
        let parameters = operations["get"]["parameters"].as_array().into_iter().flatten();
        for name in parameters.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap()) {
            let path = path.replace("{id}", "x").replace("{name}", "x");
            let reply = admin(&gateway, "GET", &format!("{path}?{name}=1"), json!({})).await;
            assert!(!reply.text().contains("unknown field"), "{path}?{name}: {}", reply.text());
        }
    }
}
