//! LiteLLM's proxy, from PyPI `litellm[proxy]`.

use super::{Ask, Asked, Peer, Place, tensorzero, write};
use crate::answers::MODEL;
use std::path::Path;
use std::process::Command;

/// LiteLLM, one worker.
pub struct LiteLlm;

impl Peer for LiteLlm {
    fn name(&self) -> &'static str {
        "litellm"
    }

    fn version(&self, installed: &Path) -> Result<String, String> {
        tensorzero::version(installed, "litellm")
    }

    fn command(&self, place: &Place<'_>) -> Result<Option<Command>, String> {
        // `cache` answers what was asked before word for word, from memory; requests for a fresh answer say so.
        let config = format!(
            "model_list:\n  - model_name: {MODEL}\n    litellm_params: {{model: openai/{MODEL}, api_base: 'http://127.0.0.1:{}/v1', api_key: none}}\n\
             litellm_settings: {{cache: true, cache_params: {{type: local}}, num_retries: 0}}\ngeneral_settings: {{disable_spend_logs: true}}\n",
            place.upstream
        );
        let path = place.folder.join("litellm.yaml");
        write(&path, config.as_bytes())?;
        let mut command = Command::new(place.installed.join("python/bin/litellm"));
        command.arg("--config").arg(&path).args([
            "--host",
            "127.0.0.1",
            "--port",
            &place.port.to_string(),
            "--num_workers",
            "1",
        ]);
        command
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("LITELLM_TELEMETRY", "False")
            .env("LITELLM_LOG", "ERROR")
            .env("LITELLM_MASTER_KEY", KEY);
        command.env("PATH", path_with(&place.installed.join("python/bin")));
        Ok(Some(command))
    }

    fn asked(&self, ask: Ask, _: u16) -> Option<Asked> {
        let in_head = if ask == Ask::Stored { "x-litellm-cache-key" } else { "" };
        Some(Asked {
            method: "POST",
            path: "/v1/chat/completions",
            headers: format!("authorization: Bearer {KEY}\r\n"),
            model: MODEL,
            in_head,
        })
    }
}

/// Who asks: it does not start without one.
const KEY: &str = "sk-bench-0123456789abcdef0123456789abcdef";

fn path_with(folder: &Path) -> String {
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}
