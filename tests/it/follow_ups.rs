//! Conversations: what the turns before the question part, with `cache.semantic.follow_ups` of both words.

use crate::support::{Gateway, Given, Upstream, ask, with};
use askonce::types::clock::Clock;
use serde_json::{Value, json};

const SCOPE: &str = "cache: {semantic: {threshold: 0.6}}";
const CONDENSED: &str = "cache: {semantic: {threshold: 0.6, follow_ups: condensed}}";
const FIRST: &str = "I want to cancel order 2041 and get my money back.";
const TOLD_ANEW: &str = "Hi, i want to cancel order 2041 and get my money back. Thanks!";
const QUESTION: &str = "How long does it take for the money to come?";
const REWORDED: &str = "How long will it take for the money to come?";

/// A conversation of two turns of the user.
fn talk(first: &str, question: &str) -> Value {
    with(
        ask(question),
        json!({"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": first}, {"role": "assistant", "content": "Sure."},
            {"role": "user", "content": question}]}),
    )
}

async fn tells(gateway: &Gateway, body: &Value) -> (String, String) {
    let reply = gateway.chat(body).await;
    (reply.cache(), reply.words())
}

fn told(cache: &str, words: &str) -> (String, String) {
    (cache.to_owned(), words.to_owned())
}

#[tokio::test]
async fn earlier_turns_belong_to_the_scope_unless_told_otherwise() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, SCOPE).semantic().start().await;
    assert_eq!(gateway.chat(&talk(FIRST, QUESTION)).await.words(), "answer 1");
    assert_eq!(tells(&gateway, &talk(FIRST, REWORDED)).await, told("hit/semantic", "answer 1"));
    assert_eq!(tells(&gateway, &talk(TOLD_ANEW, QUESTION)).await, told("miss/absent", "answer 2"));
    assert_eq!(tells(&gateway, &talk(TOLD_ANEW, REWORDED)).await, told("hit/semantic", "answer 2"));
}

#[tokio::test]
async fn condensed_follow_ups_find_conversations_told_in_other_words() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, CONDENSED).semantic().start().await;
    assert_eq!(gateway.chat(&talk(FIRST, QUESTION)).await.words(), "answer 1");
    assert_eq!(tells(&gateway, &talk(FIRST, QUESTION)).await, told("hit/exact", "answer 1"));
    assert_eq!(tells(&gateway, &talk(FIRST, &QUESTION.to_uppercase())).await, told("hit/normalised", "answer 1"));
    for (first, question) in [(FIRST, REWORDED), (TOLD_ANEW, QUESTION), (TOLD_ANEW, REWORDED)] {
        assert_eq!(
            tells(&gateway, &talk(first, question)).await,
            told("hit/semantic", "answer 1"),
            "{first} {question}"
        );
    }
    // By words alone, it is another conversation.
    let exact = gateway.chat_with(&talk(TOLD_ANEW, QUESTION), &[("x-askonce-cache", "exact")]).await;
    assert_eq!((exact.cache().as_str(), exact.words().as_str()), ("miss/absent", "answer 2"));
    // The question is compared by itself, too: what is shared does not make it more alike.
    assert_eq!(tells(&gateway, &talk(FIRST, "Do you sell tents?")).await.0, "miss/below_threshold");
    let raised = gateway.chat_with(&talk(FIRST, REWORDED), &[("x-askonce-threshold", "0.99")]).await;
    assert_eq!(raised.cache(), "miss/below_threshold");
}

#[tokio::test]
async fn conversations_about_something_else_are_never_shared() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, CONDENSED).semantic().start().await;
    assert_eq!(gateway.chat(&talk(FIRST, QUESTION)).await.words(), "answer 1");
    let changed = |pointer: &str, value: Value| {
        let mut body = talk(FIRST, QUESTION);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let long = "All of it. ".repeat(60);
    let others = [
        talk("I want to cancel order 2042 and get my money back.", QUESTION),
        talk("I want to cancel order 2041 and not get my money back.", QUESTION),
        talk("Where is the nearest shop?", QUESTION),
        changed("/messages/0/content", json!("Be  brief.")),
        changed("/messages/1/role", json!("assistant")),
        changed("/messages/2/content", json!(long)),
        changed("/messages/2/content", json!(format!("{long}!"))),
        with(talk(FIRST, QUESTION), json!({"temperature": 0.5})),
        with(talk(FIRST, QUESTION), json!({"tools": [{"type": "function", "function": {"name": "f"}}]})),
        // Fewer turns, more turns, none.
        with(
            ask(QUESTION),
            json!({"messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": FIRST},
            {"role": "user", "content": QUESTION}]}),
        ),
        with(
            ask(QUESTION),
            json!({"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": FIRST}, {"role": "assistant", "content": "Sure."},
            {"role": "user", "content": FIRST}, {"role": "assistant", "content": "Sure."},
            {"role": "user", "content": QUESTION}]}),
        ),
        ask(QUESTION),
    ];
    for (at, other) in others.iter().enumerate() {
        let (cache, words) = tells(&gateway, other).await;
        assert_eq!((cache.split('/').next(), words), (Some("miss"), format!("answer {}", at + 2)), "{other}");
    }
}

