//! `Process`: the real binary, with what it says on standard error.

use super::{PATIENCE, Reply, Upstream, until};
use parking_lot::Mutex;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The binary, in an empty environment.
pub fn askonce() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_askonce"));
    command.env_clear().env("HOME", "/nonexistent");
    command
}

/// Runs a command of the binary to its end.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = askonce().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// A configuration without a sentence model, with one provider.
pub fn yaml(upstream: &Upstream, more: &str) -> String {
    format!(
        "providers:\n  - {{name: up, kind: openai_compatible, base_url: \"{}\", api_key: {}, models: [m]}}\n\
         admin: {{key: {}}}\n{more}",
        upstream.url,
        super::gateway::UPSTREAM_KEY,
        super::gateway::ADMIN_KEY
    )
}

/// The end of a configuration: no sentence model is needed.
pub const EXACT_ONLY: &str = "cache: {semantic: {enabled: false}}\n";

/// A binary that serves. It is killed when dropped.
pub struct Process {
    /// Where it listens.
    pub url: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Serves with the configuration in `config` and its data in `dir`.
    pub async fn serve(config: &Path, dir: &Path) -> Process {
        Process::spawn(Process::command(askonce(), config, dir)).await
    }

    /// The command that serves.
    pub fn command(command: Command, config: &Path, dir: &Path) -> Command {
        Process::command_at("127.0.0.1:0", command, config, dir)
    }

    /// The command that serves at an address.
    pub fn command_at(listen: &str, mut command: Command, config: &Path, dir: &Path) -> Command {
        command.args(["serve", "--listen", listen, "--config"]).arg(config).arg("--data-dir").arg(dir);
        command
    }

    /// Starts `command` and waits until it listens.
    pub async fn spawn(mut command: Command) -> Process {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, errors) = (lines.clone(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                kept.lock().push(line);
            }
        });
        let mut process = Process { url: String::new(), child, lines };
        let listens = || process.log().lines().find_map(|line| Some(line.split_once("listens on ")?.1.to_owned()));
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(url) = listens() {
                    return url;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        process.url = waited.unwrap_or_else(|_| panic!("it does not listen: {}", process.log()));
        process
    }

    /// All that it has said so far.
    pub fn log(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// Waits until it has said `words`.
    pub async fn says(&self, words: &str) {
        until(&format!("it says {words:?}"), || async { self.log().contains(words) }).await;
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end. Gives the exit code; `None` when a signal ended it.
    pub async fn ended(&mut self) -> Option<i32> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(std::time::Instant::now() < deadline, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A chat request.
    pub async fn chat(&self, client: &reqwest::Client, body: &Value) -> Reply {
        Reply::of(client.post(format!("{}/v1/chat/completions", self.url)).json(body)).await
    }
}
