//! What the cache serves, and how callers steer it.

use crate::support::{Gate, Gateway, Given, Reply, Step, Upstream, ask, streamed, with};
use askonce::types::clock::Clock;
use serde_json::{Value, json};
use std::time::Duration;

const NEAR: &str = "cache: {semantic: {threshold: 0.6}, ttl_s: 100}";
const QUESTION: &str = "How do I reset my password?";
const REWORDED: &str = "How can I reset my password?";

fn start_of_time() -> Clock {
    Clock::manual(1_800_000_000_000)
}

async fn cache_of(gateway: &Gateway, body: &Value, headers: &[(&str, &str)]) -> String {
    gateway.chat_with(body, headers).await.cache()
}

#[tokio::test]
async fn three_tiers_answer_without_the_provider() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, NEAR).semantic().start().await;
    let fresh = gateway.chat(&ask(QUESTION)).await;
    assert_eq!((fresh.cache().as_str(), fresh.words().as_str()), ("miss/absent", "answer 1"));
    assert_eq!((fresh.header("x-askonce-provider"), fresh.header("age")), ("up", ""));
    let hits = [
        (QUESTION, "hit/exact"),
        ("hi, HOW do i   reset my password!! Thanks", "hit/normalised"),
        (REWORDED, "hit/semantic"),
    ];
    let mut ids = vec![fresh.id()];
    for (question, expected) in hits {
        let hit = gateway.chat(&ask(question)).await;
        assert_eq!((hit.cache().as_str(), hit.words().as_str()), (expected, "answer 1"));
        assert_eq!((hit.header("x-askonce-entry"), hit.header("x-askonce-provider")), ("0000000000000001", "up"));
        assert_eq!(hit.json()["usage"], fresh.json()["usage"]);
        assert_eq!(hit.header("age"), "0");
        let timing = hit.header("server-timing");
        assert!(timing.starts_with("hash;dur="), "{timing}");
        assert_eq!(timing.contains("embed;dur=") && timing.contains("search;dur="), expected == "hit/semantic");
        let similarity = hit.header("x-askonce-similarity");
        assert_eq!(similarity.parse::<f32>().is_ok_and(|it| (0.6..1.0).contains(&it)), expected == "hit/semantic");
        ids.push(hit.id());
    }
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), upstream.calls()), (4, 1), "every reply has an id of its own");
}

#[tokio::test]
async fn a_changed_number_is_vetoed() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, NEAR).semantic().start().await;
    let of = |number: u32| ask(&format!("What is the delivery status of the parcel with order number {number} today?"));
    assert_eq!(gateway.chat(&of(1234)).await.cache(), "miss/absent");
    let other = gateway.chat(&of(1235)).await;
    assert_eq!((other.cache().as_str(), other.words().as_str()), ("miss/vetoed", "answer 2"));
    assert!(other.header("x-askonce-similarity").parse::<f32>().unwrap() > 0.8);
    // Without the veto it would have been served: the similarity alone does not see it.
    let rash = Given::one(&upstream, "cache: {semantic: {threshold: 0.6, veto: false}}").semantic().start().await;
    rash.chat(&of(1234)).await;
    assert_eq!(rash.chat(&of(1235)).await.cache(), "hit/semantic");
}

#[tokio::test]
async fn another_question_is_below_the_threshold() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, NEAR).semantic().start().await;
    gateway.chat(&ask(QUESTION)).await;
    let far = gateway.chat(&ask("Wie koche ich Kartoffelsuppe?")).await;
    assert_eq!((far.cache().as_str(), far.words().as_str()), ("miss/below_threshold", "answer 2"));
    assert!(far.header("x-askonce-similarity").parse::<f32>().unwrap() < 0.6);
}

#[tokio::test]
async fn an_answer_is_replayed_in_the_form_that_is_asked() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, NEAR).semantic().start().await;
    for (question, second) in [(QUESTION, true), ("Wie koche ich Kartoffelsuppe?", false)] {
        let question = ask(question);
        let (asked, again) =
            if second { (question.clone(), streamed(question)) } else { (streamed(question.clone()), question) };
        let fresh = gateway.chat(&asked).await;
        assert_eq!(fresh.header("x-askonce-cache"), "miss");
        let hit = gateway.chat(&again).await;
        assert_eq!((hit.cache(), hit.words()), ("hit/exact".to_owned(), fresh.words()));
        assert_eq!(hit.header("content-type").starts_with("text/event-stream"), second);
        assert_ne!(hit.id(), fresh.id());
        if second {
            let chunks = hit.chunks();
            let ids: Vec<&Value> = chunks.iter().map(|chunk| &chunk["id"]).collect();
            assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
            assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
            assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
            assert_eq!(hit.events().last().map(String::as_str), Some("[DONE]"));
        } else {
            assert_eq!(hit.json()["object"], "chat.completion");
            assert_eq!(hit.json()["choices"][0]["finish_reason"], "stop");
        }
    }
}

