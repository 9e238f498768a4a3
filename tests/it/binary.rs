//! The real binary: started, told, killed and started again.

use crate::support::gateway::{ADMIN_KEY, UPSTREAM_KEY, client};
use crate::support::process::{EXACT_ONLY, Process, askonce, run, yaml};
use crate::support::script::{last_events, piece, stream_end, stream_head, words};
use crate::support::{Gate, Reply, Step, Upstream, ask, script, streamed, until};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A folder with a configuration in it.
fn folder(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("askonce.yaml");
    fs::write(&config, text).unwrap();
    (dir, config)
}

#[tokio::test]
async fn a_request_to_stop_lets_streams_finish() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| {
        vec![
            stream_head(),
            piece(words("first ")),
            Step::Gate(held.clone()),
            piece(words("last")),
            piece(last_events()),
            stream_end(),
        ]
    })
    .await;
    let (dir, config) = folder(&yaml(&upstream, EXACT_ONLY));
    let mut process = Process::serve(&config, dir.path()).await;
    let client = client();
    let request = client.post(format!("{}/v1/chat/completions", process.url)).json(&streamed(ask("x")));
    let mut response = request.send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    process.signal("TERM");
    process.says("stopping").await;
    gate.open();
    assert!(response.bytes().await.unwrap().ends_with(b"data: [DONE]\n\n"));
    assert_eq!(process.ended().await, Some(0));
    let again = Process::serve(&config, dir.path()).await;
    assert_eq!(again.chat(&client, &ask("x")).await.words(), "first last");
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_stored() {
    let upstream = Upstream::counting().await;
    let (dir, config) = folder(&yaml(&upstream, EXACT_ONLY));
    let client = client();
    let mut process = Process::serve(&config, dir.path()).await;
    for number in 1..=20 {
        let reply = process.chat(&client, &ask(&format!("question {number}"))).await;
        assert_eq!(reply.words(), format!("answer {number}"));
    }
    process.signal("KILL");
    assert_eq!(process.ended().await, None);
    let process = Process::serve(&config, dir.path()).await;
    for number in 1..=20 {
        let hit = process.chat(&client, &ask(&format!("question {number}"))).await;
        assert_eq!((hit.cache().as_str(), hit.words()), ("hit/exact", format!("answer {number}")));
    }
}

#[tokio::test]
async fn a_full_disk_stops_no_answer() {
    let long = "word ".repeat(20_000);
    let upstream = Upstream::start(move |seen| script::answer(&format!("{} {long}", seen.number))).await;
    let (dir, config) = folder(&yaml(&upstream, EXACT_ONLY));
    // The database is made while there is room: without it nobody starts.
    let mut first = Process::serve(&config, dir.path()).await;
    first.signal("TERM");
    assert_eq!(first.ended().await, Some(0));
    // The limit on the size of a file makes writes fail as a full disk does, once the signal is ignored.
    let mut shell = Command::new("sh");
    shell
        .env_clear()
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 1024; exec \"$@\"")
        .arg("sh")
        .arg(env!("CARGO_BIN_EXE_askonce"));
    let mut full = Process::spawn(Process::command(shell, &config, dir.path())).await;
    let client = client();
    for round in ["miss/absent", "hit/exact"] {
        for number in 1..=20 {
            let reply = full.chat(&client, &ask(&format!("question {number}"))).await;
            assert_eq!(reply.cache(), round, "in memory all is well");
            assert!(reply.words().starts_with(&format!("{number} ")));
        }
    }
    let held = Reply::of(client.get(format!("{}/admin/cache", full.url)).bearer_auth(ADMIN_KEY)).await.json();
    assert!(held["entries"] == 20 && held["write_errors"].as_u64().unwrap() > 0, "{held}");
    assert!(full.log().contains("not written"), "{}", full.log());
    full.signal("TERM");
    assert_eq!(full.ended().await, Some(0));
    // With room again: what was written is whole.
    let again = Process::serve(&config, dir.path()).await;
    assert!(!again.log().contains("torn") && !again.log().contains("damaged"), "{}", again.log());
    assert_eq!(again.chat(&client, &ask("question 1")).await.cache(), "hit/exact");
    assert_eq!(again.chat(&client, &ask("question 20")).await.cache(), "miss/absent");
    assert_eq!(again.chat(&client, &ask("question 20")).await.cache(), "hit/exact");
}

#[tokio::test]
async fn new_settings_come_into_force_and_wrong_ones_do_not() {
    let (one, two) = (Upstream::counting().await, Upstream::start(|_| script::answer("of another")).await);
    let (dir, config) = folder(&yaml(&one, EXACT_ONLY));
    let process = Process::serve(&config, dir.path()).await;
    let client = client();
    assert_eq!(process.chat(&client, &ask("a")).await.words(), "answer 1");
    // A wrong file: the old settings stay, and the log says where it is wrong.
    fs::write(&config, yaml(&one, "cache: {ttl_z: 5}\n")).unwrap();
    process.signal("HUP");
    process.says("the last good ones stay in force").await;
    process.says("ttl_z").await;
    assert_eq!(process.chat(&client, &ask("b")).await.words(), "answer 2");
    // A good one, on a signal.
    fs::write(&config, yaml(&two, EXACT_ONLY)).unwrap();
    process.signal("HUP");
    process.says("new settings are in force").await;
    assert_eq!(process.chat(&client, &ask("c")).await.words(), "of another");
    assert_eq!(process.chat(&client, &ask("a")).await.cache(), "hit/exact");
    // And without one, as the file changes.
    fs::write(&config, yaml(&one, "cache: {enabled: false}\nlimits: {in_flight: 7}\n")).unwrap();
    until("the change is seen", || async { process.chat(&client, &ask("a")).await.cache() == "bypass/disabled" }).await;
    process.says("take a restart").await;
}

