//! The two processes that are measured: the mock upstream, and an askonce in front of it.

use super::args::{BenchArgs, Scenario};
use super::client::{Connection, Endpoint};
use super::error::BenchError;
use super::mock::MODEL;
use super::process::{Folder, Process};
use super::questions::chat_body;
use super::stop::Stop;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An askonce that is not ready by then will not be.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// The mock upstream in a process of its own.
#[derive(Debug)]
pub struct Upstream {
    process: Process,
    endpoint: Endpoint,
    port: u16,
    _folder: Folder,
}

impl Upstream {
    /// Starts this same program as the mock upstream.
    pub fn start(args: &BenchArgs) -> Result<Upstream, BenchError> {
        let folder = Folder::create()?;
        let mut command = Command::new(this_program()?);
        command.args(["bench-upstream", "--until-stdin-closes", "--listen", "127.0.0.1:0"]);
        command.args(["--latency-ms", &args.upstream_latency_ms.to_string()]);
        command.args(["--chunk-latency-ms", &args.chunk_latency_ms.to_string()]);
        command.args(["--chunks", &args.stream_chunks.to_string()]);
        command.stdin(Stdio::piped());
        let mut process = Process::start("the mock upstream", command, true, folder.path().join("upstream.log"))?;
        let mut line = String::new();
        if let Some(stdout) = process.child().stdout.take() {
            // An error leaves the line empty, which is reported just below.
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        match line.trim().parse() {
            Ok(port) => Ok(Upstream { process, endpoint: Endpoint::local(port), port, _folder: folder }),
            Err(_) => Err(BenchError::Start(format!(
                "the mock upstream said {:?} instead of its port; {}",
                line.trim(),
                process.log_tail()
            ))),
        }
    }

    /// Where it answers.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// An error if it has ended.
    pub fn check_alive(&mut self) -> Result<(), BenchError> {
        self.process.check_alive("during the measurement")
    }
}

/// An askonce of the bench's own, with an empty data directory.
#[derive(Debug)]
pub struct Askonce {
    process: Process,
    endpoint: Endpoint,
    /// From starting the process to its first `/readyz` that said 200.
    pub cold_start: Duration,
    /// From starting the process to the end of its first answer.
    pub first_answer: Duration,
    /// Whether the semantic tier is on.
    pub semantic: bool,
    _folder: Folder,
}

impl Askonce {
    /// Starts it in front of `upstream`, with the semantic tier if a model folder is given, and waits for its first
    /// answer.
    pub fn start(
        args: &BenchArgs,
        scenario: Scenario,
        upstream: &Upstream,
        model_dir: Option<&Path>,
        stop: &Stop,
    ) -> Result<Askonce, BenchError> {
        let folder = Folder::create()?;
        let port = free_port()?;
        let config = folder.path().join("askonce.yaml");
        // JSON is YAML too, and its quoting leaves nothing to chance.
        let text = config_value(port, upstream.port, folder.path(), model_dir).to_string();
        std::fs::write(&config, text)
            .map_err(|error| BenchError::Start(format!("cannot write {}: {error}", config.display())))?;
        let program = match &args.binary {
            Some(path) => path.clone(),
            None => this_program()?,
        };
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(&config).stdin(Stdio::null());
        let started = Instant::now();
        let process = Process::start("askonce", command, false, folder.path().join("askonce.log"))?;
        let mut askonce = Askonce {
            process,
            endpoint: Endpoint::local(port),
            cold_start: Duration::ZERO,
            first_answer: Duration::ZERO,
            semantic: model_dir.is_some(),
            _folder: folder,
        };
        let ready = askonce.endpoint.get("/readyz");
        askonce.cold_start = askonce.wait_for_200("ready", &ready, started, stop)?;
        let question = format!("Is this the first question of {}?", scenario.as_str());
        let ask = askonce.endpoint.post_chat("", &chat_body(MODEL, &question, false));
        askonce.first_answer = askonce.wait_for_200("answering", &ask, started, stop)?;
        Ok(askonce)
    }