#[tokio::test]
async fn an_entry_ages_and_expires() {
    let (upstream, clock) = (Upstream::counting().await, start_of_time());
    let gateway = Given::one(&upstream, NEAR).semantic().clock(&clock).start().await;
    gateway.chat(&ask(QUESTION)).await;
    clock.advance(Duration::from_secs(99));
    for question in [QUESTION, REWORDED] {
        let hit = gateway.chat(&ask(question)).await;
        assert_eq!((hit.header("x-askonce-cache"), hit.header("age")), ("hit", "99"));
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(gateway.chat(&ask(REWORDED)).await.header("x-askonce-cache"), "miss");
    let renewed = gateway.chat(&ask(QUESTION)).await;
    assert_ne!(renewed.words(), "answer 1");
}

#[tokio::test]
async fn cache_control_is_heeded() {
    let (upstream, clock) = (Upstream::counting().await, start_of_time());
    let gateway = Given::one(&upstream, NEAR).semantic().clock(&clock).start().await;
    let question = ask(QUESTION);
    // Nothing there yet.
    let none = gateway.chat_with(&question, &[("cache-control", "only-if-cached")]).await;
    assert_eq!(none.error(), (504, "not_cached".to_owned()));
    assert_eq!(upstream.calls(), 0);
    // `no-store` leaves nothing behind.
    assert_eq!(cache_of(&gateway, &question, &[("cache-control", "no-store")]).await, "miss/absent");
    assert_eq!(cache_of(&gateway, &question, &[]).await, "miss/absent");
    assert_eq!(gateway.entries().await, 1);
    // `only-if-cached` finds it now, in other words too.
    for question in [QUESTION, REWORDED] {
        let found = gateway.chat_with(&ask(question), &[("cache-control", "only-if-cached")]).await;
        assert_eq!(found.words(), "answer 2");
    }
    // `no-store` may still read.
    assert_eq!(cache_of(&gateway, &question, &[("cache-control", "no-store")]).await, "hit/exact");
    // `max-age` wants it young.
    clock.advance(Duration::from_secs(30));
    assert_eq!(cache_of(&gateway, &question, &[("cache-control", "max-age=30")]).await, "hit/exact");
    let young = gateway.chat_with(&question, &[("cache-control", "max-age=29")]).await;
    assert_eq!((young.cache().as_str(), young.words().as_str()), ("miss/expired", "answer 3"));
    assert_eq!(gateway.chat(&question).await.header("age"), "0");
    // `no-cache` asks anew, and what it gets takes the place of the old.
    let anew = gateway.chat_with(&question, &[("cache-control", "no-cache")]).await;
    assert_eq!((anew.cache().as_str(), anew.words().as_str()), ("bypass/no_cache", "answer 4"));
    let after = gateway.chat(&question).await;
    assert_eq!((after.cache().as_str(), after.words().as_str()), ("hit/exact", "answer 4"));
    assert_eq!(gateway.entries().await, 1);
    // Both together: past the cache altogether.
    for wish in [("cache-control", "no-cache, no-store"), ("x-askonce-cache", "bypass")] {
        assert_eq!(cache_of(&gateway, &question, &[wish]).await, "bypass/no_cache");
    }
    assert_eq!(gateway.chat(&question).await.words(), "answer 4");
}

#[tokio::test]
async fn callers_may_raise_the_bar_and_never_lower_it() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, NEAR).semantic().start().await;
    gateway.chat(&ask(QUESTION)).await;
    let store = ("cache-control", "no-store");
    assert_eq!(cache_of(&gateway, &ask(REWORDED), &[store]).await, "hit/semantic");
    let raised = cache_of(&gateway, &ask(REWORDED), &[store, ("x-askonce-threshold", "0.999")]).await;
    assert_eq!(raised, "miss/below_threshold");
    assert_eq!(cache_of(&gateway, &ask(REWORDED), &[store, ("x-askonce-cache", "exact")]).await, "miss/absent");
    let folded = ask("how do i reset my password");
    assert_eq!(cache_of(&gateway, &folded, &[store, ("x-askonce-cache", "exact")]).await, "miss/absent");
    let far = ask("Where do I find my invoice?");
    let lowered = cache_of(&gateway, &far, &[store, ("x-askonce-threshold", "0.01")]).await;
    assert_eq!(lowered, "miss/below_threshold");
}

