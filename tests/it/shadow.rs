//! Shadows of models: a request is sent to another target as well once it was answered, and nothing of that reaches a caller.

use crate::support::gateway::ADMIN_KEY;
use crate::support::script::{
    answer, chat_body, last_events, piece, reply, stream_end, stream_head, streamed_answer, words,
};
use crate::support::{Gate, Gateway, Given, Reply, Step, Upstream, ask, streamed, until, with};
use askonce::types::clock::Clock;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const LONG: &str =
    "You can change your plan at any time under Settings, then Billing, and the new price holds from then on.";
const OTHER: &str =
    "Plans are changed under Settings, then Billing; from the next month on you pay the new price that holds.";
const PRICE: &str = "price: {input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 2}";

/// A gateway's configuration with the model `m` at `real`, whose shadow is the model `s` at `shadow`; `more` of the shadow's
/// settings, and `rest` of the file.
fn given(real: &Upstream, shadow: &str, more: &str, rest: &str) -> Given {
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: real, kind: openai_compatible, base_url: \"${{REAL}}\", api_key: sk-real-0123456789, models: [m]}}\n\
         \x20 - {{name: new, kind: openai_compatible, base_url: \"${{NEW}}\", api_key: sk-shadow-0123456789, models: [s]}}\n\
         models:\n  - {{name: m, {PRICE}, targets: [{{provider: real}}], shadow: {{provider: new, model: s, percent: 100{more}}}}}\n\
         admin: {{key: {ADMIN_KEY}}}\n{rest}"
    );
    Given::yaml(&yaml).variable("REAL", &real.url).variable("NEW", shadow)
}

/// A provider that says the same to everybody.
async fn saying(text: &'static str) -> Upstream {
    Upstream::start(move |seen| if seen.wants_stream() { streamed_answer(text) } else { answer(text) }).await
}

/// What the administration tells of the shadow of the first route.
async fn told(gateway: &Gateway) -> Value {
    gateway.routes().await["routes"][0]["shadow"].clone()
}

/// Waits until `count` pairs were compared; gives what is told then.
async fn compared(gateway: &Gateway, count: u64) -> Value {
    until(&format!("{count} were compared"), || async { told(gateway).await["compared"] == count }).await;
    told(gateway).await
}

/// A little longer than a request to a shadow takes to arrive.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

