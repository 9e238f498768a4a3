//! What is kept of requests: sums that agree with what was settled, and a log where that is asked for.

use crate::support::gateway::{ADMIN_KEY, UPSTREAM_KEY, client};
use crate::support::{Gate, Gateway, Given, Reply, Step, Upstream, ask, script, streamed, until, with};
use serde_json::{Value, json};

/// One answer of the story takes 10 tokens and 5: 15 micro-dollars.
fn given(upstream: &Upstream, more: &str) -> Given {
    let yaml = format!(
        "providers:\n  - {{name: up, kind: openai_compatible, base_url: \"${{UP}}\", api_key: {UPSTREAM_KEY}, models: [m]}}\n\
         models:\n  - {{name: m, targets: [{{provider: up, model: up-m}}], price: {{input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 1}}}}\n\
         admin: {{key: {ADMIN_KEY}}}\nretry: {{attempts: 1}}\n\
         accounts: [{{name: house, kind: organisation, budgets: [{{usd: 100, per: ever}}]}}, {{name: lab, kind: team, in: house}}]\n\
         auth: {{keys: [{{name: a, key: sk-a-0123456789ab, account: lab}}, {{name: b, key: sk-b-0123456789ab, account: house}}, \
         {{name: c, key: sk-c-0123456789ab}}]}}\n{more}"
    );
    Given::yaml(&yaml).variable("UP", &upstream.url)
}

async fn send(gateway: &Gateway, key: &str, body: &Value, tags: &str) -> Reply {
    let bearer = format!("Bearer sk-{key}-0123456789ab");
    gateway.chat_with(body, &[("authorization", &bearer), ("x-askonce-tags", tags)]).await
}

async fn admin(gateway: &Gateway, path: &str) -> Reply {
    Reply::of(client().get(gateway.url(path)).bearer_auth(ADMIN_KEY)).await
}