#[tokio::test]
async fn a_callers_ttl_only_shortens() {
    let (upstream, clock) = (Upstream::counting().await, start_of_time());
    let gateway = Given::one(&upstream, NEAR).clock(&clock).start().await;
    let (short, long) = (ask("short"), ask("long"));
    gateway.chat_with(&short, &[("x-askonce-ttl-s", "10")]).await;
    gateway.chat_with(&long, &[("x-askonce-ttl-s", "100000")]).await;
    clock.advance(Duration::from_secs(11));
    assert_eq!(cache_of(&gateway, &short, &[]).await, "miss/expired");
    assert_eq!(cache_of(&gateway, &long, &[]).await, "hit/exact");
    clock.advance(Duration::from_secs(90));
    assert_eq!(cache_of(&gateway, &long, &[]).await, "miss/expired");
}

#[tokio::test]
async fn a_scope_of_the_callers_parts_their_entries() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, NEAR).semantic().start().await;
    let (one, two) = ([("x-askonce-scope", "user 1")], [("x-askonce-scope", "user 2")]);
    assert_eq!(cache_of(&gateway, &ask(QUESTION), &one).await, "miss/absent");
    for question in [QUESTION, REWORDED] {
        assert_eq!(gateway.chat_with(&ask(question), &one).await.words(), "answer 1");
    }
    assert_eq!(gateway.chat_with(&ask(QUESTION), &two).await.words(), "answer 2");
    assert_eq!(gateway.chat_with(&ask(REWORDED), &two).await.words(), "answer 2");
    assert_eq!(gateway.chat(&ask(REWORDED)).await.words(), "answer 3");
}

/// From the third time on nothing is parsed of bytes that came before: what parts two requests has to part them then, too.
#[tokio::test]
async fn what_is_known_of_the_same_bytes_parts_requests_as_before() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "cache: {ttl_s: 100}").start().await;
    let question = ask(QUESTION);
    let ways: [&[(&str, &str)]; 5] = [
        &[],
        &[("x-askonce-scope", "user 1")],
        &[("openai-beta", "assistants=v2")],
        &[("authorization", "Bearer another-token-0123456789")],
        &[("x-askonce-scope", "user 1"), ("authorization", "Bearer another-token-0123456789")],
    ];
    for round in 0..5 {
        for (at, way) in ways.iter().enumerate() {
            let expected = if round == 0 { "miss/absent" } else { "hit/exact" };
            let reply = gateway.chat_with(&question, way).await;
            let told = (reply.cache(), reply.words());
            assert_eq!(told, (expected.to_owned(), format!("answer {}", at + 1)), "{round} {way:?}");
        }
    }
    for way in ways {
        for _ in 0..4 {
            assert_eq!(cache_of(&gateway, &question, way).await, "hit/exact", "{way:?}");
        }
    }
    for round in 0..3 {
        let fresh = gateway.chat_with(&question, &[("cache-control", "no-cache")]).await;
        assert_eq!(fresh.words(), format!("answer {}", 6 + round), "a wish is heard each time");
        assert_eq!(gateway.chat_with(&question, &[("cache-control", "no-store")]).await.cache(), "hit/exact");
    }
    assert_eq!(gateway.chat(&question).await.words(), "answer 8");
}

#[tokio::test]
async fn earlier_turns_part_and_the_last_is_compared() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, NEAR).semantic().start().await;
    let talk = |first: &str, last: &str| {
        json!({"model": "m", "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": first}, {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": last}]})
    };
    let about_cats = "Tell me about cats.";
    assert_eq!(gateway.chat(&talk(about_cats, QUESTION)).await.words(), "answer 1");
    assert_eq!(gateway.chat(&talk(about_cats, REWORDED)).await.cache(), "hit/semantic");
    // One letter's case in an earlier turn is another conversation.
    assert_eq!(gateway.chat(&talk("Tell me about Cats.", QUESTION)).await.words(), "answer 2");
    assert_eq!(gateway.chat(&ask(QUESTION)).await.words(), "answer 3");
    // A turn that is not the user's has no question: only the same request fits.
    let tool = with(
        ask("x"),
        json!({"messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": QUESTION}]}),
    );
    assert_eq!(gateway.chat(&tool).await.cache(), "miss/absent");
    assert_eq!(gateway.chat(&tool).await.cache(), "hit/exact");
    let mut other = tool.clone();
    other["messages"][2]["content"] = json!(REWORDED);
    assert_eq!(gateway.chat(&other).await.cache(), "miss/absent");
}

