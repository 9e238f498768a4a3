//! TensorZero's gateway, from PyPI `tensorzero`: the Rust gateway in a thread of a Python process, its observability off.

use super::{Ask, Asked, Peer, Place, said, write};
use crate::answers::MODEL;
use std::path::Path;
use std::process::Command;

/// Starts the gateway on a port of its choice, and tells which in a file.
const START: &str = "import asyncio, sys
from tensorzero.tensorzero import _start_http_gateway

async def main():
    gateway = await _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=True)
    open(sys.argv[2], 'w').write(gateway.base_url)
    await asyncio.Event().wait()

asyncio.run(main())
";

/// TensorZero.
pub struct TensorZero;

impl Peer for TensorZero {
    fn name(&self) -> &'static str {
        "tensorzero"
    }

    fn version(&self, installed: &Path) -> Result<String, String> {
        version(installed, "tensorzero")
    }

    fn command(&self, place: &Place<'_>) -> Result<Option<Command>, String> {
        let config = format!(
            "[gateway]\nobservability.enabled = false\n\n[models.{MODEL}]\nrouting = [\"mock\"]\n\n[models.{MODEL}.providers.mock]\n\
             type = \"openai\"\nmodel_name = \"{MODEL}\"\napi_base = \"http://127.0.0.1:{}/v1/\"\napi_key_location = \"none\"\n",
            place.upstream
        );
        write(&place.folder.join("tensorzero.toml"), config.as_bytes())?;
        write(&place.folder.join("start.py"), START.as_bytes())?;
        let mut command = Command::new(place.installed.join("python/bin/python"));
        command
            .arg(place.folder.join("start.py"))
            .arg(place.folder.join("tensorzero.toml"))
            .arg(place.folder.join("address"));
        command.env("TENSORZERO_DISABLE_PSEUDONYMOUS_USAGE_ANALYTICS", "1");
        Ok(Some(command))
    }

    fn port(&self, place: &Place<'_>) -> Option<u16> {
        let address = std::fs::read_to_string(place.folder.join("address")).ok()?;
        // As in `http://127.0.0.1:33807/openai/v1`.
        let port = address.rsplit(':').next()?;
        port.split('/').next()?.parse().ok()
    }

    fn asked(&self, ask: Ask, _: u16) -> Option<Asked> {
        (ask == Ask::Fresh).then(|| Asked {
            method: "POST",
            path: "/openai/v1/chat/completions",
            headers: String::new(),
            model: "tensorzero::model_name::bench-model",
            in_head: "",
        })
    }
}

/// The version of a package in the virtual environment.
pub(super) fn version(installed: &Path, package: &str) -> Result<String, String> {
    let python = installed.join("python/bin/python");
    let missing = format!("no {package}; run benches/peers/install.sh");
    if !python.exists() {
        return Err(missing);
    }
    let asked = format!("import importlib.metadata as m; print(m.version('{package}'))");
    said(Command::new(python).args(["-c", &asked])).filter(|said| said.len() < 40).ok_or(missing)
}
