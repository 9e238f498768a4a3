//! Secrets by reference, in the real binary: read from a Vault at the start, changed there while it runs, and never seen anywhere.

use crate::support::process::{Process, askonce, run};
use crate::support::script::{answer, reply};
use crate::support::upstream::Seen;
use crate::support::{PATIENCE, Reply, Step, Upstream, ask, gateway, until};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All values have this in them.
const HUSH: &str = "hush-9f2c";
const ADMIN: &str = "hush-9f2c-admin-0123456789";

fn value(what: &str, version: usize) -> String {
    format!("{HUSH}-{what}-{version}-0123456789")
}

/// The version of all values that the Vault has now; 0 while it is down.
type Version = Arc<Mutex<usize>>;

/// A Vault with one token, whose values have a version.
async fn vault(version: Version) -> Upstream {
    Upstream::start(move |seen: &Seen| -> Vec<Step> {
        let version = *version.lock();
        let path = seen.target.rsplit(' ').next().unwrap_or_default().trim_start_matches("/v1");
        match (version, path) {
            (0, _) => reply(503, &[], format!("{{\"errors\":[\"{HUSH}\"]}}")),
            _ if seen.header("x-vault-token") != Some("hush-9f2c-root") => reply(403, &[], "{}"),
            (_, "/secret/data/llm") => {
                let data = json!({"provider": value("provider", version), "caller": value("caller", version)});
                reply(200, &[], json!({"data": {"data": data}}).to_string())
            }
            _ => reply(404, &[], "{}"),
        }
    })
    .await
}

/// A provider that takes the key of `version` only.
async fn provider(version: Version) -> Upstream {
    Upstream::start(move |seen: &Seen| -> Vec<Step> {
        let wanted = format!("Bearer {}", value("provider", *version.lock()));
        match seen.header("authorization") == Some(&wanted) {
            true => answer("fine"),
            false => reply(
                401,
                &[],
                format!("{{\"error\":{{\"message\":\"wrong key {:?}\"}}}}", seen.header("authorization")),
            ),
        }
    })
    .await
}

