//! Targets on trial: their share, what callers see of them, and how they are rolled back. And what a reload leaves as it was.

use crate::support::gateway::ADMIN_KEY;
use crate::support::script::{self, reply};
use crate::support::{Gateway, Given, Upstream, ask};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A gateway with a cache, whose model `m` is at `steady`, and has a canary at `new`.
fn given(steady: &Upstream, new: &str, canary: &str, more: &str) -> Given {
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: steady, kind: openai_compatible, base_url: \"${{STEADY}}\", models: [m]}}\n\
         \x20 - {{name: novel, kind: openai_compatible, base_url: \"${{NEW}}\", models: [m]}}\n\
         models:\n  - {{name: m, targets: [{{provider: steady, model: m}}{canary}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\n{more}"
    );
    Given::yaml(&yaml).variable("STEADY", &steady.url).variable("NEW", new)
}

fn canary(percent: u32, more: &str) -> String {
    format!(", {{provider: novel, model: m, canary: {{percent: {percent}{more}}}}}")
}

async fn told(gateway: &Gateway) -> Value {
    gateway.routes().await["routes"][0]["canary"].clone()
}

#[tokio::test]
async fn a_canary_gets_its_share_and_nothing_of_it_is_kept() {
    let (steady, new) = (Upstream::counting().await, Upstream::start(|_| script::answer("of the new one")).await);
    let gateway = given(&steady, &new.url, &canary(25, ""), "").start().await;
    for number in 0..200 {
        let reply = gateway.chat(&ask(&format!("question {number}"))).await;
        let of_new = reply.header("x-askonce-provider") == "novel";
        assert_eq!(reply.words() == "of the new one", of_new);
    }
    let asked = new.calls();
    // 50 are meant; 20 and 80 are five standard deviations away.
    assert!((20..=80).contains(&asked), "{asked}");
    assert_eq!(steady.calls() + asked, 200);
    assert_eq!(gateway.entries().await, steady.calls() as u64, "answers of the canary are not kept");
    let trial = told(&gateway).await;
    assert_eq!((&trial["state"], &trial["asked"], &trial["failed"]), (&json!("on"), &json!(asked), &json!(0)));
    assert_eq!(trial["others"], json!({"asked": steady.calls(), "failed": 0}));
}

#[tokio::test]
async fn a_trial_leaves_the_cache_warm() {
    let (steady, new) = (Upstream::counting().await, Upstream::start(|_| script::answer("of the new one")).await);
    let gateway = given(&steady, &new.url, "", "").start().await;
    assert_eq!(gateway.chat(&ask("one")).await.words(), "answer 1");
    let (settings, _own) = given(&steady, &new.url, &canary(100, ""), "").settings();
    gateway.app.reconfigure(&settings).await.unwrap();
    let again = gateway.chat(&ask("one")).await;
    assert_eq!((again.cache().as_str(), again.words().as_str()), ("hit/exact", "answer 1"));
    assert_eq!(gateway.chat(&ask("two")).await.words(), "of the new one");
    assert_eq!(gateway.chat(&ask("two")).await.cache(), "miss/absent", "it was not kept");
}

#[tokio::test]
async fn what_a_canary_fails_others_answer_and_it_is_rolled_back() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let new = Upstream::start(move |_| match is_well.load(Ordering::Relaxed) {
        true => script::answer("of the new one"),
        false => reply(400, &[], r#"{"error":{"message":"No such field.","type":"invalid_request_error"}}"#),
    })
    .await;
    let steady = Upstream::counting().await;
    let on_trial = canary(100, ", min_requests: 5");
    let gateway = given(&steady, &new.url, &on_trial, "cache: {enabled: false}\n").start().await;
    let trace = [("x-askonce-trace", "attempts")];
    for number in 0..8 {
        let reply = gateway.chat_with(&ask(&format!("question {number}")), &trace).await;
        assert_eq!((reply.status, reply.header("x-askonce-provider")), (200, "steady"));
        let tried = reply.header("x-askonce-attempts").starts_with("novel;outcome=400;");
        assert_eq!(tried, number < 5, "{number}: {}", reply.header("x-askonce-attempts"));
    }
    assert_eq!((new.calls(), steady.calls()), (5, 8));
    assert_eq!(told(&gateway).await["state"], "rolled_back");
    let metrics = String::from_utf8(gateway.get("/metrics").await.body.to_vec()).unwrap();
    let roll_backs = metrics.lines().filter(|line| line.starts_with("askonce_canary_roll_backs_total{"));
    assert!(
        roll_backs.clone().all(|line| line.contains("provider_name=\"novel\"")) && roll_backs.count() == 1,
        "{metrics}"
    );
    // It stays so over a reload that leaves it as it is, though it is well again.
    well.store(true, Ordering::Relaxed);
    let (settings, _own) =
        given(&steady, &new.url, &on_trial, "cache: {enabled: false}\nlog: {level: warn}\n").settings();
    gateway.app.reconfigure(&settings).await.unwrap();
    assert_eq!(gateway.chat(&ask("and now?")).await.header("x-askonce-provider"), "steady");
    let (settings, _own) = given(&steady, &new.url, &canary(100, ""), "cache: {enabled: false}\n").settings();
    gateway.app.reconfigure(&settings).await.unwrap();
    assert_eq!(gateway.chat(&ask("and with another?")).await.header("x-askonce-provider"), "novel");
}

