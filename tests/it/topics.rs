//! Conditions that ask what a question is about and whether it is hard: told before a request is sent, and never for a hit.

use crate::support::gateway::ADMIN_KEY;
use crate::support::process::run;
use crate::support::script::{answer, reply};
use crate::support::{Gateway, Given, Reply, Upstream, ask, streamed};
use askonce::routing::complexity::{Row, Settings, train};
use askonce_models::Embedder;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

const TOPICS: &str = "topics:\n  - {name: legal, at_least: 0.5, examples: [What does the indemnity clause of the contract mean?, \
    Is the liability clause of this contract valid?]}\n  - {name: cooking, at_least: 0.5, examples: [How long do I boil potatoes for \
    the soup?, How do I bake bread without yeast?]}\n";
const LEGAL: &str = "What does the liability clause of the contract mean?";
const COOKING: &str = "How long do I boil the potatoes?";
const OTHER: &str = "Who won yesterday?";

/// Two providers; `m` goes to the first where `when` is true, else to the second.
fn given(upstreams: [&Upstream; 2], when: &str, more: &str) -> Given {
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: one, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m1]}}\n\
         \x20 - {{name: two, kind: openai_compatible, base_url: \"${{TWO}}\", models: [m2]}}\n\
         models:\n  - name: m\n    targets:\n      - {{provider: one, model: m1, when: {}}}\n      - {{provider: two, model: m2}}\n\
         admin: {{key: {ADMIN_KEY}}}\n{more}",
        json!(when)
    );
    Given::yaml(&yaml).variable("ONE", &upstreams[0].url).variable("TWO", &upstreams[1].url)
}

/// Whose answer it is, and how the cache came by it; why it is a miss does not matter.
fn from(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let cache = reply.cache();
    let cache = if cache.starts_with("miss/") { "miss" } else { &cache };
    format!("{} {cache}", reply.header("x-askonce-provider"))
}

/// How often the sentence model was asked for a vector.
fn asked(embedder: &Embedder) -> u64 {
    let memo = embedder.stats().memo;
    memo.hits + memo.misses
}

async fn explain(gateway: &Gateway, body: &Value) -> Value {
    let request = gateway.post("/admin/cache/explain", &json!({"request": body})).bearer_auth(ADMIN_KEY);
    let reply = Reply::of(request).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    reply.json()
}

#[tokio::test]
async fn a_topic_says_which_target_is_asked_and_a_hit_pays_for_no_embedding() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let embedder = Embedder::fake(384);
    let gateway = given([&one, &two], "topic == 'legal'", TOPICS).embedder(embedder.clone()).start().await;
    assert_eq!(asked(&embedder), 4, "every example once");
    for (question, expected) in [(LEGAL, "one"), (COOKING, "two"), (OTHER, "two")] {
        let before = asked(&embedder);
        assert_eq!(from(&gateway.chat(&ask(question)).await), format!("{expected} miss"), "{question}");
        assert_eq!(asked(&embedder), before + 1, "the lookup's vector is the condition's");
    }
    let before = asked(&embedder);
    for (question, expected) in [(LEGAL, "one"), (COOKING, "two")] {
        assert_eq!(from(&gateway.chat(&ask(question)).await), format!("{expected} hit/exact"), "{question}");
    }
    assert_eq!(asked(&embedder), before);
    assert_eq!((one.calls(), two.calls()), (1, 2));
    let streamed = gateway.chat(&streamed(ask("Is the indemnity clause of this contract valid?"))).await;
    assert!(from(&streamed).starts_with("one miss"), "{}", from(&streamed));
    let claude = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": LEGAL}]});
    assert_eq!(from(&Reply::of(gateway.post("/v1/messages", &claude)).await), "one miss");
}

