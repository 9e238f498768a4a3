//! More requests than a target takes wait in line: tenants have turns, the line has an end, and so has the wait.

use crate::support::script::{self, Gate};
use crate::support::{Gateway, Given, Reply, Step, Upstream, ask, streamed, until};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A provider whose every answer waits for the gate.
async fn slow(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |seen| {
        let text = format!("answer {}", seen.number);
        let answer = if seen.wants_stream() { script::streamed_answer(&text) } else { script::answer(&text) };
        [vec![Step::Gate(gate.clone())], answer].concat()
    })
    .await
}

/// A gateway with three tenants before a target that takes one request at a time.
async fn narrow(upstream: &Upstream, more: &str) -> Gateway {
    let keys = ["a", "b", "c"].map(|name| format!("{{name: {name}, key: {}}}", key(name))).join(", ");
    let yaml = format!(
        "auth: {{keys: [{keys}]}}\n\
         models: [{{name: m, targets: [{{provider: up, max_in_flight: 1}}]}}]\n{more}"
    );
    Given::one(upstream, &yaml).start().await
}

fn key(tenant: &str) -> String {
    format!("key-of-tenant-{tenant}-0123456789")
}

/// Sends a question of a tenant, on a task of its own.
fn send(gateway: &Gateway, tenant: &str, question: &str) -> JoinHandle<Reply> {
    let request = gateway.request(&ask(question)).bearer_auth(key(tenant));
    tokio::spawn(Reply::of(request))
}

/// Sends it, and waits until it stands in line as the one of this number.
async fn send_in_line(gateway: &Gateway, tenant: &str, question: &str, number: usize) -> JoinHandle<Reply> {
    let sent = send(gateway, tenant, question);
    in_line(gateway, number).await;
    sent
}

/// Waits until so many are in line.
async fn in_line(gateway: &Gateway, number: usize) {
    until(&format!("{number} wait in line"), || async { waiting(gateway) == number }).await;
}

fn waiting(gateway: &Gateway) -> usize {
    gateway.app.doors.pipeline.setup().queue.waiting()
}

/// The questions that the provider was asked, in their order.
fn questions(upstream: &Upstream) -> Vec<String> {
    let question = |body: serde_json::Value| body["messages"][0]["content"].as_str().unwrap().to_owned();
    upstream.seen().iter().map(|seen| question(seen.json())).collect()
}

