//! Budgets and limits of keys and accounts, over HTTP and over restarts.

use crate::support::gateway::{ADMIN_KEY, client};
use crate::support::script::{chat_body, reply};
use crate::support::{Gateway, Given, Reply, Upstream, ask, until};
use serde_json::{Value, json};

/// A gateway before one provider, where a million tokens cost a dollar, and one answer of the story 4 of them and a prompt 9.
fn given(upstream: &Upstream, accounts: &str, more: &str) -> Given {
    let yaml = format!(
        "providers:\n  - {{name: up, kind: openai_compatible, base_url: \"${{UP}}\", api_key: sk-up-0123456789, models: [m]}}\n\
         models:\n  - {{name: m, targets: [{{provider: up}}], price: {{input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 1}}}}\n\
         admin: {{key: {ADMIN_KEY}}}\n{accounts}\n{more}"
    );
    Given::yaml(&yaml).variable("UP", &upstream.url)
}

async fn send(gateway: &Gateway, key: &str, question: &str) -> Reply {
    let mut body = ask(question);
    body["max_tokens"] = json!(10);
    gateway.chat_with(&body, &[("authorization", &format!("Bearer sk-{key}-0123456789ab"))]).await
}

#[tokio::test]
async fn a_budget_ends_what_costs_and_not_what_is_remembered() {
    let upstream = Upstream::counting().await;
    let accounts = "accounts: [{name: house, kind: organisation, budgets: [{usd: 0.0001, per: day}]}]\n\
                    auth: {keys: [{name: a, key: sk-a-0123456789ab, account: house, tenant: t}, {name: b, key: sk-b-0123456789ab, account: house, tenant: t}]}";
    let gateway = given(&upstream, accounts, "").start().await;
    let mut answered = Vec::new();
    let refused = loop {
        let question = format!("question {}", answered.len());
        let reply = send(&gateway, if answered.len() % 2 == 0 { "a" } else { "b" }, &question).await;
        if reply.status != 200 {
            break reply;
        }
        answered.push(question);
        assert!(answered.len() < 100, "the budget never ends");
    };
    assert_eq!(refused.error(), (402, "budget_exceeded".to_owned()));
    assert!(answered.len() > 2, "{}", answered.len());
    assert_eq!(upstream.calls(), answered.len());
    let again = send(&gateway, "a", &answered[0]).await;
    assert_eq!((again.status, again.cache().as_str()), (200, "hit/exact"), "what is remembered costs nothing");
    // What was used stays used over a restart, and over a crash.
    let known = answered.len();
    let again = gateway.crashed();
    drop(again);
    assert_eq!(upstream.calls(), known);
}

#[tokio::test]
async fn a_count_that_cannot_be_ends_the_budget_and_nothing_else() {
    let upstream = Upstream::start(|_| {
        let mut body = chat_body("much");
        body["usage"] = json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX, "total_tokens": u64::MAX});
        reply(200, &[("content-type", "application/json")], body.to_string())
    })
    .await;
    let accounts = "auth: {keys: [{name: a, key: sk-a-0123456789ab, budgets: [{usd: 1, per: day}]}, \
                    {name: b, key: sk-b-0123456789ab, rate_limits: [{tokens: 1000, per: minute}]}]}";
    let dir = tempfile::tempdir().unwrap();
    let start = || given(&upstream, accounts, "").dir(dir.path());
    let gateway = start().start().await;
    for (key, code) in [("a", (402, "budget_exceeded")), ("b", (429, "rate_limit_exceeded"))] {
        assert_eq!(send(&gateway, key, "one").await.status, 200);
        assert_eq!(send(&gateway, key, "two").await.error(), (code.0, code.1.to_owned()));
    }
    // It is written down as something that can be read again.
    gateway.stop().await;
    let gateway = start().start_again().await;
    assert_eq!(send(&gateway, "a", "three").await.error(), (402, "budget_exceeded".to_owned()));
    let used = client().get(gateway.url("/admin/usage?group_by=key")).bearer_auth(ADMIN_KEY);
    assert_eq!(Reply::of(used).await.status, 200);
}

