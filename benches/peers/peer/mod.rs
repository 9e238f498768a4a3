//! What is measured: askonce, the floors, and the other gateways. A file for each says how it is started and asked.
//!
//! Each is told to keep no log of requests, and to do otherwise what it does unless told more; askonce has on what production
//! would have: keys with budgets and rate limits, the cache, prices and metrics.

mod askonce;
mod direct;
mod litellm;
mod nginx;
mod portkey;
mod tensorzero;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a peer may put things, and where it stands.
pub struct Place<'a> {
    /// A folder of its own, empty.
    pub folder: &'a Path,
    /// Where it is to listen, on 127.0.0.1.
    pub port: u16,
    /// Where the upstream listens.
    pub upstream: u16,
    /// Where `install.sh` has put the other gateways.
    pub installed: &'a Path,
    /// The body that a hit has, for who serves it as a file.
    pub file: &'a [u8],
    /// The folder of the sentence model, where the semantic tier is measured.
    pub model_dir: Option<&'a Path>,
}

/// What a peer can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// For an answer of the upstream.
    Fresh,
    /// For an answer that it has stored.
    Stored,
}

/// How a peer is asked.
pub struct Asked {
    /// `POST` with the body of a chat, or `GET` where that is all that it can do.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// Its headers, each with its line end.
    pub headers: String,
    /// What it calls the model.
    pub model: &'static str,
    /// A piece of the head that every answer must have.
    pub in_head: &'static str,
}

/// Something that stands before the upstream.
pub trait Peer {
    /// What it is called here.
    fn name(&self) -> &'static str;

    /// Its version, where it is installed; else what to do about that.
    fn version(&self, installed: &Path) -> Result<String, String>;

    /// How to start it; `None` where there is nothing to start.
    fn command(&self, place: &Place<'_>) -> Result<Option<Command>, String>;

    /// Where it listens; `None` while it has not told.
    fn port(&self, place: &Place<'_>) -> Option<u16> {
        Some(place.port)
    }

    /// How it is asked, with the upstream on this port; `None` where it cannot be.
    fn asked(&self, ask: Ask, upstream: u16) -> Option<Asked>;
}

/// All of them. `askonce` is the binary that is measured; each of `others` is one more of it, as `NAME=PATH`.
pub fn all(askonce: PathBuf, others: &[(String, PathBuf)]) -> Vec<Box<dyn Peer>> {
    let mut all: Vec<Box<dyn Peer>> = vec![
        Box::new(direct::Direct),
        Box::new(nginx::Nginx),
        Box::new(askonce::Askonce::new("askonce", askonce)),
        Box::new(tensorzero::TensorZero),
        Box::new(portkey::Portkey),
        Box::new(litellm::LiteLlm),
    ];
    for (name, path) in others {
        // Names live as long as the program, which is short.
        all.push(Box::new(askonce::Askonce::new(name.clone().leak(), path.clone())));
    }
    all
}

/// What a command says on standard output or error, as one line.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).split_whitespace().collect::<Vec<_>>().join(" "))
}

fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