#[tokio::test]
async fn images_count_by_their_content() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, NEAR).semantic().start().await;
    let see = |text: &str, image: &str| {
        with(
            ask(""),
            json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": image, "detail": "low"}}]}]}),
        )
    };
    let (cat, dog) = ("data:image/png;base64,aaaa", "data:image/png;base64,aaab");
    assert_eq!(gateway.chat(&see(QUESTION, cat)).await.words(), "answer 1");
    assert_eq!(gateway.chat(&see(QUESTION, cat)).await.cache(), "hit/exact");
    assert_eq!(gateway.chat(&see(REWORDED, cat)).await.cache(), "hit/semantic");
    assert_eq!(gateway.chat(&see(QUESTION, dog)).await.words(), "answer 2");
    assert_eq!(gateway.chat(&see(QUESTION, "https://pictures.example/cat.png")).await.words(), "answer 3");
    assert_eq!(gateway.chat(&see(REWORDED, dog)).await.words(), "answer 2");
}

#[tokio::test]
async fn harmless_fields_do_not_part_requests() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    gateway.chat(&ask("x")).await;
    let harmless = json!({"user": "u7", "metadata": {"a": "b"}, "stream": true, "stream_options": {"include_usage": true},
        "prompt_cache_key": "k", "safety_identifier": "s"});
    assert_eq!(gateway.chat(&with(ask("x"), harmless)).await.cache(), "hit/exact");
    // The same number written otherwise, and keys in another order, are the same request.
    let body = |text: &'static str| {
        let request = gateway.client.post(gateway.url("/v1/chat/completions"));
        Reply::of(request.header("content-type", "application/json").body(text))
    };
    body(r#"{"model":"m","messages":[{"role":"user","content":"y"}],"temperature":1}"#).await;
    let same = body(r#"{"temperature":1.0, "messages":[{"content":"y","role":"user"}],"model":"m"}"#).await;
    assert_eq!(same.cache(), "hit/exact");
}

#[tokio::test]
async fn money_and_tokens_saved_are_told() {
    let upstream = Upstream::counting().await;
    let price = "models:\n  - name: m\n    targets: [{provider: up}]\n    price: {input_usd_per_million_tokens: 100, output_usd_per_million_tokens: 2000}\n";
    let gateway = Given::one(&upstream, price).start().await;
    assert_eq!(gateway.chat(&ask("x")).await.header("x-askonce-saved-usd"), "");
    let saved = gateway.chat(&ask("x")).await.header("x-askonce-saved-usd").to_owned();
    // 10 tokens in and 5 out.
    assert_eq!(saved.parse::<f64>().unwrap(), 0.011, "{saved}");
}

#[tokio::test]
async fn the_byte_budget_is_kept() {
    let big = "lorem ".repeat(20_000);
    let said = big.clone();
    let upstream = Upstream::start(move |_| crate::support::script::answer(&said)).await;
    let gateway = Given::one(&upstream, "cache: {memory_bytes: 1MiB}").start().await;
    for number in 0..20 {
        assert_eq!(gateway.chat(&ask(&format!("q{number}"))).await.words(), big);
    }
    let held = gateway.held().await;
    let (entries, bytes) = (held["entries"].as_u64().unwrap(), held["bytes"].as_u64().unwrap());
    assert!((5..=8).contains(&entries) && bytes <= 1 << 20, "{held}");
    assert_eq!(held["evicted"].as_u64().unwrap() + entries, 20);
    assert_eq!(gateway.chat(&ask("q19")).await.cache(), "hit/exact");
    assert_eq!(gateway.chat(&ask("q0")).await.cache(), "miss/absent");
}

#[tokio::test]
async fn stale_answers_stand_in_for_a_broken_provider() {
    let clock = start_of_time();
    let upstream = Upstream::start(|seen| match seen.number {
        1 => crate::support::script::answer("old"),
        _ => crate::support::script::reply(503, &[], "{}"),
    })
    .await;
    let more = "cache: {ttl_s: 10, stale_if_error_s: 60}\nretry: {attempts: 1}";
    let gateway = Given::one(&upstream, more).clock(&clock).start().await;
    gateway.chat(&ask("x")).await;
    clock.advance(Duration::from_secs(40));
    gateway.app.doors.pipeline.cache().sweep();
    for request in [ask("x"), streamed(ask("x"))] {
        let stale = gateway.chat(&request).await;
        assert_eq!((stale.header("x-askonce-cache"), stale.words().as_str()), ("stale", "old"));
        assert_eq!(stale.header("age"), "40");
    }
    assert_eq!(upstream.calls(), 3, "the provider is asked first");
    // Only the very same request, and not for ever.
    assert_eq!(gateway.chat(&ask("y")).await.status, 503);
    clock.advance(Duration::from_secs(30));
    assert_eq!(gateway.chat(&ask("x")).await.status, 503);
}

#[tokio::test]
async fn overrides_are_for_their_tenant_and_model() {
    let upstream = Upstream::counting().await;
    let more = "auth:\n  keys:\n    - {name: a, key: key-a-0123456789ab}\n    - {name: b, key: key-b-0123456789ab}\n\
        cache:\n  semantic: {threshold: 0.6}\n  overrides:\n    - {tenant: a, enabled: false}\n    - {tenant: b, semantic: false}\n";
    let gateway = Given::one(&upstream, more).semantic().start().await;
    let (a, b) = ([("authorization", "Bearer key-a-0123456789ab")], [("authorization", "Bearer key-b-0123456789ab")]);
    for _ in 0..2 {
        assert_eq!(cache_of(&gateway, &ask(QUESTION), &a).await, "bypass/disabled");
    }
    assert_eq!(cache_of(&gateway, &ask(QUESTION), &b).await, "miss/absent");
    assert_eq!(cache_of(&gateway, &ask(QUESTION), &b).await, "hit/exact");
    assert_eq!(cache_of(&gateway, &ask(REWORDED), &b).await, "miss/absent");
}

#[tokio::test]
async fn a_stream_that_has_to_say_its_usage_is_not_served_without() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let quiet = streamed(ask(QUESTION));
    assert_eq!(gateway.chat(&quiet).await.header("x-askonce-cache"), "miss");
    assert_eq!(gateway.chat(&quiet).await.cache(), "hit/exact");
    let telling = with(quiet.clone(), json!({"stream_options": {"include_usage": true}}));
    assert_eq!(gateway.chat(&telling).await.header("x-askonce-cache"), "miss");
    assert_eq!(gateway.chat(&telling).await.cache(), "hit/exact");
    assert_eq!(gateway.chat(&quiet).await.cache(), "hit/exact");
}