#[tokio::test]
async fn answers_are_compared_and_no_caller_sees_it() {
    let (real, shadow) = (saying("Paris").await, saying("paris.").await);
    let priced = format!(", {}", PRICE.replace('1', "0.5").replace(": 2", ": 1"));
    let gateway = given(&real, &shadow.url, &priced, "").start().await;
    let reply = gateway.chat_with(&ask("What is the capital of France?"), &[("x-askonce-trace", "attempts")]).await;
    assert_eq!((reply.words().as_str(), reply.header("x-askonce-provider")), ("Paris", "real"));
    assert_eq!(reply.header("x-askonce-cost-usd"), "0.000020");
    assert!(
        reply.header("x-askonce-attempts").starts_with("real/default;outcome=ok")
            && !reply.header("x-askonce-attempts").contains("new")
    );
    let one = compared(&gateway, 1).await;
    assert_eq!(shadow.last().json(), with(ask("What is the capital of France?"), json!({"model": "s"})));
    assert_eq!(shadow.last().header("authorization"), Some("Bearer sk-shadow-0123456789"));
    assert_eq!((&one["provider"], &one["model"], &one["percent"]), (&json!("new"), &json!("s"), &json!(100.0)));
    assert_eq!((&one["asked"], &one["answered"], &one["failed"]), (&json!(1), &json!(1), &json!({})));
    assert_eq!((&one["same"], &one["different"], &one["undecided"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!(
        one["tokens"],
        json!({"pairs": 1, "real": {"input": 10, "output": 5}, "shadow": {"input": 10, "output": 5}})
    );
    let cost = &one["cost"];
    assert_eq!((&cost["micro_usd"], &cost["ratio"]), (&json!({"real": 20, "shadow": 10}), &json!(0.5)), "{cost}");
    assert_eq!(
        (&cost["spent_micro_usd"], &cost["spent_today_micro_usd"], &cost["unpriced"]),
        (&json!(10), &json!(10), &json!(0))
    );
    assert!(one["times"]["took"]["shadow"]["p95_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{one}");
    assert_eq!(
        (&one["times"]["pairs"], &one["times"]["first_token"], &one["mean_cosine"]),
        (&json!(1), &Value::Null, &Value::Null)
    );
    assert_eq!((&one["lanes"][0]["sent"], &one["lanes"][0]["provider"]), (&json!(1), &json!("new")));
    // A hit is not sent to anybody, and what the shadow said is nowhere.
    assert_eq!(gateway.chat(&ask("What is the capital of France?")).await.cache(), "hit/exact");
    a_while().await;
    assert_eq!((real.calls(), shadow.calls(), gateway.entries().await), (1, 1, 1));
    // A model without a shadow has none.
    assert_eq!(
        gateway.chat(&json!({"model": "real/m", "messages": [{"role": "user", "content": "x"}]})).await.status,
        200
    );
    a_while().await;
    assert_eq!(shadow.calls(), 1);
    let metrics = String::from_utf8(gateway.get("/metrics").await.body.to_vec()).unwrap();
    let is_there = |name: &str, labels: &[&str]| {
        metrics.lines().any(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)))
    };
    let of = ["gen_ai_request_model=\"m\"", "gen_ai_provider_name=\"new\""];
    assert!(is_there("askonce_shadow_requests_total", &[of[0], of[1], "outcome=\"answered\""]), "{metrics}");
    assert!(is_there("askonce_shadow_comparisons_total", &[of[0], "judge=\"words\"", "result=\"same\""]));
    assert!(is_there("askonce_shadow_tokens_total", &[of[1], "gen_ai_token_type=\"output\""]));
    assert!(is_there("askonce_shadow_cost_micro_usd_total", &of));
    for name in
        ["gen_ai_client_operation_duration_seconds", "askonce_cost_micro_usd_total", "askonce_upstream_attempts_total"]
    {
        assert!(!is_there(name, &[of[1]]), "{name} counts the shadow");
    }
}

#[tokio::test]
async fn streams_are_mirrored_as_streams() {
    let real = saying("one two three").await;
    let shadow = Upstream::start(|_| {
        let pause = || Step::Pause(Duration::from_millis(40));
        vec![
            stream_head(),
            pause(),
            piece(words("one ")),
            pause(),
            piece(words("two four")),
            piece(last_events()),
            stream_end(),
        ]
    })
    .await;
    let gateway = given(&real, &shadow.url, "", "cache: {enabled: false}\n").start().await;
    let reply = gateway.chat(&streamed(ask("count"))).await;
    assert_eq!(reply.words(), "one two three");
    let one = compared(&gateway, 1).await;
    assert!(shadow.last().wants_stream());
    assert_eq!((&one["different"], &one["times"]["streams"]), (&json!(1), &json!(1)));
    let ms = |what: &str, side: &str| one["times"][what][side]["p50_ms"].as_f64().unwrap();
    assert!(ms("first_token", "shadow") >= 40.0 && ms("took", "shadow") >= 80.0, "{one}");
    assert!(ms("first_token", "real") <= ms("took", "real"), "{one}");
    // Neither stream told its usage.
    assert_eq!(
        (&one["cost"]["unpriced"], &one["cost"]["ratio"], &one["tokens"]["pairs"]),
        (&json!(1), &Value::Null, &json!(0))
    );
}

#[tokio::test]
async fn a_shadow_that_fails_hangs_or_breaks_off_is_nobodys_business() {
    let real = Upstream::counting().await;
    let shadow = Upstream::start(|seen| match seen.number {
        1 => vec![stream_head(), piece(words("half")), Step::Reset],
        2 => reply(500, &[], r#"{"error":{"message":"no"}}"#),
        3 => reply(200, &[], "no json"),
        4 => vec![Step::Hang],
        _ => answer("late"),
    })
    .await;
    let rest = "cache: {enabled: false}\nlimits: {request_timeout_ms: 1500, shutdown_timeout_ms: 2000}\nbreaker: {failures: 4, open_ms: 60000}\n";
    let gateway = given(&real, &shadow.url, "", rest).start().await;
    let failed = |kind: &'static str| {
        let gateway = &gateway;
        async move {
            let what = format!("it failed: {kind}");
            until(&what, || async { told(gateway).await["failed"][kind] == 1 }).await;
        }
    };
    let failures = |count: u64| {
        let gateway = &gateway;
        async move { until("it failed once more", || async { told(gateway).await["lanes"][0]["failed"] == count }).await }
    };
    assert_eq!(gateway.chat(&streamed(ask("1"))).await.words(), "answer 1");
    failures(1).await;
    assert_eq!(gateway.chat(&ask("2")).await.words(), "answer 2");
    failed("500").await;
    assert_eq!(gateway.chat(&ask("3")).await.words(), "answer 3");
    failures(3).await;
    let began = Instant::now();
    assert_eq!(gateway.chat(&ask("4")).await.words(), "answer 4");
    assert!(began.elapsed() < Duration::from_millis(1200), "nobody waits for it");
    failed("upstream_timeout").await;
    // It is left alone now, and callers are not.
    assert_eq!(told(&gateway).await["lanes"][0]["state"], "resting");
    assert_eq!(gateway.chat(&ask("5")).await.words(), "answer 5");
    let one = told(&gateway).await;
    assert_eq!(
        (&one["dropped"]["left_alone"], &one["asked"], &one["answered"]),
        (&json!(1), &json!(4), &json!(0)),
        "{one}"
    );
    assert_eq!(gateway.lane("real", None).await["state"], "ready");
    assert_eq!((shadow.calls(), one["in_flight"].as_u64()), (4, Some(0)));
}

#[tokio::test]
async fn a_shadow_at_the_very_target_is_not_held_against_it() {
    let upstream = Upstream::start(|seen| match seen.json()["user"].as_str() {
        Some("shadow") => reply(503, &[], "{}"),
        _ => answer("hi"),
    })
    .await;
    let yaml = format!(
        "providers:\n  - {{name: one, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m], keys: [{{name: k, key: sk-one-0123456789}}]}}\n\
         models:\n  - {{name: m, targets: [{{provider: one, max_in_flight: 1}}], shadow: {{provider: one, percent: 100, params: {{user: shadow}}}}}}\n\
         admin: {{key: {ADMIN_KEY}}}\ncache: {{enabled: false}}\nbreaker: {{failures: 2, open_ms: 60000}}\n"
    );
    let gateway = Given::yaml(&yaml).variable("ONE", &upstream.url).start().await;
    for _ in 0..6 {
        assert_eq!(gateway.chat(&ask("x")).await.words(), "hi");
        until("the shadow has ended", || async { told(&gateway).await["in_flight"] == 0 }).await;
    }
    let one = told(&gateway).await;
    assert_eq!((&one["lanes"][0]["state"], &one["failed"]), (&json!("resting"), &json!({"503": 2})), "{one}");
    assert_eq!(one["dropped"]["left_alone"], 4);
    let lane = gateway.lane("one", Some("k")).await;
    assert_eq!((&lane["state"], &lane["sent"], &lane["failed"]), (&json!("ready"), &json!(6), &json!(0)), "{lane}");
}

#[tokio::test]
async fn so_many_at_a_time_and_the_end_waits_for_none() {
    let (real, gate) = (Upstream::counting().await, Gate::closed());
    let held = gate.clone();
    let shadow = Upstream::start(move |_| [vec![Step::Gate(held.clone())], answer("answer")].concat()).await;
    let gateway = given(&real, &shadow.url, ", max_in_flight: 2", "cache: {enabled: false}\n").start().await;
    for number in 1..=5 {
        assert_eq!(gateway.chat(&ask("x")).await.words(), format!("answer {number}"));
    }
    shadow.called(2).await;
    let one = told(&gateway).await;
    assert_eq!((&one["in_flight"], &one["asked"], &one["dropped"]["full"]), (&json!(2), &json!(2), &json!(3)));
    gate.let_through(2);
    compared(&gateway, 2).await;
    until("places are free", || async { told(&gateway).await["in_flight"] == 0 }).await;
    gateway.chat(&ask("x")).await;
    shadow.called(3).await;
    let began = Instant::now();
    assert_eq!(gateway.stop().await, 0, "a shadow is no request under way");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_is_not_to_be_kept_or_hangs_on_a_provider_is_not_mirrored() {
    let real = Upstream::start(|seen| match seen.target.as_str() {
        "POST /v1/responses" => reply(
            200,
            &[],
            json!({"id": "r", "object": "response", "status": "completed", "model": "m", "output": [
                {"type": "message", "id": "i", "role": "assistant", "status": "completed",
                 "content": [{"type": "output_text", "text": "hi", "annotations": []}]}]})
            .to_string(),
        ),
        _ => answer("hi"),
    })
    .await;
    let shadow = saying("hi").await;
    let gateway = given(&real, &shadow.url, "", "").start().await;
    let no_store = [("cache-control", "no-store")];
    assert_eq!(gateway.chat_with(&ask("private"), &no_store).await.words(), "hi");
    let later = json!({"model": "m", "input": "x", "background": true});
    Reply::of(gateway.post("/v1/responses", &later)).await;
    let failing = with(ask("x"), json!({"messages": 7}));
    assert_eq!(gateway.chat(&failing).await.status, 400);
    a_while().await;
    assert_eq!(shadow.calls(), 0);
    assert_eq!(told(&gateway).await["asked"], 0);
    // A bypass is mirrored, and one that may be repeated.
    assert!(gateway.chat_with(&ask("fresh"), &[("cache-control", "no-cache")]).await.cache().starts_with("bypass"));
    compared(&gateway, 1).await;
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_mirrored() {
    let (real, shadow) = (Upstream::counting().await, saying("hi").await);
    let clock = Clock::manual(1_000_000);
    let rest = "cache: {ttl_s: 100, stale_while_revalidate_s: 1000}\n";
    let gateway = given(&real, &shadow.url, "", rest).clock(&clock).start().await;
    assert_eq!(gateway.chat(&ask("x")).await.words(), "answer 1");
    compared(&gateway, 1).await;
    clock.advance(Duration::from_secs(150));
    let stale = gateway.chat(&ask("x")).await;
    assert!(stale.cache().starts_with("stale"), "{}", stale.cache());
    real.called(2).await;
    until("the fresh one is stored", || async { gateway.chat(&ask("x")).await.words() == "answer 2" }).await;
    a_while().await;
    assert_eq!((real.calls(), shadow.calls(), &told(&gateway).await["asked"]), (2, 1, &json!(1)));
}

#[tokio::test]
async fn a_caller_brings_no_key_for_it() {
    let (real, shadow) = (saying("hi").await, saying("hi").await);
    let given = given(&real, &shadow.url, "", "cache: {enabled: false}\n");
    let yaml = ", api_key: sk-shadow-0123456789";
    let gateway = given.with(yaml, "").with(", api_key: sk-real-0123456789", "").start().await;
    let reply = gateway.chat_with(&ask("x"), &[("authorization", "Bearer sk-of-the-caller-0123456789")]).await;
    assert_eq!(reply.words(), "hi");
    compared(&gateway, 1).await;
    assert_eq!(real.last().header("authorization"), Some("Bearer sk-of-the-caller-0123456789"));
    assert_eq!(shadow.last().header("authorization"), None);
}

#[tokio::test]
async fn it_stops_for_the_day_when_its_money_is_spent() {
    let (real, shadow) = (Upstream::counting().await, saying("hi").await);
    let day = Duration::from_secs(86_400);
    let clock = Clock::manual(20_000 * 86_400_000 + 1_000);
    let more = format!(", usd_per_day: 0.00003, {PRICE}");
    let gateway = given(&real, &shadow.url, &more, "cache: {enabled: false}\n").clock(&clock).start().await;
    for number in 1..=2 {
        gateway.chat(&ask("x")).await;
        compared(&gateway, number).await;
    }
    gateway.chat(&ask("x")).await;
    let one = told(&gateway).await;
    assert_eq!(
        (&one["dropped"]["over_budget"], &one["cost"]["spent_today_micro_usd"]),
        (&json!(1), &json!(40)),
        "{one}"
    );
    clock.advance(day);
    gateway.chat(&ask("x")).await;
    let one = compared(&gateway, 3).await;
    assert_eq!((&one["cost"]["spent_today_micro_usd"], &one["cost"]["spent_micro_usd"]), (&json!(20), &json!(60)));
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_of_a_shadow_that_stays() {
    let (real, shadow) = (saying("hi").await, saying("hi").await);
    let (priced, changed) = (format!(", {PRICE}"), format!(", max_in_flight: 7, {PRICE}"));
    let started = given(&real, &shadow.url, &priced, "cache: {enabled: false}\n");
    let gateway = started.start().await;
    gateway.chat(&ask("x")).await;
    compared(&gateway, 1).await;
    let reload = |given: Given| {
        let settings = given.settings().0;
        let app = gateway.app.clone();
        async move { app.reconfigure(&settings).await.unwrap() }
    };
    reload(given(&real, &shadow.url, &priced, "cache: {enabled: false}\nretry: {attempts: 2}\n")).await;
    assert_eq!(told(&gateway).await["compared"], 1);
    gateway.chat(&ask("x")).await;
    compared(&gateway, 2).await;
    reload(given(&real, &shadow.url, &changed, "cache: {enabled: false}\n")).await;
    let one = told(&gateway).await;
    assert_eq!((&one["compared"], &one["cost"]["spent_micro_usd"]), (&json!(0), &json!(0)));
    assert_eq!(one["cost"]["spent_today_micro_usd"], 40, "what was paid stays paid");
    gateway.chat(&ask("x")).await;
    compared(&gateway, 1).await;
    reload(given(&real, &shadow.url, "", "").with(", shadow: {provider: new, model: s, percent: 100}", "")).await;
    assert_eq!(told(&gateway).await, Value::Null);
    gateway.chat(&ask("x")).await;
    a_while().await;
    assert_eq!(shadow.calls(), 3);
}

#[tokio::test]
async fn patterns_wires_and_surfaces() {
    let real = saying("hi").await;
    let shadow = Upstream::start(|_| {
        reply(
            200,
            &[],
            json!({"id": "m", "type": "message", "role": "assistant", "model": "s", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 3, "output_tokens": 1}})
            .to_string(),
        )
    })
    .await;
    let yaml = format!(
        "providers:\n  - {{name: real, kind: openai_compatible, base_url: \"${{REAL}}\", models: [m]}}\n\
         \x20 - {{name: new, kind: anthropic, base_url: \"${{NEW}}\", api_key: sk-shadow-0123456789}}\n\
         models:\n  - {{name: \"gpt-*\", targets: [{{provider: real, model: \"*\"}}], shadow: {{provider: new, model: \"openai/gpt-*\", percent: 100, params: {{temperature: 0}}}}}}\n\
         admin: {{key: {ADMIN_KEY}}}\n"
    );
    let at = shadow.url.trim_end_matches("/v1");
    let gateway = Given::yaml(&yaml).variable("REAL", &real.url).variable("NEW", at).start().await;
    let asked = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9});
    assert_eq!(gateway.chat(&asked).await.words(), "hi");
    let one = compared(&gateway, 1).await;
    let sent = shadow.last().json();
    assert_eq!(
        (&sent["model"], &sent["temperature"], &sent["max_tokens"]),
        (&json!("openai/gpt-5"), &json!(0), &json!(9))
    );
    assert_eq!((&one["same"], &one["tokens"]["shadow"]["input"]), (&json!(1), &json!(3)));
    // What its provider does not serve is not sent.
    let vectors = json!({"model": "gpt-5", "input": "x"});
    Reply::of(gateway.post("/v1/embeddings", &vectors)).await;
    assert_eq!(conversations(&shadow), 1);
}

/// Requests that were no question for models.
fn conversations(upstream: &Upstream) -> usize {
    upstream.seen().iter().filter(|seen| seen.target.starts_with("POST")).count()
}

#[tokio::test]
async fn what_the_shadow_cannot_do_is_unsupported() {
    let real = Upstream::start(|_| {
        reply(
            200,
            &[],
            json!({"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}],
            "usage": {"prompt_tokens": 1, "total_tokens": 1}})
            .to_string(),
        )
    })
    .await;
    let shadow = Upstream::start(|_| reply(404, &[], "{}")).await;
    let yaml = format!(
        "providers:\n  - {{name: real, kind: openai_compatible, base_url: \"${{REAL}}\", models: [m]}}\n\
         \x20 - {{name: new, kind: anthropic, base_url: \"${{NEW}}\", api_key: sk-shadow-0123456789}}\n\
         models:\n  - {{name: m, targets: [{{provider: real}}], shadow: {{provider: new, percent: 100}}}}\nadmin: {{key: {ADMIN_KEY}}}\n"
    );
    let at = shadow.url.trim_end_matches("/v1");
    let gateway = Given::yaml(&yaml).variable("REAL", &real.url).variable("NEW", at).start().await;
    assert_eq!(Reply::of(gateway.post("/v1/embeddings", &json!({"model": "m", "input": "x"}))).await.status, 200);
    until("it is counted", || async { told(&gateway).await["failed"]["unsupported"] == 1 }).await;
    assert_eq!((conversations(&shadow), &told(&gateway).await["lanes"][0]["state"]), (0, &json!("ready")));
}

#[tokio::test]
async fn vectors_and_then_a_model_tell_what_words_cannot() {
    let real = saying(LONG).await;
    let shadow = saying(OTHER).await;
    let judge = Upstream::start(|_| answer("no")).await;
    let more = ", judge: true";
    let rest = "cache: {enabled: true, judge: {model: judge/j}}\n";
    let yaml = given(&real, &shadow.url, more, rest)
        .with("models:\n", "  - {name: judge, kind: openai_compatible, base_url: \"${JUDGE}\", models: [j]}\nmodels:\n")
        .variable("JUDGE", &judge.url);
    let gateway = yaml.semantic().start().await;
    gateway.chat(&ask("How do I change my plan?")).await;
    let one = compared(&gateway, 1).await;
    let cosine = one["mean_cosine"].as_f64().unwrap();
    assert!((0.6..0.85).contains(&cosine), "the vectors cannot tell: {cosine}");
    assert_eq!((judge.calls(), &one["different"]), (1, &json!(1)), "{one}");
    let shown = judge.last().json()["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(shown.contains(LONG) && shown.contains(OTHER) && shown.contains("How do I change my plan?"), "{shown}");
    // Without vectors and a judge nobody can tell.
    let gateway = given(&real, &shadow.url, "", "").start().await;
    gateway.chat(&ask("How do I change my plan?")).await;
    let one = compared(&gateway, 1).await;
    assert_eq!((&one["undecided"], &one["mean_cosine"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_not_compared_by_its_words() {
    let real = saying("Paris").await;
    let shadow = Upstream::start(|_| {
        let mut body = chat_body("Paris");
        body["choices"][0]["finish_reason"] = json!("length");
        reply(200, &[], body.to_string())
    })
    .await;
    let gateway = given(&real, &shadow.url, "", "").start().await;
    gateway.chat(&ask("x")).await;
    let one = compared(&gateway, 1).await;
    assert_eq!((&one["undecided"], &one["cut_off"]), (&json!(1), &json!({"real": 0, "shadow": 1})));
}

/// The lines of a file of labels.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn labels_are_kept_where_they_are_asked_for() {
    let (real, shadow) =
        (saying("Paris").await, Upstream::start(|seen| answer(["Paris.", "Rome", "Paris"][seen.number - 1])).await);
    let dir = tempfile::tempdir().unwrap();
    let gateway =
        given(&real, &shadow.url, ", labels: true", "cache: {enabled: false}\n").dir(dir.path()).start().await;
    gateway.chat(&ask("Where is my key sk-shadow-0123456789?")).await;
    compared(&gateway, 1).await;
    gateway.chat(&ask("What is the capital of France?")).await;
    compared(&gateway, 2).await;
    let file = dir.path().join("shadow-labels").join("m.jsonl");
    let theirs = "sk-of-the-caller-0123456789";
    let bearer = format!("Bearer {theirs}");
    gateway.chat_with(&ask(&format!("And {theirs}?")), &[("authorization", &bearer)]).await;
    until("three lines are written", || async { lines(&file).len() == 3 }).await;
    let written = lines(&file);
    assert_eq!(written[0]["question"], "Where is my key [secret]?");
    assert_eq!((&written[0]["hard"], &written[1]["hard"]), (&json!(false), &json!(true)));
    assert_eq!(written[1]["question"], "What is the capital of France?");
    assert_eq!(written[2]["question"], "And [secret]?");
    assert!(written[1]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{}", written[1]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }
    // Where they are not asked for, nothing of a question is kept.
    let dir = tempfile::tempdir().unwrap();
    let shadow = saying("Paris").await;
    let gateway = given(&real, &shadow.url, "", "cache: {enabled: false}\n").dir(dir.path()).start().await;
    gateway.chat(&ask("x")).await;
    compared(&gateway, 1).await;
    a_while().await;
    assert!(!dir.path().join("shadow-labels").exists());
}
