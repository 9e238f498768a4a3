//! Retries and fallback: who is asked next, how long it takes, and what the caller is told.

use crate::support::gateway::UPSTREAM_KEY;
use crate::support::script::{event, piece, reply, stream_end, stream_head, words};
use crate::support::{Gateway, Given, Step, Upstream, ask, script, streamed};
use serde_json::json;
use std::time::{Duration, Instant};

/// A gateway with two targets for `m`, the second of which is sound.
async fn two(first: &str, second: &Upstream, more: &str) -> Gateway {
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: one, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m1], api_key: {UPSTREAM_KEY}, connect_timeout_ms: 300, first_byte_timeout_ms: 200, idle_timeout_ms: 200}}\n\
         \x20 - {{name: two, kind: openai_compatible, base_url: \"${{TWO}}\", models: [m2]}}\n\
         models:\n  - {{name: m, targets: [{{provider: one, model: m1}}, {{provider: two, model: m2}}]}}\n{more}"
    );
    Given::yaml(&yaml).variable("ONE", first).variable("TWO", &second.url).start().await
}

const QUICK: &str = "retry: {attempts: 2, backoff_ms: 1, backoff_max_ms: 2}";

#[tokio::test]
async fn a_broken_first_target_is_made_good_by_the_second() {
    let huge = vec![b'x'; 70 << 20];
    let ways: Vec<(&str, Vec<Step>, usize)> = vec![
        ("500", reply(500, &[], "{}"), 2),
        ("503", reply(503, &[], "overloaded"), 2),
        ("404", reply(404, &[], "{}"), 1),
        ("401", reply(401, &[], "{}"), 1),
        ("a redirect", reply(302, &[("location", "http://127.0.0.1:1/")], ""), 2),
        ("garbage", vec![Step::Write("\x01\x02nonsense\r\n\r\n".into()), Step::Close], 2),
        ("no JSON", reply(200, &[], "<html>oops</html>"), 2),
        ("JSON of another shape", reply(200, &[], "[1,2]"), 2),
        ("an error with status 200", reply(200, &[], r#"{"error":{"message":"x"}}"#), 2),
        ("closed at once", vec![Step::Close], 2),
        ("a reset", vec![Step::Reset], 2),
        ("half a body", vec![Step::Write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into()), Step::Close], 2),
        ("hanging before the head", vec![Step::Hang], 2),
        (
            "hanging in the body",
            vec![Step::Write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".into()), Step::Hang],
            2,
        ),
        ("a wrong content type", reply(200, &[("content-type", "text/html")], "<html>"), 2),
        ("a body without end", reply(200, &[], huge), 2),
    ];
    for (what, steps, tries) in ways {
        let (first, second) = (Upstream::start(move |_| steps.clone()).await, Upstream::counting().await);
        let gateway = two(&first.url, &second, QUICK).await;
        let reply = gateway.chat(&ask("x")).await;
        assert_eq!((reply.words().as_str(), reply.header("x-askonce-provider")), ("answer 1", "two"), "{what}");
        assert_eq!((first.calls(), second.calls()), (tries, 1), "{what}");
        assert_eq!((&first.last().json()["model"], &second.last().json()["model"]), (&json!("m1"), &json!("m2")));
        assert!(second.last().header("authorization").is_none(), "the first one's key is not the second's");
    }
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_is_passed_over() {
    let second = Upstream::counting().await;
    let gateway = two(&Upstream::refused().await, &second, QUICK).await;
    assert_eq!(gateway.chat(&ask("x")).await.words(), "answer 1");
}

#[tokio::test]
async fn a_stream_that_begins_wrongly_goes_to_the_next_target() {
    let error = event(&json!({"error": {"message": "overloaded", "type": "x"}}));
    let ways: Vec<(&str, Vec<Step>)> = vec![
        ("an error event first", vec![stream_head(), piece(error), stream_end()]),
        ("garbage first", vec![stream_head(), piece("data: <oops>\n\n"), stream_end()]),
        ("nothing at all", vec![stream_head(), stream_end()]),
        ("comments only", vec![stream_head(), piece(": a\n\n: b\n\n"), stream_end()]),
        ("a reset before the first event", vec![stream_head(), Step::Reset]),
        ("a first event without end", vec![stream_head(), piece("data: ".repeat(300_000)), stream_end()]),
        ("silence", vec![stream_head(), Step::Hang]),
    ];
    for (what, steps) in ways {
        let (first, second) = (Upstream::start(move |_| steps.clone()).await, Upstream::counting().await);
        let gateway = two(&first.url, &second, QUICK).await;
        let reply = gateway.chat(&streamed(ask("x"))).await;
        assert_eq!((reply.words().as_str(), reply.header("x-askonce-provider")), ("answer 1", "two"), "{what}");
        assert_eq!((first.calls(), second.calls()), (2, 1), "{what}");
    }
}

#[tokio::test]
async fn nothing_is_tried_again_after_the_first_byte() {
    let first = Upstream::start(|_| {
        vec![stream_head(), piece(words("a")), Step::Pause(Duration::from_millis(20)), Step::Reset]
    })
    .await;
    let second = Upstream::counting().await;
    let gateway = two(&first.url, &second, QUICK).await;
    let reply = gateway.chat(&streamed(ask("x"))).await;
    assert!(reply.events().pop().unwrap().contains("\"error\""));
    assert_eq!((first.calls(), second.calls()), (1, 0));
}

#[tokio::test]
async fn the_callers_own_fault_is_not_tried_again() {
    let wrong = r#"{ "error": {"message":"max_tokens is too large","type":"invalid_request_error","param":"max_tokens","code":"x"} }"#;
    for status in [400, 413, 422] {
        let first = Upstream::start(move |_| reply(status, &[("x-request-id", "r")], wrong)).await;
        let second = Upstream::counting().await;
        let gateway = two(&first.url, &second, QUICK).await;
        let told = gateway.chat(&ask("x")).await;
        assert_eq!((told.status, told.body.as_ref()), (status, wrong.as_bytes()), "the provider's own words");
        assert_eq!((first.calls(), second.calls()), (1, 0));
    }
}

#[tokio::test]
async fn retry_after_is_waited_out_where_nobody_else_can_answer() {
    let upstream = Upstream::start(|seen| match seen.number {
        1 => reply(429, &[("retry-after", "0.3")], "{}"),
        _ => script::answer("later"),
    })
    .await;
    let gateway = Given::one(&upstream, "retry: {backoff_ms: 1}").start().await;
    let began = Instant::now();
    assert_eq!(gateway.chat(&ask("x")).await.words(), "later");
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let (seen, between) = (upstream.seen(), Duration::from_millis(295));
    assert!(seen.len() == 2 && seen[1].at - seen[0].at >= between);
}

#[tokio::test]
async fn a_retry_after_too_long_is_passed_on() {
    let limited =
        r#"{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#;
    let upstream = Upstream::start(move |_| reply(429, &[("retry-after", "3600")], limited)).await;
    let gateway = Given::one(&upstream, "").start().await;
    let told = gateway.chat(&ask("x")).await;
    assert_eq!((told.status, told.header("retry-after"), told.body.as_ref()), (429, "3600", limited.as_bytes()));
    assert_eq!(upstream.calls(), 1);
    // Another target is asked at once instead.
    let second = Upstream::counting().await;
    let gateway = two(&upstream.url, &second, "").await;
    let began = Instant::now();
    assert_eq!(gateway.chat(&ask("x")).await.words(), "answer 1");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn all_tries_together_have_a_limit() {
    let upstream = Upstream::start(|_| vec![Step::Hang]).await;
    let gateway = Given::one(&upstream, "retry: {total_timeout_ms: 150}").start().await;
    let began = Instant::now();
    let told = gateway.chat(&ask("x")).await;
    assert_eq!(told.error().0, 504);
    assert!(told.json()["error"]["message"].as_str().unwrap().contains("total_timeout_ms"));
    assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < Duration::from_secs(10));
    // As has one request as a whole.
    let endless = Upstream::start(|_| {
        let mut steps = vec![stream_head()];
        steps.extend((0..2000).flat_map(|_| [piece(words("a")), Step::Pause(Duration::from_millis(10))]));
        steps
    })
    .await;
    let gateway = Given::one(&endless, "limits: {request_timeout_ms: 200}").start().await;
    let told = gateway.chat(&streamed(ask("x"))).await;
    assert!(told.events().pop().unwrap().contains("request_timeout_ms"));
    assert_eq!(gateway.entries().await, 0);
}

#[tokio::test]
async fn the_last_error_is_told_when_all_fail() {
    let (first, second) = (
        Upstream::start(|_| reply(500, &[], "first")).await,
        Upstream::start(|_| reply(503, &[], r#"{"error":{"message":"second"}}"#)).await,
    );
    let gateway = two(&first.url, &second, QUICK).await;
    let told = gateway.chat(&ask("x")).await;
    assert_eq!((told.status, told.json()["error"]["message"].as_str()), (503, Some("second")));
    assert_eq!((first.calls(), second.calls()), (2, 2));
    let refused = Upstream::refused().await;
    let gateway = Given::yaml(
        "providers: [{name: up, kind: openai_compatible, base_url: \"${UP}\", models: [m]}]\nretry: {attempts: 1}",
    )
    .variable("UP", &refused)
    .start()
    .await;
    let told = gateway.chat(&ask("x")).await;
    assert_eq!(told.error().0, 502);
    assert!(!String::from_utf8_lossy(&told.body).contains("127.0.0.1"), "addresses are the operator's business");
}

#[tokio::test]
async fn a_refusal_of_the_gateways_key_keeps_the_key_to_itself() {
    let leaky = format!(
        r#"{{"error":{{"message":"Incorrect API key provided: {UPSTREAM_KEY}","type":"t","param":null,"code":"invalid_api_key"}}}}"#
    );
    for status in [401, 403] {
        let said = leaky.clone();
        let upstream = Upstream::start(move |_| reply(status, &[], &said)).await;
        let gateway = Given::one(&upstream, "").start().await;
        let told = gateway.chat(&ask("x")).await;
        assert_eq!(told.error(), (502, "upstream_unauthorized".to_owned()));
        assert!(!format!("{told:?}").contains(UPSTREAM_KEY));
        assert_eq!(told.header("www-authenticate"), "");
        // Where it was the caller's own key, the refusal is theirs to read.
        let said = leaky.clone();
        let upstream = Upstream::start(move |_| reply(status, &[], &said)).await;
        let yaml = "providers: [{name: up, kind: openai_compatible, base_url: \"${UP}\", models: [m]}]";
        let gateway = Given::yaml(yaml).variable("UP", &upstream.url).start().await;
        let told = gateway.chat_with(&ask("x"), &[("authorization", "Bearer mine")]).await;
        assert_eq!((told.status, told.body.as_ref()), (status, leaky.as_bytes()));
    }
}

#[tokio::test]
async fn retries_keep_to_their_budget() {
    let upstream = Upstream::start(|_| reply(500, &[], "{}")).await;
    let more = "retry: {attempts: 3, backoff_ms: 0, budget_percent: 0}";
    let gateway = Given::one(&upstream, more).start().await;
    for number in 0..30 {
        assert_eq!(gateway.chat(&ask(&format!("q{number}"))).await.status, 500);
    }
    assert_eq!(upstream.calls(), 30 + 10, "a reserve of ten, and no more");
}
