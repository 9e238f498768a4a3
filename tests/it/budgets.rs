//! Budgets and limits of keys and accounts, over HTTP and over restarts.

use crate::support::gateway::ADMIN_KEY;
use crate::support::{Gateway, Given, Upstream, ask, until};
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

async fn send(gateway: &Gateway, key: &str, question: &str) -> crate::support::Reply {
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