#[tokio::test]
async fn tenants_and_partitions_stay_apart() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, CONDENSED).semantic().start().await;
    let callers: [&[(&str, &str)]; 4] = [
        &[],
        &[("authorization", "Bearer one")],
        &[("authorization", "Bearer two")],
        &[("authorization", "Bearer two"), ("x-askonce-scope", "a")],
    ];
    for (at, caller) in callers.iter().enumerate() {
        let fresh = gateway.chat_with(&talk(FIRST, QUESTION), caller).await;
        assert_eq!((fresh.cache(), fresh.words()), ("miss/absent".to_owned(), format!("answer {}", at + 1)));
    }
    for (at, caller) in callers.iter().enumerate() {
        let hit = gateway.chat_with(&talk(TOLD_ANEW, REWORDED), caller).await;
        assert_eq!((hit.cache(), hit.words()), ("hit/semantic".to_owned(), format!("answer {}", at + 1)));
    }
}

#[tokio::test]
async fn the_word_may_change_and_the_process_restart() {
    let (upstream, clock, dir) =
        (Upstream::counting().await, Clock::manual(1_800_000_000_000), tempfile::tempdir().unwrap());
    let given = |word| Given::one(&upstream, word).semantic().clock(&clock).dir(dir.path());
    let gateway = given(CONDENSED).start().await;
    assert_eq!(gateway.chat(&talk(FIRST, QUESTION)).await.words(), "answer 1");
    assert_eq!(gateway.stop().await, 0);
    // What was stored condensed is found by its own words only while the scope counts.
    let gateway = given(SCOPE).start_again().await;
    assert_eq!((gateway.app.opened.entries, gateway.app.opened.unindexed), (1, 0));
    assert_eq!(tells(&gateway, &talk(FIRST, QUESTION)).await, told("hit/exact", "answer 1"));
    assert_eq!(tells(&gateway, &talk(TOLD_ANEW, QUESTION)).await, told("miss/absent", "answer 2"));
    assert_eq!(tells(&gateway, &talk(FIRST, REWORDED)).await, told("miss/absent", "answer 3"));
    gateway.app.reconfigure(&given(CONDENSED).settings().0).await.unwrap();
    assert_eq!(tells(&gateway, &talk(&format!("{FIRST}!"), QUESTION)).await, told("hit/semantic", "answer 1"));
    assert_eq!(tells(&gateway, &talk(TOLD_ANEW, QUESTION)).await, told("hit/exact", "answer 2"));
    // A purge by likeness finds it where it is.
    let like = json!({"like": format!("{QUESTION} Sure. {FIRST}"), "similarity": 0.8});
    assert!(gateway.purge(like).await > 0);
    assert_eq!(tells(&gateway, &talk(&format!("{FIRST}!"), QUESTION)).await.0, "miss/absent");
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn an_override_condenses_for_one_tenant() {
    let upstream = Upstream::counting().await;
    let more = "auth:\n  keys:\n    - {name: a, key: key-a-0123456789ab}\n    - {name: b, key: key-b-0123456789ab}\n\
        cache:\n  semantic: {threshold: 0.6}\n  overrides:\n    - {tenant: a, follow_ups: condensed}\n";
    let gateway = Given::one(&upstream, more).semantic().start().await;
    for (key, expected) in [("a", "hit/semantic"), ("b", "miss/absent")] {
        let bearer = format!("Bearer key-{key}-0123456789ab");
        let caller = [("authorization", bearer.as_str())];
        assert_eq!(gateway.chat_with(&talk(FIRST, QUESTION), &caller).await.cache(), "miss/absent");
        assert_eq!(gateway.chat_with(&talk(TOLD_ANEW, QUESTION), &caller).await.cache(), expected, "{key}");
    }
}