#[tokio::test]
async fn a_request_that_is_wrong_everywhere_is_not_the_canarys_fault() {
    let wrong =
        || Upstream::start(|_| reply(400, &[], r#"{"error":{"message":"No.","type":"invalid_request_error"}}"#));
    let (steady, new) = (wrong().await, wrong().await);
    let gateway = given(&steady, &new.url, &canary(100, ", min_requests: 1"), "").start().await;
    for number in 0..10 {
        assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.status, 400);
    }
    let trial = told(&gateway).await;
    assert_eq!((&trial["state"], &trial["failed"]), (&json!("on"), &json!(0)));
    assert_eq!((new.calls(), steady.calls()), (10, 10));
}

#[tokio::test]
async fn a_canary_that_is_not_there_costs_no_request() {
    let steady = Upstream::counting().await;
    let gone = Upstream::refused().await;
    let gateway = given(&steady, &gone, &canary(50, ", error_percent: 10"), "cache: {enabled: false}\n").start().await;
    for number in 0..100 {
        assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.status, 200);
    }
    assert_eq!(steady.calls(), 100);
    let trial = told(&gateway).await;
    assert!(trial["failed"].as_u64().unwrap() >= 3 && trial["asked"] == trial["failed"], "{trial}");
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_of_targets_that_stay() {
    let steady = Upstream::start(|_| reply(503, &[], "{}")).await;
    let new = Upstream::counting().await;
    let more = "retry: {attempts: 1}\nbreaker: {failures: 2, open_ms: 60000}\ncache: {enabled: false}\n";
    let target = ", {provider: novel, model: m}";
    let with = |more: &str| given(&steady, &new.url, target, more);
    let gateway = with(more).start().await;
    for number in 0..5 {
        assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.status, 200);
    }
    assert_eq!(gateway.lane("steady", None).await["state"], "resting");
    let (settings, _own) = with(&format!("{more}log: {{level: warn}}\n")).settings();
    gateway.app.reconfigure(&settings).await.unwrap();
    let lane = gateway.lane("steady", None).await;
    assert_eq!(
        (&lane["state"], &lane["breaker"], &lane["sent"]),
        (&json!("resting"), &json!("open"), &json!(steady.calls()))
    );
    assert_eq!(gateway.lane("novel", None).await["sent"], 5);
    // Other settings are other lanes.
    let (settings, _own) = with(&more.replace("failures: 2", "failures: 3")).settings();
    gateway.app.reconfigure(&settings).await.unwrap();
    let lane = gateway.lane("steady", None).await;
    assert_eq!((&lane["state"], &lane["sent"]), (&json!("ready"), &json!(0)));
}

#[tokio::test]
async fn attempts_of_a_request_that_failed_are_told_too() {
    let (steady, new) = (Upstream::start(|_| reply(503, &[], "{}")).await, Upstream::refused().await);
    let gateway = given(&steady, &new, ", {provider: novel, model: m}", "retry: {backoff_ms: 1}\n").start().await;
    let failed = gateway.chat_with(&ask("one"), &[("x-askonce-trace", "attempts")]).await;
    let attempts = failed.header("x-askonce-attempts");
    assert!(failed.status >= 500 && attempts.contains("steady;outcome=503;dur="), "{}: {attempts}", failed.status);
    assert!(attempts.contains("novel;outcome=upstream_unreachable;dur="), "{attempts}");
    assert_eq!(gateway.chat(&ask("two")).await.header("x-askonce-attempts"), "", "untold where nobody asks");
}
