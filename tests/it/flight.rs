//! Single flight: identical misses share one call to the provider.

use crate::support::script::{last_events, piece, reply, stream_end, stream_head, words};
use crate::support::{Gate, Gateway, Given, PATIENCE, Reply, Step, Upstream, ask, script, streamed, until, with};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Sends `body` from `count` callers, and comes back when all are being served.
async fn crowd(gateway: &Arc<Gateway>, body: &Value, count: usize) -> Vec<JoinHandle<Reply>> {
    let callers = (0..count).map(|_| {
        let (gateway, body) = (gateway.clone(), body.clone());
        tokio::spawn(async move { gateway.chat(&body).await })
    });
    let callers = callers.collect();
    until("all callers are being served", || async { gateway.in_flight() >= count }).await;
    callers
}

async fn replies(callers: Vec<JoinHandle<Reply>>) -> Vec<Reply> {
    join_all(callers).await.into_iter().map(Result::unwrap).collect()
}

fn tiers(replies: &[Reply]) -> (usize, usize) {
    let count = |word: &str| replies.iter().filter(|reply| reply.header("x-askonce-cache") == word).count();
    (count("miss"), count("hit"))
}

#[tokio::test]
async fn thirty_two_identical_misses_make_one_call() {
    for body in [ask("x"), streamed(ask("x"))] {
        let gate = Gate::closed();
        let held = gate.clone();
        let upstream = Upstream::start(move |seen| {
            let rest = if seen.wants_stream() {
                script::streamed_answer("one and only answer")
            } else {
                script::answer("one and only answer")
            };
            [vec![Step::Gate(held.clone())], rest].concat()
        })
        .await;
        let gateway = Arc::new(Given::one(&upstream, "").semantic().start().await);
        let callers = crowd(&gateway, &body, 32).await;
        assert_eq!(gateway.held().await["flights"], 1);
        gate.open();
        let replies = replies(callers).await;
        assert!(replies.iter().all(|reply| reply.words() == "one and only answer"));
        let ids: HashSet<String> = replies.iter().map(Reply::id).collect();
        assert_eq!((upstream.calls(), ids.len(), tiers(&replies)), (1, 32, (1, 31)), "{body}");
        assert_eq!((&gateway.held().await["flights"], gateway.entries().await), (&json!(0), 1));
    }
}

#[tokio::test]
async fn whoever_comes_in_mid_stream_reads_along_from_the_start() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| {
        vec![
            stream_head(),
            piece(words("first ")),
            piece(words("second ")),
            Step::Gate(held.clone()),
            piece(words("third")),
            piece(last_events()),
            stream_end(),
        ]
    })
    .await;
    let gateway = Arc::new(Given::one(&upstream, "").start().await);
    let mut first = gateway.request(&streamed(ask("x"))).send().await.unwrap();
    assert!(first.chunk().await.unwrap().is_some());
    // A follower of the same kind is given the words so far before the rest is there.
    let mut second = gateway.request(&streamed(ask("x"))).send().await.unwrap();
    assert_eq!(second.headers()["x-askonce-tier"], "flight");
    let mut so_far = Vec::new();
    while !String::from_utf8_lossy(&so_far).contains("second") {
        so_far.extend(second.chunk().await.unwrap().expect("the words so far"));
    }
    // Followers that want it in another form wait for the end; those that want usage make a call of their own, together.
    let plain = crowd(&gateway, &ask("x"), 3).await;
    let usage = with(streamed(ask("x")), json!({"stream_options": {"include_usage": true}}));
    let with_usage = crowd(&gateway, &usage, 4).await;
    gate.open();
    let rest = second.bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("third"));
    for reply in replies(plain).await {
        assert_eq!((reply.words().as_str(), reply.cache().split('/').next()), ("first second third", Some("hit")));
    }
    for reply in replies(with_usage).await {
        assert_eq!(reply.words(), "first second third");
    }
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test]
async fn when_the_fetch_fails_another_takes_over() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |seen| match seen.number {
        1 => [vec![Step::Gate(held.clone())], reply(500, &[], "{}")].concat(),
        _ => script::answer("at last"),
    })
    .await;
    let gateway = Arc::new(Given::one(&upstream, "retry: {attempts: 1}").start().await);
    let callers = crowd(&gateway, &ask("x"), 8).await;
    gate.open();
    let replies = replies(callers).await;
    let failed = replies.iter().filter(|reply| reply.status == 500).count();
    assert_eq!(
        (failed, upstream.calls()),
        (1, 2),
        "the first pays for its own bad luck, one takes over, the rest share"
    );
    assert!(replies.iter().filter(|reply| reply.status == 200).all(|reply| reply.words() == "at last"));
}

