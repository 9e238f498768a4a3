//! How long answers keep, what is served past its time, and who may store how much.

use crate::support::gateway::ADMIN_KEY;
use crate::support::script::{answer, reply};
use crate::support::{Gate, Gateway, Given, Reply, Step, Upstream, ask, script, streamed, until, with};
use askonce::types::clock::Clock;
use serde_json::{Value, json};
use std::time::Duration;

const NOW_MS: u64 = 1_800_000_000_000;

async fn entry(gateway: &Gateway, id: &str) -> Value {
    let path = format!("/admin/cache/entries/{id}");
    Reply::of(gateway.client.get(gateway.url(&path)).bearer_auth(ADMIN_KEY)).await.json()
}

#[tokio::test]
async fn answers_keep_as_long_as_their_questions_say() {
    let (upstream, clock) = (Upstream::counting().await, Clock::manual(NOW_MS));
    let gateway = Given::one(&upstream, "cache: {ttl_s: 500000}").clock(&clock).start().await;
    let offers = |name: &str| json!({"tools": [{"type": "function", "function": {"name": name}}]});
    let table = [
        (ask("Who wrote Faust?"), 500_000),
        (ask("How do I reset my password?"), 86_400),
        (ask("Who won the match today?"), 3_600),
        (ask("Is it raining now?"), 300),
        (with(ask("Add two and three"), offers("add")), 3_600),
        (with(ask("Find me a shoe shop"), offers("web_search")), 300),
    ];
    for (request, keeps_s) in &table {
        gateway.chat(request).await;
        let hit = gateway.chat(request).await;
        assert_eq!(hit.cache(), "hit/exact", "{request}");
        let shown = entry(&gateway, hit.header("x-askonce-entry")).await;
        let (created, expires) = (shown["created_ms"].as_u64().unwrap(), shown["expires_ms"].as_u64().unwrap());
        assert_eq!((expires - created) / 1000, *keeps_s, "{request}");
        assert_eq!(shown["source"], "fetched");
    }
    clock.advance(Duration::from_secs(301));
    for (request, keeps_s) in &table {
        let expected = if *keeps_s > 300 { "hit/exact" } else { "miss/expired" };
        assert_eq!(gateway.chat(request).await.cache(), expected, "{request}");
    }
    let before = upstream.calls();
    for _ in 0..2 {
        assert_eq!(gateway.chat(&ask("What time is it in Rome?")).await.cache(), "bypass/volatile");
        let asked = [("x-askonce-staleness", "never")];
        assert_eq!(gateway.chat_with(&ask("Who wrote Faust?"), &asked).await.cache(), "bypass/volatile");
    }
    assert_eq!(upstream.calls(), before + 4);
    // A caller may shorten the time, also that of what is stored already, and not lengthen it.
    let minutes = [("x-askonce-staleness", "minutes")];
    assert_eq!(gateway.chat_with(&ask("Who wrote Faust?"), &minutes).await.cache(), "miss/expired");
    gateway.chat_with(&ask("Is it snowing now?"), &[("x-askonce-staleness", "static")]).await;
    clock.advance(Duration::from_secs(301));
    assert_eq!(gateway.chat(&ask("Is it snowing now?")).await.cache(), "miss/expired");
    let wrong = gateway.chat_with(&ask("x"), &[("x-askonce-staleness", "weeks")]).await;
    assert_eq!(wrong.error(), (400, "invalid_header".to_owned()));
}

#[tokio::test]
async fn an_old_answer_is_served_while_one_fetches_anew() {
    let (clock, gate) = (Clock::manual(NOW_MS), Gate::closed());
    let waits = gate.clone();
    let upstream = Upstream::start(move |seen| {
        let said = answer(&format!("answer {}", seen.number));
        if seen.number == 1 { said } else { [vec![Step::Gate(waits.clone())], said].concat() }
    })
    .await;
    let more = "cache: {ttl_s: 100, stale_while_revalidate_s: 1000, on_hang_up: abandon}";
    let gateway = Given::one(&upstream, more).clock(&clock).start().await;
    gateway.chat(&ask("x y")).await;
    clock.advance(Duration::from_secs(150));
    for asked in [ask("x y"), streamed(ask("x y")), ask("X y!")] {
        let stale = gateway.chat(&asked).await;
        assert_eq!((stale.header("x-askonce-cache"), stale.words().as_str()), ("stale", "answer 1"));
        assert_eq!((stale.header("x-askonce-reason"), stale.header("age")), ("stale_while_revalidate", "150"));
    }
    // Who wants nothing old waits for the same fetch.
    let waiting = tokio::spawn({
        let request = gateway.request(&ask("x y")).header("cache-control", "max-age=120");
        async move { Reply::of(request).await }
    });
    upstream.called(2).await;
    gate.open();
    assert_eq!(waiting.await.unwrap().words(), "answer 2");
    until("the fresh answer is stored", || async {
        let reply = gateway.chat(&ask("x y")).await;
        reply.cache() == "hit/exact" && reply.words() == "answer 2"
    })
    .await;
    assert_eq!(upstream.calls(), 2);
    // Past the window, which is no longer than the answer was fresh, nothing old is served.
    clock.advance(Duration::from_secs(201));
    let mut past = gateway.chat(&ask("x y")).await;
    for _ in 0..100 {
        // A fetch ends after its answer is stored: until then, who asks reads along, and no clock has moved for it.
        if past.cache() != "hit/flight" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        past = gateway.chat(&ask("x y")).await;
    }
    assert_eq!(past.cache(), "miss/expired");
    // Nor to one who asks for nothing past its time.
    clock.advance(Duration::from_secs(150));
    let fresh = gateway.chat_with(&ask("x y"), &[("cache-control", "max-age=149")]).await;
    assert_eq!(fresh.header("x-askonce-cache"), "miss");
}

