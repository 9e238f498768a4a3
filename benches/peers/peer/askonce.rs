//! askonce, with on what production would have: a key below a team with budgets and rate limits, the cache, prices, metrics.

use super::{Ask, Asked, Peer, Place, said, write};
use crate::answers::MODEL;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who asks.
const KEY: &str = "sk-bench-0123456789abcdef";

/// A binary of askonce.
pub struct Askonce {
    name: &'static str,
    binary: PathBuf,
}

impl Askonce {
    /// The binary, and what it is called here.
    pub fn new(name: &'static str, binary: PathBuf) -> Askonce {
        Askonce { name, binary }
    }
}

impl Peer for Askonce {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self, _: &Path) -> Result<String, String> {
        let missing = || format!("no askonce at {}; build it, or give its path", self.binary.display());
        let said = said(Command::new(&self.binary).arg("--version")).ok_or_else(missing)?;
        Ok(said.rsplit(' ').next().unwrap_or_default().to_owned())
    }

    fn command(&self, place: &Place<'_>) -> Result<Option<Command>, String> {
        let Place { folder, port, upstream, .. } = place;
        let embedding = match place.model_dir {
            // Few questions are asked again and again: remembered, they would not be embedded.
            Some(model_dir) => format!("embedding: {{model_dir: '{}', memo_bytes: 0}}", model_dir.display()),
            None => String::new(),
        };
        let semantic = place.model_dir.is_some();
        let config = format!(
            "listen: 127.0.0.1:{port}
data_dir: '{}'
log: {{level: warn}}
providers:
  - {{name: mock, kind: openai_compatible, base_url: 'http://127.0.0.1:{upstream}/v1', models: [{MODEL}]}}
prices:
  - {{name: bench, provider: mock, model: {MODEL}, price: {{input_usd_per_million_tokens: 2.5, output_usd_per_million_tokens: 10}}}}
cache: {{enabled: true, error_budget: 0.2, semantic: {{enabled: {semantic}}}}}
{embedding}
accounts:
  - {{name: org, kind: organisation, budgets: [{{usd: 1000000, per: month}}]}}
  - {{name: team, kind: team, in: org, budgets: [{{usd: 1000000, per: day}}]}}
auth:
  keys:
    - name: bench
      key: {KEY}
      account: team
      budgets: [{{usd: 100000, per: day}}]
      rate_limits: [{{requests: 100000000, per: minute}}, {{tokens: 100000000000, per: minute}}]
",
            folder.join("data").display()
        );
        let path = folder.join("askonce.yaml");
        write(&path, config.as_bytes())?;
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--config"]).arg(&path);
        Ok(Some(command))
    }

    fn asked(&self, ask: Ask, _: u16) -> Option<Asked> {
        // Looked up in the cache and not there; not stored either, so that the next round finds what this one found.
        let (directive, in_head) = match ask {
            Ask::Fresh => ("cache-control: no-store\r\n", "x-askonce-cache: miss"),
            Ask::Stored => ("", "x-askonce-cache: hit"),
        };
        let headers = format!("authorization: Bearer {KEY}\r\n{directive}");
        Some(Asked { method: "POST", path: "/v1/chat/completions", headers, model: MODEL, in_head })
    }
}