#[tokio::test]
async fn every_waiting_caller_gets_the_expired_answer_when_the_provider_fails() {
    let upstream = Upstream::start(|seen| match seen.number {
        1 => crate::support::script::answer("old"),
        _ => crate::support::script::reply(500, &[], "{}"),
    })
    .await;
    let clock = start_of_time();
    let yaml = "cache: {ttl_s: 10, stale_if_error_s: 100}\nretry: {attempts: 1}\n";
    let gateway = Given::one(&upstream, yaml).clock(&clock).start().await;
    gateway.chat(&ask(QUESTION)).await;
    clock.advance(Duration::from_secs(20));
    let question = ask(QUESTION);
    let replies = futures_util::future::join_all((0..16).map(|_| gateway.chat(&question))).await;
    assert!(replies.iter().all(|reply| reply.header("x-askonce-cache") == "stale"));
}

#[tokio::test]
async fn a_purge_means_answers_under_way_too() {
    let gate = Gate::closed();
    let closed = gate.clone();
    let upstream = Upstream::start(move |_| {
        let mut steps = vec![Step::Gate(closed.clone())];
        steps.extend(crate::support::script::answer("late"));
        steps
    })
    .await;
    let gateway = Given::one(&upstream, "").start().await;
    let question = ask(QUESTION);
    let asking = gateway.chat(&question);
    let purging = async {
        upstream.called(1).await;
        gateway.purge(json!({"all": true})).await;
        gate.open();
    };
    let (first, ()) = futures_util::future::join(asking, purging).await;
    assert_eq!(first.words(), "late");
    assert_eq!(gateway.chat(&question).await.header("x-askonce-cache"), "miss");
}