#[tokio::test]
async fn limits_are_told_in_the_callers_dialect() {
    let upstream = Upstream::counting().await;
    let accounts =
        "auth: {keys: [{name: a, key: sk-a-0123456789ab, models: ['m'], rate_limits: [{requests: 2, per: day}]}]}";
    let gateway = given(&upstream, accounts, "").start().await;
    assert_eq!(send(&gateway, "a", "one").await.status, 200);
    let other: Value = json!({"model": "up/x", "messages": [{"role": "user", "content": "x"}]});
    let refused = gateway.chat_with(&other, &[("authorization", "Bearer sk-a-0123456789ab")]).await;
    assert_eq!(refused.error(), (403, "model_not_allowed".to_owned()));
    assert_eq!(send(&gateway, "a", "two").await.status, 200);
    let refused = send(&gateway, "a", "three").await;
    assert_eq!(refused.error(), (429, "rate_limit_exceeded".to_owned()));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 1000);
    until("nothing is under way", || async { gateway.in_flight() == 0 }).await;
}

#[tokio::test]
async fn stored_answers_cost_a_share_where_the_operator_says_so() {
    let upstream = Upstream::counting().await;
    let accounts = "accounts: [{name: house, kind: organisation, budgets: [{usd: 0.00004, per: ever}]}]\n\
                    auth: {keys: [{name: a, key: sk-a-0123456789ab, account: house}]}";
    let gateway = given(&upstream, accounts, "cache: {hit_cost_percent: 20}\n").start().await;
    let first = send(&gateway, "a", "x").await;
    assert_eq!((first.status, first.header("x-askonce-cost-usd")), (200, "0.000015"), "{}", first.text());
    // 40 less 15, by 3.
    for _ in 0..8 {
        let hit = send(&gateway, "a", "x").await;
        assert_eq!(hit.cache(), "hit/exact", "{}", hit.text());
        assert_eq!((hit.header("x-askonce-cost-usd"), hit.header("x-askonce-saved-usd")), ("0.000003", "0.000012"));
    }
    assert_eq!(send(&gateway, "a", "x").await.error(), (402, "budget_exceeded".to_owned()));
    let usage = async || {
        let request = gateway.client.get(gateway.url("/admin/usage?group_by=cache")).bearer_auth(ADMIN_KEY);
        crate::support::Reply::of(request).await.json()["data"].clone()
    };
    until("all is told", || async {
        let rows = usage().await;
        let hits = rows.as_array().unwrap().iter().find(|row| row["cache"] == "hit" && row["errors"] == 0).cloned();
        hits.is_some_and(|row| row["cost_usd"] == "0.000024" && row["saved_usd"] == "0.000096")
    })
    .await;
}