#[tokio::test]
async fn without_a_lookup_by_meaning_the_question_is_embedded_to_send_it() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    for (more, cache) in [
        ("cache: {enabled: false}\n", "bypass/disabled"),
        ("cache: {semantic: {enabled: false}}\n", "miss"),
        ("cache: {semantic: {judgement: static}}\n", "miss"),
    ] {
        let embedder = Embedder::fake(384);
        let given = given([&one, &two], "topic == 'legal'", &format!("{TOPICS}{more}")).embedder(embedder.clone());
        let gateway = given.start().await;
        for (question, expected) in [(LEGAL, "one"), (COOKING, "two")] {
            let before = asked(&embedder);
            let reply = gateway.chat(&ask(question)).await;
            assert_eq!(from(&reply), format!("{expected} {cache}"), "{question}");
            assert_eq!(asked(&embedder), before + 1, "{more}");
        }
        let fresh = gateway.chat_with(&ask(LEGAL), &[("cache-control", "no-cache")]).await;
        assert_eq!(fresh.header("x-askonce-provider"), "one", "{more}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_false() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    // No sentence model.
    for when in ["topic == 'legal'", "topic == ''", "topic != 'cooking'"] {
        let gateway = given([&one, &two], when, TOPICS).start().await;
        assert_eq!(from(&gateway.chat(&ask(LEGAL)).await), "two miss", "{when}");
    }
    // No question.
    let gateway = given([&one, &two], "topic == ''", TOPICS).semantic().start().await;
    assert!(from(&gateway.chat(&ask(" ")).await).starts_with("two "));
    assert!(from(&gateway.chat(&ask(OTHER)).await).starts_with("one "), "which is of none");
    // Nothing of what is passed on is read.
    let (one, two) =
        (Upstream::start(|_| reply(200, &[], "[1]")).await, Upstream::start(|_| reply(200, &[], "[2]")).await);
    let gateway = given([&one, &two], "topic == 'legal' || topic == ''", TOPICS).semantic().start().await;
    let told = Reply::of(gateway.post("/v1/moderations", &json!({"model": "m", "input": LEGAL}))).await;
    assert_eq!((told.status, told.json()), (200, json!([2])));
}

#[tokio::test]
async fn where_no_target_is_left_the_caller_is_told_and_what_is_mixed_is_told_as_a_whole() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let given = given([&one, &two], "topic == 'legal' && headers['x-tier'] == 'gold'", TOPICS).semantic();
    let gateway = given.start().await;
    let gold = [("x-tier", "gold")];
    assert_eq!(from(&gateway.chat_with(&ask(LEGAL), &gold).await), "one miss");
    assert_eq!(from(&gateway.chat_with(&ask(COOKING), &gold).await), "two miss");
    // Before anything is embedded both take the request: the answer is shared.
    assert_eq!(from(&gateway.chat(&ask(LEGAL)).await), "one hit/exact");
    let fresh = gateway.chat_with(&ask(LEGAL), &[("cache-control", "no-cache")]).await;
    assert_eq!(fresh.header("x-askonce-provider"), "two");

    let only = "  - name: n\n    targets: [{provider: one, model: m1, when: \"topic == 'legal'\"}]\n";
    let yaml = format!(
        "providers: [{{name: one, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m1]}}]\nmodels:\n{only}{TOPICS}"
    );
    let gateway = Given::yaml(&yaml).variable("ONE", &one.url).semantic().start().await;
    let ask = |question: &str| json!({"model": "n", "messages": [{"role": "user", "content": question}]});
    assert_eq!(from(&gateway.chat(&ask(LEGAL)).await), "one miss");
    let refused = gateway.chat(&ask(OTHER)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (404, &json!("no_target_for_request")));
    let calls = one.calls();
    let again = gateway.chat(&ask(OTHER)).await;
    assert_eq!((again.status, one.calls()), (404, calls), "nothing was sent, or kept");
}