fn config(dir: &Path, vault: &Upstream, provider: &Upstream, refresh_s: u64) -> PathBuf {
    let (address, url) = (vault.url.trim_end_matches("/v1"), &provider.url);
    let text = format!(
        "secrets: {{refresh_s: {refresh_s}, timeout_ms: 2000, vault: {{address: \"{address}\", kv_version: 2, auth: {{token: \"env:VT\"}}}}}}\n\
         providers:\n  - {{name: up, kind: openai_compatible, base_url: \"{url}\", api_key: \"vault:secret/llm#provider\", models: [m]}}\n\
         auth: {{keys: [{{name: ada, key: \"vault:secret/llm#caller\"}}]}}\n\
         admin: {{key: \"file:{}\"}}\nrecording: {{prompts: clear, path: trace.jsonl}}\n\
         cache: {{semantic: {{enabled: false}}}}\nlog: {{level: trace}}\n",
        dir.join("admin").display(),
    );
    std::fs::write(dir.join("admin"), ADMIN).unwrap();
    let path = dir.join("askonce.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn serve(config: &Path, dir: &Path) -> Process {
    let mut command = askonce();
    command.env("VT", "hush-9f2c-root");
    Process::spawn(Process::command(command, config, dir)).await
}

async fn asked(process: &Process, client: &reqwest::Client, question: &str, key: &str) -> u16 {
    let request = client.post(format!("{}/v1/chat/completions", process.url)).json(&ask(question)).bearer_auth(key);
    Reply::of(request).await.status
}

async fn told(process: &Process, client: &reqwest::Client, key: &str) -> Reply {
    Reply::of(client.get(format!("{}/admin/secrets", process.url)).bearer_auth(key)).await
}

#[tokio::test]
async fn a_value_that_changes_takes_force_and_a_store_that_is_down_changes_nothing() {
    let (version, dir, client) = (Version::new(Mutex::new(1)), tempfile::tempdir().unwrap(), gateway::client());
    let known = Version::new(Mutex::new(1));
    let (vault, provider) = (vault(version.clone()).await, provider(known.clone()).await);
    let process = serve(&config(dir.path(), &vault, &provider, 1), dir.path()).await;
    assert_eq!(asked(&process, &client, "one", &value("caller", 1)).await, 200);
    let before: Value = told(&process, &client, ADMIN).await.json();
    assert_eq!(told(&process, &client, &value("caller", 1)).await.status, 401);
    // It changes in the Vault and at the provider.
    (*version.lock(), *known.lock()) = (2, 2);
    until("the new key is in use", || async { asked(&process, &client, "two", &value("caller", 2)).await == 200 })
        .await;
    assert_eq!(asked(&process, &client, "three", &value("caller", 1)).await, 401);
    let after: Value = told(&process, &client, ADMIN).await.json();
    for (one, other) in before["secrets"].as_array().unwrap().iter().zip(after["secrets"].as_array().unwrap()) {
        assert_eq!(one["reference"], other["reference"]);
        assert_eq!(one["fingerprint"] == other["fingerprint"], one["store"] != "vault", "{one} {other}");
    }
    // The Vault is gone.
    *version.lock() = 0;
    process.says("the last known value stays").await;
    assert_eq!(asked(&process, &client, "four", &value("caller", 2)).await, 200);
    let down: Value = told(&process, &client, ADMIN).await.json();
    let failed: Vec<&Value> =
        down["secrets"].as_array().unwrap().iter().filter(|one| one["error"] != Value::Null).collect();
    assert!(failed.len() == 2 && failed.iter().all(|one| one["store"] == "vault"), "{down}");
    // The admin key is in a file.
    std::fs::write(dir.path().join("admin"), format!("{ADMIN}-2")).unwrap();
    until("the new admin key is in force", || async {
        told(&process, &client, &format!("{ADMIN}-2")).await.status == 200
    })
    .await;
    assert_eq!(told(&process, &client, ADMIN).await.status, 401);
    // None of it is to be seen anywhere.
    asked(&process, &client, &format!("What is {} for?", value("provider", 2)), &value("caller", 2)).await;
    let metrics =
        Reply::of(client.get(format!("{}/metrics", process.url)).bearer_auth(format!("{ADMIN}-2"))).await.text();
    for outcome in ["read", "changed", "failed"] {
        let sample = format!("askonce_secret_refresh_total{{store=\"vault\",outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&sample), "{sample} in {metrics}");
    }
    let routes = Reply::of(client.get(format!("{}/admin/routes", process.url)).bearer_auth(format!("{ADMIN}-2"))).await;
    process.signal("TERM");
    process.says("stopped").await;
    let trace = std::fs::read_to_string(dir.path().join("trace.jsonl")).unwrap();
    assert!(trace.contains("What is [secret] for?"), "{trace}");
    for text in [process.log(), metrics, routes.text(), before.to_string(), after.to_string(), down.to_string(), trace]
    {
        assert!(!text.contains(HUSH), "{text}");
    }
}

#[tokio::test]
async fn a_key_that_the_provider_refuses_is_read_again_early() {
    let (version, dir, client) = (Version::new(Mutex::new(1)), tempfile::tempdir().unwrap(), gateway::client());
    let (vault, provider) = (vault(version.clone()).await, provider(version.clone()).await);
    let process = serve(&config(dir.path(), &vault, &provider, 3600), dir.path()).await;
    assert_eq!(asked(&process, &client, "one", &value("caller", 1)).await, 200);
    // Rotated everywhere at once; nobody tells the gateway, whose next round is in an hour.
    *version.lock() = 2;
    let refused = asked(&process, &client, "two", &value("caller", 1)).await;
    assert!(refused >= 400, "{refused}");
    until("the new key is in use", || async { asked(&process, &client, "three", &value("caller", 2)).await == 200 })
        .await;
    assert!(!process.log().contains(HUSH), "{}", process.log());
}

#[tokio::test]
async fn a_start_without_its_secrets_says_which_and_check_reads_none_unless_asked_to() {
    let (version, dir) = (Version::new(Mutex::new(0)), tempfile::tempdir().unwrap());
    let (vault, provider) = (vault(version.clone()).await, provider(version.clone()).await);
    let path = config(dir.path(), &vault, &provider, 60);
    let path_text = path.to_str().unwrap().to_owned();
    let checked = tokio::task::spawn_blocking(move || run(&["check", "--config", &path_text])).await.unwrap();
    assert_eq!(checked.0, 0, "{checked:?}");
    assert!(checked.1.contains("\"vault:secret/llm#provider\"") && checked.1.contains("\"env:VT\""), "{}", checked.1);
    assert_eq!(vault.calls(), 0);
    let command = |arguments: &[&str]| {
        let mut command = askonce();
        command.env("VT", "hush-9f2c-root").args(arguments).arg("--config").arg(&path);
        command
    };
    let mut resolve = command(&["check", "--resolve"]);
    let output = tokio::task::spawn_blocking(move || resolve.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("the secret `vault:secret/llm#provider` of the store `vault`: it is not well (status 503)"),
        "{said}"
    );
    let mut start = command(&["serve", "--listen", "127.0.0.1:0"]);
    start.arg("--data-dir").arg(dir.path());
    let output = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(move || start.output().unwrap()));
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("auth.keys[0].key: the secret `vault:secret/llm#caller` of the store `vault`"), "{said}");
    assert!(!said.contains(HUSH) && !checked.1.contains(HUSH), "{said}");
    *version.lock() = 1;
    let mut resolve = command(&["check", "--resolve"]);
    let output = tokio::task::spawn_blocking(move || resolve.output().unwrap()).await.unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && shown == checked.1, "{shown}");
}