#[tokio::test]
async fn models_are_listed_for_who_may_ask_for_them() {
    let upstream = Upstream::counting().await;
    let accounts = "accounts: [{name: house, kind: organisation, models: ['m*']}]\n\
                    auth: {keys: [{name: a, key: sk-a-0123456789ab, account: house, models: ['m', 'x']}, {name: b, key: sk-b-0123456789ab}]}";
    let given = given(&upstream, accounts, "").with("models: [m]}", "models: [m, m2, x]}");
    let gateway = given.start().await;
    let listed = async |key: &str| {
        let request = gateway.client.get(gateway.url("/v1/models")).bearer_auth(format!("sk-{key}-0123456789ab"));
        let told = crate::support::Reply::of(request).await.json();
        told["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("a").await, ["m"]);
    assert_eq!(listed("b").await, ["m", "m2", "x"]);
    let one = gateway.client.get(gateway.url("/v1/models/x")).bearer_auth("sk-a-0123456789ab");
    assert_eq!(crate::support::Reply::of(one).await.error(), (404, "model_not_found".to_owned()));
}

/// Two providers of one model, the dear one first.
fn two(dear: &Upstream, cheap: &Upstream, key: &str) -> Given {
    let price = "price: {input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 1}";
    let yaml = format!(
        "providers:\n  - {{name: dear, kind: openai_compatible, base_url: \"${{DEAR}}\", api_key: sk-up-0123456789, models: [m]}}\n\
         \x20 - {{name: cheap, kind: openai_compatible, base_url: \"${{CHEAP}}\", api_key: sk-up-0123456789, models: [m]}}\n\
         models:\n  - {{name: m, targets: [{{provider: dear}}, {{provider: cheap}}], {price}}}\n\
         \x20 - {{name: n, targets: [{{provider: cheap, model: m, when: \"budget.used > 0.5\"}}, {{provider: dear, model: m}}], {price}}}\n\
         \x20 - {{name: o, targets: [{{provider: cheap, model: m, when: \"limits.requests >= 0.5\"}}, {{provider: dear, model: m}}], {price}}}\n\
         admin: {{key: {ADMIN_KEY}}}\nretry: {{attempts: 1}}\nauth: {{keys: [{{name: a, key: sk-a-0123456789ab, {key}}}]}}\n"
    );
    Given::yaml(&yaml).variable("DEAR", &dear.url).variable("CHEAP", &cheap.url)
}

#[tokio::test]
async fn what_is_used_up_at_one_provider_is_asked_of_the_next() {
    let (dear, cheap) = (Upstream::counting().await, Upstream::counting().await);
    let gateway = two(&dear, &cheap, "budgets: [{usd: 0.00006, per: ever, providers: [de*]}]").start().await;
    let mut from = Vec::new();
    for number in 0..8 {
        let reply = send(&gateway, "a", &format!("question {number}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        from.push(reply.header("x-askonce-provider").to_owned());
    }
    let (first, rest) = from.split_at(dear.calls());
    assert!(!first.is_empty() && first.iter().all(|one| one == "dear"), "{from:?}");
    assert!(!rest.is_empty() && rest.iter().all(|one| one == "cheap"), "{from:?}");
    let key = gateway.client.get(gateway.url("/admin/keys/a")).bearer_auth(ADMIN_KEY);
    let shown = crate::support::Reply::of(key).await.json();
    // What others answered is not counted there: 15 tokens each.
    assert_eq!(shown["standing"][0]["used"], json!(dear.calls() as f64 * 15.0 / 1e6), "{shown}");
    // A stored answer is nobody's.
    assert_eq!(send(&gateway, "a", "question 0").await.cache(), "hit/exact");
    gateway.stop().await;

    // Where it is used up everywhere, that is said.
    let limits =
        "rate_limits: [{requests: 1, per: hour, providers: [dear]}, {requests: 1, per: hour, providers: [cheap]}]";
    let gateway = two(&dear, &cheap, limits).start().await;
    let served: Vec<String> = [send(&gateway, "a", "one").await, send(&gateway, "a", "two").await]
        .map(|one| one.header("x-askonce-provider").to_owned())
        .into();
    assert_eq!(served, ["dear", "cheap"]);
    let refused = send(&gateway, "a", "three").await;
    assert_eq!(refused.error(), (429, "rate_limit_exceeded".to_owned()));
    assert!(refused.text().contains("`cheap`") && !refused.header("retry-after").is_empty(), "{}", refused.text());
    let models = gateway.client.get(gateway.url("/v1/models")).bearer_auth("sk-a-0123456789ab");
    assert_eq!(crate::support::Reply::of(models).await.status, 200, "what no provider answers is not counted");
}

#[tokio::test]
async fn what_a_provider_did_not_answer_is_not_counted_there() {
    let failing = Upstream::start(|_| crate::support::script::reply(500, &[], "{}")).await;
    let cheap = Upstream::counting().await;
    let limits = "rate_limits: [{requests: 2, per: hour, providers: [dear]}, {concurrent: 1, providers: [dear, cheap]}], budgets: [{usd: 1, per: ever, providers: [dear]}]";
    let gateway = two(&failing, &cheap, limits).start().await;
    for number in 0..4 {
        let reply = send(&gateway, "a", &format!("question {number}")).await;
        assert_eq!((reply.status, reply.header("x-askonce-provider")), (200, "cheap"), "{}", reply.text());
    }
    let key = gateway.client.get(gateway.url("/admin/keys/a")).bearer_auth(ADMIN_KEY);
    let shown = crate::support::Reply::of(key).await.json();
    assert!(
        shown["standing"].as_array().unwrap().iter().all(|one| one["used"] == json!(0) || one["used"] == json!(0.0)),
        "{shown}"
    );
}

#[tokio::test]
async fn conditions_ask_how_much_is_used() {
    let (dear, cheap) = (Upstream::counting().await, Upstream::counting().await);
    let gateway = two(
        &dear,
        &cheap,
        "budgets: [{usd: 0.0001, per: ever}], rate_limits: [{requests: 4, per: hour, window: calendar, models: [o]}]",
    )
    .start()
    .await;
    let ask_for = async |model: &str, number: usize| {
        let mut body = ask(&format!("question {number}"));
        body["model"] = model.into();
        body["max_tokens"] = json!(10);
        let reply = gateway.chat_with(&body, &[("authorization", "Bearer sk-a-0123456789ab")]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.header("x-askonce-provider").to_owned()
    };
    let mut from = Vec::new();
    for number in 0..5 {
        from.push(ask_for("n", number).await);
    }
    // 15 micro-dollars each, of 100.
    assert_eq!(from, ["dear", "dear", "dear", "dear", "cheap"]);
    gateway.stop().await;
    let gateway = two(&dear, &cheap, "rate_limits: [{requests: 4, per: hour, window: calendar}]").start().await;
    let mut from = Vec::new();
    for number in 0..4 {
        let mut body = ask(&format!("question {number}"));
        body["model"] = "o".into();
        let reply = gateway.chat_with(&body, &[("authorization", "Bearer sk-a-0123456789ab")]).await;
        from.push(reply.header("x-askonce-provider").to_owned());
    }
    assert_eq!(from, ["dear", "dear", "cheap", "cheap"]);
}

#[tokio::test]
async fn what_answers_usually_come_to_may_be_reserved() {
    let upstream = Upstream::start(|seen| {
        let mut steps = vec![crate::support::script::Step::Pause(std::time::Duration::from_millis(
            if seen.json()["messages"][0]["content"].as_str().unwrap().contains("slow") { 300 } else { 0 },
        ))];
        steps.extend(crate::support::script::answer("well done"));
        steps
    })
    .await;
    for (more, at_once) in [("", 1), ("reservation: learned", 4)] {
        // Answers of 1,600 tokens at most, 5 of which come: after 50 of them there is room for one of the longest.
        let accounts = "auth: {keys: [{name: a, key: sk-a-0123456789ab, budgets: [{usd: 0.003, per: ever}]}]}\ncache: {enabled: false}";
        let gateway = std::sync::Arc::new(given(&upstream, accounts, more).start().await);
        let ask_for = async |gateway: &Gateway, question: String| {
            let mut body = ask(&question);
            body["max_tokens"] = json!(1_600);
            gateway.chat_with(&body, &[("authorization", "Bearer sk-a-0123456789ab")]).await.status
        };
        for number in 0..50 {
            assert_eq!(ask_for(&gateway, format!("question {number}")).await, 200);
        }
        let asked: Vec<_> = (0..4)
            .map(|number| {
                let gateway = gateway.clone();
                tokio::spawn(async move { ask_for(&gateway, format!("slow {number}")).await })
            })
            .collect();
        let mut answered = 0;
        for one in asked {
            answered += usize::from(one.await.unwrap() == 200);
        }
        assert_eq!(answered, at_once, "{more}");
    }
}