#[tokio::test]
async fn a_provider_that_stays_broken_is_not_stormed() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| [vec![Step::Gate(held.clone())], reply(500, &[], "{}")].concat()).await;
    let gateway = Arc::new(Given::one(&upstream, "retry: {attempts: 1}").start().await);
    let callers = crowd(&gateway, &ask("x"), 32).await;
    gate.open();
    assert!(replies(callers).await.iter().all(|reply| reply.status == 500));
    // The first flight, and at most as many more as takeovers are allowed; callers that came to one late may add a few.
    assert!(upstream.calls() <= 6, "{} calls", upstream.calls());
}

#[tokio::test]
async fn an_error_that_is_the_requests_own_fault_is_shared() {
    let gate = Gate::closed();
    let held = gate.clone();
    let wrong =
        r#"{"error":{"message":"bad temperature","type":"invalid_request_error","param":"temperature","code":null}}"#;
    let upstream = Upstream::start(move |_| [vec![Step::Gate(held.clone())], reply(400, &[], wrong)].concat()).await;
    let gateway = Arc::new(Given::one(&upstream, "").start().await);
    let callers = crowd(&gateway, &ask("x"), 8).await;
    gate.open();
    for reply in replies(callers).await {
        assert_eq!((reply.status, reply.body.as_ref()), (400, wrong.as_bytes()));
    }
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test]
async fn a_waiter_asks_for_itself_when_its_time_is_up() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |seen| match seen.number {
        1 => [vec![Step::Gate(held.clone())], script::answer("slow")].concat(),
        _ => script::answer("quick"),
    })
    .await;
    let gateway = Arc::new(Given::one(&upstream, "cache: {flight_wait_ms: 150}").start().await);
    let slow = crowd(&gateway, &ask("x"), 1).await;
    upstream.called(1).await;
    let began = Instant::now();
    let own = gateway.chat(&ask("x")).await;
    assert_eq!((own.words().as_str(), own.header("x-askonce-cache")), ("quick", "miss"));
    assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    gate.open();
    assert_eq!(replies(slow).await[0].words(), "slow");
}

#[tokio::test]
async fn followers_get_the_answer_though_the_first_hangs_up() {
    for on_hang_up in ["finish", "abandon"] {
        let gate = Gate::closed();
        let held = gate.clone();
        let upstream = Upstream::start(move |seen| {
            let rest = if seen.wants_stream() {
                script::streamed_answer("for those who wait")
            } else {
                script::answer("for those who wait")
            };
            [vec![Step::Gate(held.clone())], rest].concat()
        })
        .await;
        let gateway = Arc::new(Given::one(&upstream, &format!("cache: {{on_hang_up: {on_hang_up}}}")).start().await);
        for body in [ask("x"), streamed(ask("y"))] {
            let before = upstream.calls();
            let leader = crowd(&gateway, &body, 1).await;
            upstream.called(before + 1).await;
            let followers = crowd(&gateway, &body, 4).await;
            // A connection of its own: dropping the request closes it.
            leader[0].abort();
            until("the first is seen to be gone", || async { gateway.in_flight() == 4 }).await;
            gate.let_through(1);
            for reply in replies(followers).await {
                assert_eq!(reply.words(), "for those who wait", "{on_hang_up}");
            }
            assert_eq!((upstream.calls(), upstream.hung_up()), (before + 1, 0), "{on_hang_up}");
        }
    }
}