async fn rows(gateway: &Gateway, query: &str) -> Vec<Value> {
    let reply = admin(gateway, &format!("/admin/usage?{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["data"].as_array().unwrap().clone()
}

/// All requests that are written.
async fn requests(gateway: &Gateway) -> u64 {
    rows(gateway, "").await.first().map_or(0, |row| row["requests"].as_u64().unwrap())
}

/// Waits until so many requests are written.
async fn written(gateway: &Gateway, count: u64) {
    until(&format!("{count} requests are written"), async || requests(gateway).await == count).await;
}

fn micro_usd(value: &Value) -> u64 {
    value.as_str().unwrap().replace('.', "").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sums_are_those_of_what_was_settled() {
    let upstream = Upstream::start(|seen| {
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        match text.contains("fail") {
            true => script::reply(400, &[], "no"),
            false if seen.wants_stream() => script::streamed_answer("an answer"),
            false => script::answer("an answer"),
        }
    })
    .await;
    let gateway = given(&upstream, "usage: {flush_ms: 20}").start().await;
    let (mut sent, mut failed, mut hits) = (0_u64, 0_u64, 0_u64);
    let mut told = 0;
    for round in 0..6 {
        let question = format!("question {}", round / 2);
        for key in ["a", "b", "c"] {
            for body in [ask(&question), streamed(ask(&format!("streamed {question}")))] {
                let reply = send(&gateway, key, &body, "t1, t2").await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                sent += 1;
                if reply.cache().starts_with("hit") {
                    hits += 1;
                } else {
                    told += 1;
                }
            }
            let refused = send(&gateway, key, &ask(&format!("fail {round}")), "t1").await;
            assert_eq!(refused.status, 400);
            (sent, failed) = (sent + 1, failed + 1);
        }
    }
    assert_eq!(send(&gateway, "a", &with(ask("x"), json!({"messages": 5})), "").await.status, 400);
    (sent, failed) = (sent + 1, failed + 1);
    written(&gateway, sent).await;
    let all = &rows(&gateway, "").await[0];
    assert_eq!((&all["requests"], &all["errors"]), (&json!(sent), &json!(failed)));
    let by_cache = rows(&gateway, "group_by=cache").await;
    let of = |cache: &str, name: &str| {
        by_cache.iter().find(|row| row["cache"] == cache).map_or(0, |row| row[name].as_u64().unwrap())
    };
    assert_eq!(of("hit", "requests"), hits);
    assert_eq!(of("miss", "requests") + of("none", "requests"), sent - hits);
    assert!(of("hit", "saved_tokens") > 0 && of("hit", "input_tokens") == 0 && told > 0);
    // What the budget of the organisation has counted is what the sums of its keys cost.
    let standing = admin(&gateway, "/admin/accounts/house").await.json();
    let used = (standing["standing"][0]["used"].as_f64().unwrap() * 1e6).round() as u64;
    let of_house = &rows(&gateway, "organisation=house").await[0];
    assert_eq!(micro_usd(&of_house["cost_usd"]), used);
    assert!(used > 0);
    // However the rows are told, their sums are the same.
    for by in ["key", "account", "team", "organisation", "model", "provider", "key,cache,model"] {
        let rows = rows(&gateway, &format!("group_by={by}&per=day&time_zone=Asia/Kolkata")).await;
        let sum = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("requests"), sum("errors")), (sent, failed), "{by}");
        let cost: u64 = rows.iter().map(|row| micro_usd(&row["cost_usd"])).sum();
        assert_eq!(cost, micro_usd(&all["cost_usd"]), "{by}");
    }
    let by_tag = rows(&gateway, "group_by=tag").await;
    assert_eq!((&by_tag[0]["tag"], &by_tag[0]["requests"]), (&json!("t1"), &json!(sent - 1)));
    assert_eq!((&by_tag[1]["tag"], &by_tag[1]["requests"]), (&json!("t2"), &json!(sent - failed)));
    let team = rows(&gateway, "team=lab&group_by=key").await;
    assert_eq!((team.len(), &team[0]["key"]), (1, &json!("a")));
}

#[tokio::test]
async fn who_hangs_up_and_who_reads_along_are_counted_once_each() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| {
        let mut steps = vec![Step::Gate(held.clone())];
        steps.extend(script::answer("late"));
        steps
    })
    .await;
    let gateway = given(&upstream, "usage: {flush_ms: 20}").start().await;
    let asked = |question: &str| {
        let request = gateway.request(&ask(question)).header("authorization", "Bearer sk-a-0123456789ab");
        tokio::spawn(Reply::of(request))
    };
    // One who goes before anything has come, while the fetch goes on for the cache; then two that share one fetch.
    let gone = asked("left");
    until("the fetch is under way", async || upstream.calls() == 1).await;
    gone.abort();
    let (one, two) = (asked("shared"), asked("shared"));
    until("both are under way", async || upstream.calls() == 2 && gateway.in_flight() >= 2).await;
    gate.open();
    for reply in [one, two] {
        assert_eq!(reply.await.unwrap().status, 200);
    }
    written(&gateway, 3).await;
    let all = &rows(&gateway, "").await[0];
    // Two fetches were paid for, and the third request saved one.
    assert_eq!(
        (micro_usd(&all["cost_usd"]), micro_usd(&all["saved_usd"]), &all["errors"]),
        (30, 15, &json!(1)),
        "{all}"
    );
    assert_eq!((&all["input_tokens"], &all["saved_tokens"]), (&json!(20), &json!(15)));
}

#[tokio::test]
async fn an_orderly_end_writes_what_is_held_and_a_crash_loses_no_more_than_the_window() {
    let upstream = Upstream::counting().await;
    let dir = tempfile::tempdir().unwrap();
    let slow = given(&upstream, "usage: {flush_ms: 60000}").dir(dir.path());
    let gateway = slow.start().await;
    for number in 0..5 {
        send(&gateway, "a", &ask(&format!("q{number}")), "").await;
    }
    assert_eq!(requests(&gateway).await, 0, "its time has not come");
    gateway.stop().await;
    let again = slow.start_again().await;
    assert_eq!(requests(&again).await, 5);
    again.stop().await;
    // What was written stays, whatever becomes of the process.
    let quick = given(&upstream, "usage: {flush_ms: 10}").dir(dir.path()).start_again().await;
    send(&quick, "a", &ask("q"), "").await;
    written(&quick, 6).await;
    let crashed = quick.crashed();
    let other = given(&upstream, "").dir(crashed.path()).start_again().await;
    assert_eq!(requests(&other).await, 6);
}