    /// Where it answers.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// An error if it has ended.
    pub fn check_alive(&mut self) -> Result<(), BenchError> {
        self.process.check_alive("during the measurement")
    }

    /// Sends `request` until the answer is 200, and gives the time since `started`.
    fn wait_for_200(
        &mut self,
        what: &str,
        request: &[u8],
        started: Instant,
        stop: &Stop,
    ) -> Result<Duration, BenchError> {
        let mut last;
        loop {
            let asked = Connection::open(&self.endpoint, Duration::from_secs(10)).and_then(|mut connection| {
                let mut body = Vec::new();
                let reply = connection.exchange(request, &mut body)?;
                Ok((reply, body))
            });
            match asked {
                Ok((reply, _)) if reply.status == 200 => return Ok(reply.ended - started),
                Ok((reply, body)) => last = format!("{} {}", reply.status, String::from_utf8_lossy(&body).trim()),
                Err(fault) => last = fault.detail,
            }
            self.process.check_alive("before it was ready")?;
            if stop.is_set() {
                return Err(BenchError::Interrupted);
            }
            if started.elapsed() > START_TIMEOUT {
                return Err(BenchError::Start(format!(
                    "askonce was not {what} within {} s; its last word was: {last}\n{}",
                    START_TIMEOUT.as_secs(),
                    self.process.log_tail()
                )));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The configuration of the measured askonce: defaults, but for what a run of its own needs.
fn config_value(port: u16, upstream_port: u16, folder: &Path, model_dir: Option<&Path>) -> Value {
    let mut config = json!({
        "listen": format!("127.0.0.1:{port}"),
        "data_dir": literal(&folder.join("data")),
        "log": {"format": "json"},
        "providers": [{
            "name": "mock",
            "kind": "openai_compatible",
            "base_url": format!("http://127.0.0.1:{upstream_port}/v1"),
            "models": [MODEL],
        }],
        "default_provider": "mock",
        // Every request of the semantic scenario is a hit that no label will ever tell of: a usual budget would be spent.
        "cache": {"enabled": true, "error_budget": 0.2, "semantic": {"enabled": model_dir.is_some()}},
    });
    if let Some(model_dir) = model_dir {
        // Few questions are asked again and again: remembered, they would not be embedded, and the figure would flatter.
        config["embedding"] = json!({"model_dir": literal(model_dir), "memo_bytes": 0});
    }
    config
}

/// A path as configuration text, in which a dollar sign begins a variable unless it is doubled.
fn literal(path: &Path) -> String {
    path.to_string_lossy().replace('$', "$$")
}

fn this_program() -> Result<PathBuf, BenchError> {
    std::env::current_exe().map_err(|error| {
        BenchError::Start(format!("this program does not know where it is: {error}; name it by --binary"))
    })
}

/// A port that is free at the moment. Should another program take it first, askonce says so and ends.
fn free_port() -> Result<u16, BenchError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| BenchError::Start(format!("no free port on 127.0.0.1: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn askonce_understands_the_configuration() {
        for model_dir in [None, Some(Path::new("/models/of $HOME: a \"b\""))] {
            let text = config_value(8081, 9091, Path::new("/tmp/x ${y} #z"), model_dir).to_string();
            let config = config::parse(&text, "askonce.yaml", &config::Overrides::default(), &|_| None).unwrap();
            assert_eq!((config.listen.as_str(), config.auth.open), ("127.0.0.1:8081", true));
            assert_eq!(config.data_dir, Path::new("/tmp/x ${y} #z/data"));
            assert_eq!(config.providers[0].base_url, "http://127.0.0.1:9091/v1");
            assert_eq!(config.default_provider.as_deref(), Some("mock"));
            assert_eq!((config.cache.enabled, config.cache.semantic.enabled), (true, model_dir.is_some()));
            assert_eq!(config.embedding.model_dir.as_deref(), model_dir);
            assert_eq!(config.embedding.memo_bytes == 0, model_dir.is_some());
        }
    }
}