#[tokio::test]
async fn who_wants_a_fresh_answer_joins_nobody() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |seen| match seen.number {
        1 => [vec![Step::Gate(held.clone())], script::answer("first")].concat(),
        number => script::answer(&format!("fresh {number}")),
    })
    .await;
    let gateway = Arc::new(Given::one(&upstream, "").start().await);
    let waiting = crowd(&gateway, &ask("x"), 1).await;
    upstream.called(1).await;
    for (number, wish) in [(2, "no-cache"), (3, "no-store"), (4, "no-cache, no-store")] {
        let reply = gateway.chat_with(&with(ask("x"), json!({})), &[("cache-control", wish)]).await;
        let expected = if wish == "no-store" { "fresh 2".to_owned() } else { format!("fresh {}", upstream.calls()) };
        assert_eq!(reply.words(), expected, "{number} {wish}");
    }
    gate.open();
    assert_eq!(replies(waiting).await[0].words(), "first");
}

#[tokio::test]
async fn tenants_do_not_share_flights() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |seen| {
        [vec![Step::Gate(held.clone())], script::answer(&format!("answer {}", seen.number))].concat()
    })
    .await;
    let gateway = Arc::new(Given::one(&upstream, "").start().await);
    let asking = |token: &'static str| {
        let gateway = gateway.clone();
        let bearer = format!("Bearer {token}");
        tokio::spawn(async move { gateway.chat_with(&ask("x"), &[("authorization", bearer.as_str())]).await })
    };
    let (one, two) = (asking("one"), asking("two"));
    upstream.called(2).await;
    gate.open();
    assert_ne!(one.await.unwrap().words(), two.await.unwrap().words());
}

#[tokio::test]
async fn a_near_question_in_flight_is_waited_for() {
    let (gate, near) = (Gate::closed(), ["How do I reset my password?", "How can I reset my password?"]);
    let held = gate.clone();
    let upstream = Upstream::start(move |seen| {
        [vec![Step::Gate(held.clone())], script::answer(&format!("answer {}", seen.number))].concat()
    })
    .await;
    let more = "cache: {semantic: {threshold: 0.6, flight_wait_ms: 15000}}";
    let gateway = Arc::new(Given::one(&upstream, more).semantic().start().await);
    let first = crowd(&gateway, &ask(near[0]), 1).await;
    upstream.called(1).await;
    let asked = |question: &'static str| {
        let gateway = gateway.clone();
        tokio::spawn(async move { gateway.chat(&ask(question)).await })
    };
    let (second, third, other) = (asked(near[1]), asked(near[1]), asked("Kartoffelsuppe mit Lauch"));
    // Only what is far goes on by itself, and numbers forbid to wait as they forbid a hit.
    upstream.called(2).await;
    let numbered = asked("How can I reset my password 2?");
    upstream.called(3).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(upstream.calls(), 3);
    gate.open();
    assert_eq!(replies(first).await[0].words(), "answer 1");
    for waited in [second, third] {
        let reply = waited.await.unwrap();
        assert_eq!((reply.header("x-askonce-cache"), reply.words().as_str()), ("hit", "answer 1"));
    }
    assert_eq!(other.await.unwrap().header("x-askonce-cache"), "miss");
    assert_eq!(numbered.await.unwrap().header("x-askonce-cache"), "miss");
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test]
async fn a_near_question_is_not_waited_for_in_vain() {
    for wait_ms in [0, 100] {
        let more = format!("cache: {{semantic: {{threshold: 0.6, flight_wait_ms: {wait_ms}}}}}");
        let upstream =
            Upstream::start(|seen| if seen.number == 1 { vec![Step::Hang] } else { script::answer("answer 2") }).await;
        let gateway = Arc::new(Given::one(&upstream, &more).semantic().start().await);
        let hanging = crowd(&gateway, &ask("How do I reset my password?"), 1).await;
        upstream.called(1).await;
        let started = Instant::now();
        let reply = gateway.chat(&ask("How can I reset my password?")).await;
        assert_eq!((reply.header("x-askonce-cache"), reply.words().as_str()), ("miss", "answer 2"));
        assert!(started.elapsed() >= Duration::from_millis(wait_ms));
        hanging.into_iter().for_each(|caller| caller.abort());
    }
}