#[tokio::test]
async fn a_taken_port_is_told() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (dir, config) = folder("providers: [{name: demo, kind: demo}]\ncache: {semantic: {enabled: false}}\n");
    let (dir, config) = (dir.path().to_str().unwrap(), config.to_str().unwrap());
    let (code, _, told) = run(&["serve", "--config", config, "--data-dir", dir, "--listen", &address]);
    assert_eq!(code, 1);
    assert!(told.contains(&address) && told.contains("--listen HOST:PORT"), "{told}");
}

#[test]
fn a_check_says_what_is_wrong_and_where() {
    let (_dir, good) =
        folder(&format!("auth:\n  keys:\n    - {{name: a, key: caller-0123456789}}\nadmin: {{key: {ADMIN_KEY}}}\n"));
    let good = good.to_str().unwrap();
    let (code, shown, _) = run(&["check", "--config", good]);
    assert_eq!(code, 0);
    assert!(
        shown.contains("ttl_s: 86400") && !shown.contains("caller-0123456789") && !shown.contains(ADMIN_KEY),
        "{shown}"
    );
    // What it prints is a configuration itself.
    let (code, quiet, _) = run(&["check", "--quiet", "--config", good]);
    assert_eq!((code, quiet.as_str()), (0, ""));
    let (_dir, bad) = folder("listen: 127.0.0.1:9\ncache:\n  semantic:\n    treshold: 0.9\n");
    let (code, shown, told) = run(&["check", "--config", bad.to_str().unwrap()]);
    assert_eq!((code, shown.as_str()), (1, ""));
    assert!(told.contains("`threshold`") && told.contains("line 4, column 5"), "{told}");
    let (code, _, told) = run(&["check", "--config", "/nonexistent/askonce.yaml"]);
    assert!(code == 1 && told.contains("/nonexistent/askonce.yaml"), "{told}");
    let (code, _, told) = run(&["check", "--confg", good]);
    assert!(code == 2 && told.contains("--config"), "{told}");
}

#[test]
fn a_model_folder_that_holds_no_model_is_told() {
    let (dir, config) = folder("providers: [{name: demo, kind: demo}]\n");
    let empty = dir.path().join("model");
    fs::create_dir(&empty).unwrap();
    let (data, config, model) = (dir.path().to_str().unwrap(), config.to_str().unwrap(), empty.to_str().unwrap());
    let serve =
        || run(&["serve", "--config", config, "--data-dir", data, "--listen", "127.0.0.1:0", "--model-dir", model]);
    let (code, _, told) = serve();
    assert!(code == 1 && told.contains(model), "{told}");
    for name in ["config.json", "tokenizer.json", "model.safetensors", "vocab.txt", "1_Pooling"] {
        fs::write(empty.join(name), "{\"not\": \"a model\"}").unwrap();
    }
    let (code, _, told) = serve();
    assert!(code == 1 && told.contains(model) && !told.contains("panicked"), "{told}");
}

#[tokio::test]
async fn logs_hold_neither_secrets_nor_prompts() {
    let upstream = Upstream::start(|seen| match seen.number % 3 {
        0 => script::reply(401, &[], format!("{{\"error\":{{\"message\":\"bad key {UPSTREAM_KEY}\"}}}}")),
        1 => script::answer("an answer nobody else should read"),
        _ => vec![Step::Close],
    })
    .await;
    let keys = "auth:\n  open: true\n  keys:\n    - {name: web, key: caller-secret-0123456789}\nlog: {level: trace}\nretry: {attempts: 1}\n";
    let (dir, config) = folder(&yaml(&upstream, &format!("{keys}{EXACT_ONLY}")));
    let mut command = Process::command(askonce(), &config, dir.path());
    command.env("RUST_LOG", "trace");
    let mut process = Process::spawn(command).await;
    let client = client();
    for number in 0..9 {
        let body = ask(&format!("a question nobody else should read {number}"));
        let token = ["caller-secret-0123456789", "a-wrong-key-0123456789", "caller-secret-0123456789"][number % 3];
        let request = client.post(format!("{}/v1/chat/completions", process.url)).bearer_auth(token).json(&body);
        Reply::of(request).await;
        let request = client.get(format!("{}/admin/cache", process.url)).bearer_auth(ADMIN_KEY);
        assert_eq!(Reply::of(request).await.status, 200);
    }
    process.signal("TERM");
    assert_eq!(process.ended().await, Some(0));
    process.says("stopped").await;
    let log = process.log();
    assert!(log.contains("served") && log.contains("failed"), "{log}");
    for secret in [UPSTREAM_KEY, ADMIN_KEY, "caller-secret", "a-wrong-key", "nobody else should read"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret}: {line:?}");
    }
}

#[test]
fn help_is_there_for_every_command() {
    for command in ["serve", "check", "model", "replay", "bench"] {
        let (code, shown, _) = run(&[command, "--help"]);
        assert!(code == 0 && shown.len() > 200 && shown.contains("Usage:"), "{command}: {shown}");
    }
    let (code, shown, _) = run(&["--version"]);
    assert!(code == 0 && shown.starts_with("askonce "), "{shown}");
}