#[tokio::test]
async fn reports_come_in_pages_and_as_csv() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "usage: {flush_ms: 20}").start().await;
    for (key, tags) in [("a", "=cmd|calc, plain"), ("b", "plain"), ("c", "plain")] {
        send(&gateway, key, &ask(&format!("of {key}")), tags).await;
    }
    written(&gateway, 3).await;
    let first = admin(&gateway, "/admin/usage?group_by=key&limit=2").await.json();
    let next = first["next_cursor"].as_str().unwrap();
    assert_eq!(first["data"].as_array().unwrap().len(), 2);
    let last = admin(&gateway, &format!("/admin/usage?group_by=key&limit=2&cursor={next}")).await.json();
    assert_eq!((&last["data"][0]["key"], &last["next_cursor"]), (&json!("c"), &Value::Null));
    let csv = admin(&gateway, "/admin/usage?group_by=tag&format=csv&limit=1").await;
    assert!(csv.header("content-type").starts_with("text/csv"), "{}", csv.header("content-type"));
    assert!(!csv.header("x-askonce-next-cursor").is_empty());
    let lines: Vec<String> = csv.text().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("tag,requests,errors,input_tokens,"), "{}", lines[0]);
    assert!(lines[1].starts_with("\"'=cmd|calc\",1,0,10,5,"), "no formula: {}", lines[1]);
    for query in ["per=week", "group_by=colour", "from=then", "limit=0", "limit=x", "what=1", "format=xml", "cursor=x"]
    {
        let refused = admin(&gateway, &format!("/admin/usage?{query}")).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.text());
        assert!(refused.json()["error"]["message"].is_string(), "{query}");
    }
    for path in ["/admin/usage", "/admin/requests", "/admin/requests/x"] {
        assert_eq!(gateway.get(path).await.error(), (401, "admin_key_required".to_owned()), "{path}");
    }
    assert!(rows(&gateway, "from=2020-01-01&to=2020-02-01").await.is_empty());
}