#[tokio::test]
async fn a_failing_provider_is_not_asked_by_everybody() {
    let clock = Clock::manual(NOW_MS);
    let upstream = Upstream::start(|seen| if seen.number == 1 { answer("old") } else { reply(503, &[], "{}") }).await;
    let more = "cache: {ttl_s: 100, stale_while_revalidate_s: 50}\nretry: {attempts: 1}";
    let gateway = Given::one(&upstream, more).clock(&clock).start().await;
    gateway.chat(&ask("x")).await;
    clock.advance(Duration::from_secs(110));
    for _ in 0..20 {
        assert_eq!(gateway.chat(&ask("x")).await.words(), "old");
    }
    upstream.called(2).await;
    clock.advance(Duration::from_secs(2));
    assert_eq!(gateway.chat(&ask("x")).await.header("x-askonce-cache"), "stale");
    upstream.called(3).await;
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test]
async fn fetches_in_the_background_have_a_limit() {
    let clock = Clock::manual(NOW_MS);
    let upstream = Upstream::start(|seen| if seen.number <= 3 { answer("old") } else { vec![Step::Hang] }).await;
    let more = "cache: {ttl_s: 100, stale_while_revalidate_s: 50, revalidations: 2}";
    let gateway = Given::one(&upstream, more).clock(&clock).start().await;
    let questions = ["one", "two", "three"].map(ask);
    for question in &questions {
        gateway.chat(question).await;
    }
    clock.advance(Duration::from_secs(110));
    for question in &questions {
        assert_eq!(gateway.chat(question).await.header("x-askonce-cache"), "stale");
    }
    upstream.called(5).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(upstream.calls(), 5);
}

#[tokio::test]
async fn a_scope_stores_so_many_a_minute() {
    let (upstream, clock) = (Upstream::counting().await, Clock::manual(NOW_MS));
    let more = "cache: {quota: {scope: {inserts_per_minute: 60, insert_burst: 2}}}";
    let gateway = Given::one(&upstream, more).clock(&clock).start().await;
    let fill = |from: usize, to: usize| {
        let gateway = &gateway;
        async move {
            for number in from..to {
                assert_eq!(gateway.chat(&ask(&format!("question {number}"))).await.header("x-askonce-cache"), "miss");
            }
        }
    };
    fill(0, 5).await;
    assert_eq!(gateway.entries().await, 2);
    let elsewhere = with(ask("question 0"), json!({"temperature": 0.5}));
    gateway.chat(&elsewhere).await;
    assert_eq!(gateway.entries().await, 3);
    clock.advance(Duration::from_secs(1));
    fill(5, 8).await;
    assert_eq!(gateway.entries().await, 4);
    let metrics = gateway.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("askonce_cache_stored_total{result=\"insert_rate\"}"), "{metrics}");
}

#[tokio::test]
async fn a_scope_takes_no_more_than_its_share() {
    let upstream = Upstream::counting().await;
    let more = "cache: {eviction: lru, quota: {scope: {entries: 2}, tenant: {entries: 3}}}";
    let gateway = Given::one(&upstream, more).start().await;
    let chat = |question: &str, temperature: f64| {
        let request = with(ask(question), json!({"temperature": temperature}));
        let gateway = &gateway;
        async move { gateway.chat(&request).await.cache() }
    };
    for question in ["one", "two", "one", "three"] {
        chat(question, 0.1).await;
    }
    assert_eq!((chat("one", 0.1).await, chat("three", 0.1).await), ("hit/exact".to_owned(), "hit/exact".to_owned()));
    // Another scope of the tenant has room of its own, but not more than the tenant.
    chat("one", 0.2).await;
    chat("two", 0.2).await;
    let held = gateway.held().await;
    assert_eq!((&held["entries"], &held["evicted"]), (&json!(3), &json!(2)));
    assert_eq!(held["evicted_for"], json!({"memory": 0, "scope_quota": 1, "tenant_quota": 1}));
    assert_eq!(chat("three", 0.1).await, "hit/exact");
}

#[tokio::test]
async fn named_refusals_are_not_kept() {
    let named = "cache: {refusal_phrases: [\"I'm sorry, but\"]}";
    let table = [
        ("I'm sorry,  but I can't do that.", named, false),
        ("I'm sorry,  but I can't do that.", "", true),
        ("\"I'm sorry, but\" is how they begin.", named, true),
    ];
    for (text, more, kept) in table {
        let upstream =
            Upstream::start(move |seen| if seen.wants_stream() { script::streamed_answer(text) } else { answer(text) })
                .await;
        for request in [ask("x"), streamed(ask("x"))] {
            let gateway = Given::one(&upstream, more).start().await;
            assert_eq!(gateway.chat(&request).await.words(), text);
            assert_eq!(gateway.entries().await, u64::from(kept), "{text} {more}");
        }
    }
}