/// What was learned of easy and hard questions by the vectors of the fake sentence model of this width; in a folder.
fn learned(width: usize) -> (TempDir, PathBuf) {
    let embedder = Embedder::fake(width);
    let question = |n: usize| match n % 2 {
        0 => (format!("What is the capital city of country number {n}?"), false),
        _ => (format!("Prove the theorem number {n} and derive its bound; explain each step."), true),
    };
    let questions: Vec<(String, bool)> = (0..60).map(question).collect();
    let texts: Vec<&str> = questions.iter().map(|(text, _)| text.as_str()).collect();
    let vectors = embedder.embed_batch(&texts, &|_| ()).unwrap();
    let rows: Vec<Row<'_>> = questions
        .iter()
        .zip(&vectors)
        .map(|((text, hard), one)| Row { vector: &one.vector, text, hard: *hard })
        .collect();
    let model = train(&rows, &Settings { model: "fake".to_owned(), max_loss: 0.0, seed: 1 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("learned.json");
    std::fs::write(&file, model.to_bytes().unwrap()).unwrap();
    (folder, file)
}

const HARD: &str = "Prove this theorem and derive a bound; explain every step.";
const EASY: &str = "What is the capital city of Norway?";

#[tokio::test]
async fn hard_questions_go_to_the_stronger_model() {
    let (_folder, file) = learned(384);
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let more = format!("complexity: {{file: {}}}\n", json!(file));
    for when in ["hard", "complexity > 0.5 && model == 'm'"] {
        let gateway = given([&one, &two], when, &more).semantic().start().await;
        assert_eq!(from(&gateway.chat(&ask(HARD)).await), "one miss", "{when}");
        assert_eq!(from(&gateway.chat(&ask(EASY)).await), "two miss", "{when}");
        assert_eq!(from(&gateway.chat(&ask(HARD)).await), "one hit/exact", "{when}");
    }
    let gateway = given([&one, &two], "hard", &more).start().await;
    assert!(from(&gateway.chat(&ask(HARD)).await).starts_with("two "), "there is no sentence model");
}

#[tokio::test]
async fn what_was_learned_for_another_model_or_is_damaged_stops_the_start() {
    let upstream = Upstream::counting().await;
    let (folder, file) = learned(64);
    let garbage = folder.path().join("garbage.json");
    std::fs::write(&garbage, "{}").unwrap();
    let table = [
        (&file, "it was trained on fake with 64 components, and the sentence model is fake with 384"),
        (&garbage, "it is no file of `askonce complexity train`"),
        (&folder.path().join("none.json"), "none.json (`complexity.file`): "),
    ];
    for (file, expected) in table {
        let more = format!("complexity: {{file: {}}}\n", json!(file));
        let built = given([&upstream, &upstream], "hard", &more).semantic().build().await;
        let why = built.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(why.contains(expected), "{why}");
    }
}

#[tokio::test]
async fn a_reload_embeds_what_is_new_and_refuses_what_is_wrong() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let embedder = Embedder::fake(384);
    let gateway = given([&one, &two], "topic == 'legal'", TOPICS).embedder(embedder.clone()).start().await;
    assert!(from(&gateway.chat(&ask(OTHER)).await).starts_with("two "));
    let before = asked(&embedder);
    let more = TOPICS.replace(
        "legal, at_least: 0.5, examples: [",
        "legal, at_least: 0.5, examples: [Who won the lawsuit yesterday?, ",
    );
    let (settings, _own) = given([&one, &two], "topic == 'legal'", &more).settings();
    gateway.app.reconfigure(&settings).await.unwrap();
    assert_eq!(asked(&embedder), before + 1, "one example is new");
    let fresh = [("cache-control", "no-cache")];
    assert!(from(&gateway.chat_with(&ask(OTHER), &fresh).await).starts_with("one "));
    let wrong = format!("{more}complexity: {{file: /nowhere/learned.json}}\n");
    let (settings, _own) = given([&one, &two], "stream", &wrong).settings();
    let why = gateway.app.reconfigure(&settings).await.unwrap_err();
    assert!(why.contains("/nowhere/learned.json"), "{why}");
    assert!(
        from(&gateway.chat_with(&ask(OTHER), &fresh).await).starts_with("one "),
        "the last good ones stay in force"
    );
}

#[tokio::test]
async fn explain_tells_topic_complexity_and_who_is_left() {
    let (_folder, file) = learned(384);
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let more = format!("{TOPICS}complexity: {{file: {}}}\n", json!(file));
    let gateway = given([&one, &two], "topic == 'legal' || hard", &more).semantic().start().await;
    let both = json!([{"provider": "one", "model": "m1"}, {"provider": "two", "model": "m2"}]);
    for (question, topic, hard, targets) in [
        (LEGAL, "legal", false, &both),
        (COOKING, "cooking", false, &json!([{"provider": "two", "model": "m2"}])),
        (HARD, "", true, &both),
    ] {
        let told = explain(&gateway, &ask(question)).await;
        assert_eq!((&told["topic"]["name"], &told["targets"]), (&json!(topic), targets), "{question}: {told}");
        let cosine = told["topic"]["cosine"].as_f64().unwrap();
        assert_eq!(cosine >= 0.5, !topic.is_empty(), "{told}");
        assert!(topic.is_empty() || told["topic"]["nearest"] == topic);
        let complexity = told["complexity"]["complexity"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&complexity), "{told}");
        if hard {
            assert_eq!(told["complexity"]["hard"], true, "{told}");
        }
    }
    assert_eq!((one.calls(), two.calls()), (0, 0));
    let plain = given([&one, &two], "stream", "").semantic().start().await;
    let told = explain(&plain, &ask(LEGAL)).await;
    assert_eq!((&told["topic"], &told["complexity"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn answers_of_the_operators_own_are_found_whatever_the_topic() {
    let upstream = Upstream::start(|_| answer("fetched")).await;
    let gateway = given([&upstream, &upstream], "topic == 'legal'", TOPICS).semantic().start().await;
    let known = json!({"model": "m", "question": LEGAL, "answer": "known"});
    let warmed = Reply::of(gateway.post("/admin/cache/warm", &known).bearer_auth(ADMIN_KEY)).await;
    assert_eq!(warmed.json()["stored"], 1, "{}", warmed.json());
    assert!(from(&gateway.chat(&ask(LEGAL)).await).ends_with("hit/exact"));
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn who_asks_the_same_at_once_is_told_the_same() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let gateway = given([&one, &two], "topic == 'legal'", TOPICS).semantic().start().await;
    let body = ask(LEGAL);
    let replies = futures_util::future::join_all((0..8).map(|_| gateway.chat(&body))).await;
    let told: Vec<String> = replies.iter().map(from).collect();
    assert_eq!(told.iter().filter(|told| *told == "one miss").count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|told| told.contains("hit/")).count(), 7, "{told:?}");
    assert_eq!((one.calls(), two.calls()), (1, 0));
}

#[test]
fn labelled_questions_that_cannot_be_read_are_told_by_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("labelled.jsonl");
    std::fs::write(&data, "{\"question\": \"q\", \"hard\": true}\n{\"question\": \"q\"}\n").unwrap();
    let (data, out) = (data.to_str().unwrap(), folder.path().join("out.json"));
    let (code, _, said) = run(&["complexity", "train", "--data", data, "--out", out.to_str().unwrap()]);
    assert!(code == 1 && said.contains("labelled.jsonl: line 2: missing field `hard`"), "{code} {said}");
    let (code, _, said) = run(&["complexity", "eval", "--data", data, "--file", data]);
    assert!(code == 1 && said.contains("it is no file of `askonce complexity train`"), "{code} {said}");
    let config = folder.path().join("askonce.yaml");
    std::fs::write(&config, "topics: [{name: a, examples: [q]}]\n").unwrap();
    std::fs::write(folder.path().join("topics.jsonl"), "{\"question\": \"q\", \"topic\": \"b\"}\n").unwrap();
    let (topics, config) = (folder.path().join("topics.jsonl"), config.to_str().unwrap().to_owned());
    let (code, _, said) = run(&["topics", "eval", "--config", &config, "--data", topics.to_str().unwrap()]);
    assert!(code == 1 && said.contains("the data has a topic `b`, which the configuration has not"), "{code} {said}");
    assert!(!out.exists());
}