#[tokio::test]
async fn tenants_have_turns_and_a_full_line_refuses() {
    let gate = Gate::closed();
    let upstream = slow(&gate).await;
    let gateway = narrow(&upstream, "queue: {most: 4, most_per_tenant: 3}").await;
    let mut sent = vec![send(&gateway, "a", "a1")];
    until("the first is under way", || async { upstream.calls() == 1 }).await;
    for (at, (tenant, question)) in [("a", "a2"), ("a", "a3"), ("a", "a4")].into_iter().enumerate() {
        sent.push(send_in_line(&gateway, tenant, question, at + 1).await);
    }
    let told = send(&gateway, "a", "a5").await.unwrap();
    assert_eq!(told.error(), (429, "queue_full".to_owned()), "a tenant has no more than its share of the line");
    assert_eq!(told.header("retry-after"), "1");
    sent.push(send_in_line(&gateway, "b", "b1", 4).await);
    let told = send(&gateway, "c", "c1").await.unwrap();
    assert_eq!(told.error(), (503, "queue_full".to_owned()), "the line has an end");
    assert_eq!(told.header("retry-after"), "1");
    assert_eq!(upstream.calls(), 1, "one at a time");
    gate.open();
    for one in sent {
        let reply = one.await.unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    assert_eq!(questions(&upstream), ["a1", "a2", "b1", "a3", "a4"]);
    assert_eq!(send(&gateway, "c", "c1").await.unwrap().status, 200, "there is room again");
    assert_eq!(waiting(&gateway), 0);
    let metrics = String::from_utf8(gateway.get("/metrics").await.body.to_vec()).unwrap();
    for line in [
        "askonce_queue_waiting ",
        "askonce_queue_wait_seconds_bucket{end=\"served\",le=\"81.92\"}",
        "askonce_queue_refused_total{reason=\"tenant_full\"}",
        "askonce_queue_refused_total{reason=\"full\"}",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn a_streamed_answer_holds_its_place_to_its_end() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |seen| {
        let mut steps = script::streamed_answer(&format!("answer {}", seen.number));
        steps.insert(2, Step::Gate(held.clone()));
        steps
    })
    .await;
    let gateway = narrow(&upstream, "").await;
    let request = |question: &str| gateway.request(&streamed(ask(question))).bearer_auth(key("a"));
    let first = tokio::spawn(Reply::of(request("a1")));
    until("the first is under way", || async { upstream.calls() == 1 }).await;
    let second = tokio::spawn(Reply::of(request("a2")));
    in_line(&gateway, 1).await;
    gate.let_through(1);
    assert_eq!(first.await.unwrap().words(), "answer 1");
    until("the second has the place", || async { upstream.calls() == 2 }).await;
    gate.open();
    assert_eq!(second.await.unwrap().words(), "answer 2");
}

#[tokio::test]
async fn nobody_waits_longer_than_the_timeout() {
    let gate = Gate::closed();
    let upstream = slow(&gate).await;
    let gateway = narrow(&upstream, "queue: {timeout_ms: 150}").await;
    let first = send(&gateway, "a", "a1");
    until("the first is under way", || async { upstream.calls() == 1 }).await;
    let began = Instant::now();
    let told = send(&gateway, "b", "b1").await.unwrap();
    assert_eq!(told.error(), (503, "queue_timeout".to_owned()));
    assert!(told.json()["error"]["message"].as_str().unwrap().contains("queue.timeout_ms"));
    assert_eq!(told.header("retry-after"), "1");
    assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < Duration::from_secs(10));
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(questions(&upstream), ["a1"]);
}

#[tokio::test]
async fn who_hangs_up_leaves_the_line() {
    let gate = Gate::closed();
    let upstream = slow(&gate).await;
    // Though a fetch that has begun goes on for the cache (`on_hang_up: finish`), one that waits has cost nothing yet.
    let gateway = narrow(&upstream, "").await;
    let first = send(&gateway, "a", "a1");
    until("the first is under way", || async { upstream.calls() == 1 }).await;
    let second = send_in_line(&gateway, "b", "b1", 1).await;
    let third = send_in_line(&gateway, "c", "c1", 2).await;
    second.abort();
    in_line(&gateway, 1).await;
    gate.open();
    for one in [first, third] {
        assert_eq!(one.await.unwrap().status, 200);
    }
    assert_eq!(questions(&upstream), ["a1", "c1"]);
}

#[tokio::test]
async fn a_request_with_another_target_does_not_wait() {
    let gate = Gate::closed();
    let (upstream, other) = (slow(&gate).await, Upstream::counting().await);
    let gateway = Given::yaml(
        "providers:\n  - {name: one, kind: openai_compatible, base_url: \"${ONE}\", models: [m]}\n  \
         - {name: two, kind: openai_compatible, base_url: \"${TWO}\", models: [m]}\n\
         models: [{name: m, targets: [{provider: one, max_in_flight: 1}, {provider: two}]}]",
    )
    .variable("ONE", &upstream.url)
    .variable("TWO", &other.url)
    .start()
    .await;
    let first = tokio::spawn(Reply::of(gateway.request(&ask("x"))));
    until("the first is under way", || async { upstream.calls() == 1 }).await;
    assert_eq!(gateway.chat(&ask("y")).await.words(), "answer 1");
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!((upstream.calls(), other.calls()), (1, 1));
}

#[tokio::test]
async fn a_line_of_none_refuses_at_once() {
    let gate = Gate::closed();
    let upstream = slow(&gate).await;
    let gateway = narrow(&upstream, "queue: {most: 0}").await;
    let first = send(&gateway, "a", "a1");
    until("the first is under way", || async { upstream.calls() == 1 }).await;
    assert_eq!(send(&gateway, "b", "b1").await.unwrap().error(), (503, "queue_full".to_owned()));
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
}
