//! Nothing in between: what the load generator and the kernel take by themselves.

use super::{Ask, Asked, Peer, Place};
use crate::answers::MODEL;
use std::path::Path;
use std::process::Command;

/// The upstream itself.
pub struct Direct;

impl Peer for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn version(&self, _: &Path) -> Result<String, String> {
        Ok(String::new())
    }

    fn command(&self, _: &Place<'_>) -> Result<Option<Command>, String> {
        Ok(None)
    }

    fn port(&self, place: &Place<'_>) -> Option<u16> {
        Some(place.upstream)
    }

    fn asked(&self, ask: Ask, _: u16) -> Option<Asked> {
        (ask == Ask::Fresh).then(|| Asked {
            method: "POST",
            path: "/v1/chat/completions",
            headers: String::new(),
            model: MODEL,
            in_head: "",
        })
    }
}