#[tokio::test]
async fn the_log_has_requests_one_by_one_and_no_keys() {
    let upstream = Upstream::counting().await;
    let log = "usage: {flush_ms: 20}\nrequest_log: {prompts: true, redact: ['[0-9]{3}-[0-9]{4}']}";
    let gateway = given(&upstream, log).start().await;
    send(&gateway, "a", &ask(&format!("Is {UPSTREAM_KEY} or sk-a-0123456789ab or 555-1234 yours?")), "t1").await;
    send(&gateway, "b", &streamed(ask("Where is Paris?")), "").await;
    send(&gateway, "b", &streamed(ask("Where is Paris?")), "").await;
    let secret = [("authorization", "Bearer sk-a-0123456789ab"), ("cache-control", "no-store")];
    gateway.chat_with(&ask("keep nothing of this"), &secret).await;
    send(&gateway, "c", &with(ask("x"), json!({"messages": 5})), "").await;
    let list = async |query: &str| {
        let reply = admin(&gateway, &format!("/admin/requests?{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    let count = async |query: &str| list(query).await["data"].as_array().unwrap().len();
    until("five are logged", async || count("").await == 5).await;
    let latest = &list("").await["data"][0];
    assert_eq!((&latest["status"], &latest["key"], &latest["cache"]), (&json!(400), &json!("c"), &json!("none")));
    for (query, expected) in [
        ("key=b", 2),
        ("account=house", 4),
        ("account=lab", 2),
        ("tag=t1", 1),
        ("status=4xx", 1),
        ("status=200", 4),
        ("cache=hit", 1),
        ("q=where%20is%20PARIS", 2),
        ("q=sk-a-0123456789ab", 0),
        ("q=keep%20nothing", 0),
        ("model=m&provider=up&key=b&cache=miss", 1),
        ("from=2020-01-01&to=2020-01-02", 0),
    ] {
        assert_eq!(count(query).await, expected, "{query}");
    }
    let first = list("limit=2").await;
    let rest = list(&format!("limit=9&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["next_cursor"]), (3, &Value::Null));
    let oldest = rest["data"][2].clone();
    let id = oldest["id"].as_str().unwrap();
    let one = admin(&gateway, &format!("/admin/requests/{id}")).await.json();
    let text = one["request"]["messages"][0]["content"].as_str().unwrap();
    assert_eq!(text, "Is [secret] or [secret] or [redacted] yours?");
    assert_eq!(
        (&one["provider_model"], &one["cost_usd"], &one["attempts"]),
        (&json!("up-m"), &json!("0.000015"), &json!(1))
    );
    assert_eq!(one["answer"]["choices"][0]["message"]["content"], "answer 1");
    let by_request_id = admin(&gateway, &format!("/admin/requests/{}", oldest["request_id"].as_str().unwrap())).await;
    assert_eq!(by_request_id.json()["id"], oldest["id"]);
    assert_eq!(admin(&gateway, "/admin/requests/none").await.error(), (404, "request_not_found".to_owned()));
    for query in ["status=abc", "limit=501", "from=x", "colour=red"] {
        assert_eq!(admin(&gateway, &format!("/admin/requests?{query}")).await.status, 400, "{query}");
    }
    let everything = list("").await.to_string() + &one.to_string();
    assert!(!everything.contains(UPSTREAM_KEY) && !everything.contains("sk-a-0123"), "{everything}");
}

#[tokio::test]
async fn no_log_and_no_sums_where_nobody_asks_for_them() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream, "usage: {flush_ms: 10, enabled: false}").start().await;
    send(&gateway, "a", &ask("x"), "").await;
    assert!(gateway.app.doors.pipeline.records().flush().await);
    assert_eq!(requests(&gateway).await, 0);
    assert_eq!(admin(&gateway, "/admin/requests").await.json()["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_one_account_reads_what_it_used_and_nothing_else() {
    let upstream = Upstream::counting().await;
    let tokens = "tokens: [{name: lab, key: tok-lab-0123456789abcdef, roles: [viewer], scope: lab}, \
                  {name: house, key: tok-house-0123456789abcdef, roles: [key_holder], scope: house}]";
    let admin = format!("admin: {{key: {ADMIN_KEY}, {tokens}}}");
    let given = given(&upstream, "usage: {flush_ms: 20}").with(&format!("admin: {{key: {ADMIN_KEY}}}"), &admin);
    let gateway = given.start().await;
    for (key, times) in [("a", 1), ("b", 2), ("c", 4)] {
        for n in 0..times {
            assert_eq!(send(&gateway, key, &ask(&format!("{key}{n}")), "t").await.status, 200);
        }
    }
    written(&gateway, 7).await;
    let by = async |token: &str, query: &str| {
        let request = client().get(gateway.url(&format!("/admin/usage?{query}")));
        Reply::of(request.bearer_auth(format!("tok-{token}-0123456789abcdef"))).await
    };
    let requests = |reply: &Reply| {
        let rows = reply.json()["data"].as_array().unwrap().clone();
        rows.iter().map(|row| row["requests"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((requests(&by("lab", "").await), requests(&by("house", "").await)), (vec![1], vec![3]));
    assert_eq!(requests(&by("house", "group_by=key").await), [1, 2]);
    assert_eq!(requests(&by("lab", "tag=t").await), [1]);
    assert!(requests(&by("lab", "key=c").await).is_empty() && requests(&by("lab", "account=house").await).is_empty());
    let csv = by("house", "group_by=key&format=csv").await.text();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.contains("\na,1,") && !csv.contains("\nc,"), "{csv}");
    let page = by("house", "group_by=key&limit=1").await.json();
    let next = page["next_cursor"].as_str().unwrap();
    assert_eq!(requests(&by("house", &format!("group_by=key&limit=1&cursor={next}")).await), [2]);
}
