//! Portkey's gateway, from npm `@portkey-ai/gateway`.

use super::{Ask, Asked, Peer, Place, said};
use crate::answers::MODEL;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Portkey, one process.
pub struct Portkey;

impl Peer for Portkey {
    fn name(&self) -> &'static str {
        "portkey"
    }

    fn version(&self, installed: &Path) -> Result<String, String> {
        let manifest = folder(installed).join("package.json");
        let text =
            std::fs::read_to_string(manifest).map_err(|_| "no portkey; run benches/peers/install.sh".to_owned())?;
        let manifest: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        said(Command::new("node").arg("--version")).ok_or("no node in the path")?;
        Ok(manifest["version"].as_str().unwrap_or_default().to_owned())
    }

    fn command(&self, place: &Place<'_>) -> Result<Option<Command>, String> {
        let mut command = Command::new("node");
        command.arg(folder(place.installed).join("build/start-server.js")).arg("--headless");
        command.arg(format!("--port={}", place.port)).env("NODE_ENV", "production");
        command.env("TRUSTED_CUSTOM_HOSTS", "localhost,127.0.0.1");
        Ok(Some(command))
    }

    fn asked(&self, ask: Ask, upstream: u16) -> Option<Asked> {
        let headers = format!(
            "x-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:{upstream}/v1\r\nauthorization: Bearer none\r\n"
        );
        (ask == Ask::Fresh).then_some(Asked {
            method: "POST",
            path: "/v1/chat/completions",
            headers,
            model: MODEL,
            in_head: "",
        })
    }
}

fn folder(installed: &Path) -> PathBuf {
    installed.join("node/node_modules/@portkey-ai/gateway")
}
