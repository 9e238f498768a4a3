//! Traffic as a trace: what is written, for whom, and what is not.

use crate::support::gateway::UPSTREAM_KEY;
use crate::support::{Gateway, Given, Upstream, ask, streamed, with};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

async fn lines(gateway: &Gateway, name: &str) -> Vec<Value> {
    gateway.app.doors.pipeline.recorder().expect("it records").flush().await;
    let text = fs::read_to_string(gateway.settings.data_dir.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
}

#[tokio::test]
async fn nothing_is_recorded_unless_it_is_asked_for() {
    let gateway = Given::one(&Upstream::counting().await, "").start().await;
    gateway.chat(&ask("x")).await;
    assert!(gateway.app.doors.pipeline.recorder().is_none());
    assert!(!gateway.settings.data_dir.join("recording.jsonl").exists());
}

#[tokio::test]
async fn clear_traces_hold_questions_answers_and_no_keys() {
    let upstream = Upstream::counting().await;
    let more = "recording: {prompts: clear, path: trace.jsonl}\ncache: {semantic: {threshold: 0.6}}";
    let gateway = Given::one(&upstream, more).semantic().start().await;
    let token = ("authorization", "Bearer sk-of-the-caller-0123456789");
    gateway.chat_with(&ask("How do I reset my password?"), &[token]).await;
    gateway.chat_with(&streamed(ask("How do I reset my password?")), &[token]).await;
    gateway.chat_with(&ask("How can I reset my password?"), &[token]).await;
    gateway
        .chat_with(&streamed(ask(&format!("What are {UPSTREAM_KEY} and sk-of-the-caller-0123456789 for?"))), &[token])
        .await;
    gateway.chat_with(&ask("keep nothing"), &[("cache-control", "no-store")]).await;
    gateway.chat_with(&ask("a fresh one"), &[("cache-control", "no-cache")]).await;
    let turns = json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "turn"}]});
    gateway.chat(&with(ask(""), turns.clone())).await;
    let lines = lines(&gateway, "trace.jsonl").await;
    let of = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(
        of("text"),
        [
            "How do I reset my password?",
            "How do I reset my password?",
            "How can I reset my password?",
            "What are [secret] and [secret] for?",
            "a fresh one",
            "-"
        ]
    );
    assert_eq!(of("cache"), ["miss", "hit/exact", "hit/semantic", "miss", "bypass", "miss"]);
    assert_eq!(of("answer"), ["answer 1", "answer 1", "answer 1", "answer 2", "answer 4", "answer 5"]);
    assert_eq!(
        (&lines[5]["messages"], &lines[0]["in_tok"], &lines[0]["out_tok"]),
        (&turns["messages"], &json!(10), &json!(5))
    );
    let scopes = of("scope");
    assert!(scopes[0] == scopes[2] && scopes[0] != scopes[4] && scopes[4] != scopes[5], "{scopes:?}");
    assert!(lines[0]["t"].as_f64().unwrap() > 1e9);
    let dir = &gateway.settings.data_dir;
    assert_eq!((mode(&dir.join("trace.jsonl")), mode(&dir.join("recording.key"))), (0o600, 0o600));
    let metrics = gateway.get("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("askonce_recording_lines_total{result=\"written\"}"));
}

#[tokio::test]
async fn hashed_traces_tell_what_is_equal_across_restarts() {
    let upstream = Upstream::counting().await;
    let given = Given::one(&upstream, "recording: {}");
    let gateway = given.start().await;
    for question in ["What is X?", "what is x", "What is Y?"] {
        gateway.chat(&ask(question)).await;
    }
    let first = lines(&gateway, "recording.jsonl").await;
    assert_eq!((&first[0]["normalised"], &first[0]["answer"]), (&first[1]["normalised"], &first[1]["answer"]));
    assert!(first[0]["text"] != first[1]["text"] && first[0]["normalised"] != first[2]["normalised"]);
    let written = fs::read_to_string(gateway.settings.data_dir.join("recording.jsonl")).unwrap();
    assert!(!written.contains("What") && !written.contains("answer 1"), "{written}");
    // The same installation makes the same hashes, another one others.
    let left = gateway.crashed();
    let again = given.clone().dir(left.path()).start().await;
    again.chat(&ask("What is X?")).await;
    assert_eq!(lines(&again, "recording.jsonl").await[3]["text"], first[0]["text"]);
    let other = given.start().await;
    other.chat(&ask("What is X?")).await;
    assert_ne!(lines(&other, "recording.jsonl").await[0]["text"], first[0]["text"]);
}

#[tokio::test]
async fn files_turn_over() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "recording: {prompts: clear, max_bytes: 64KiB, files: 2}").start().await;
    let long = "long ".repeat(4000);
    for number in 0..12 {
        gateway.chat(&ask(&format!("{number} {long}"))).await;
    }
    let now = lines(&gateway, "recording.jsonl").await;
    let before = lines(&gateway, "recording.jsonl.1").await;
    assert_eq!((now.len(), before.len()), (3, 3));
    assert!(now[2]["text"].as_str().unwrap().starts_with("11 long"));
    assert!(!gateway.settings.data_dir.join("recording.jsonl.2").exists());
    assert_eq!(mode(&gateway.settings.data_dir.join("recording.jsonl.1")), 0o600);
}
