//! What guardrails find, and what they do about it.

mod finds;
mod streams;

use super::*;
use crate::config::{self, Overrides};
use std::sync::Arc;

/// The guardrails of `yaml`, a list.
fn guards(yaml: &str) -> Arc<Guards> {
    let settings =
        config::parse(&format!("data_dir: /tmp\nguardrails:\n{yaml}"), "test.yaml", &Overrides::default(), &|_| None);
    Arc::new(Guards::new(&settings.unwrap_or_else(|error| panic!("{error}"))).unwrap())
}

/// What looks for all that `yaml` says.
fn looker(yaml: &str) -> Looker {
    let guards = guards(yaml);
    let all: Vec<usize> = (0..guards.rules().len()).collect();
    Looker::new(&guards, &all)
}

/// `text` as it goes to a provider.
fn replaced(looker: &Looker, text: &str, vault: &mut Vault) -> String {
    let (mut seen, mut hand) = (Seen::default(), Hand::Replaces(vault));
    looker.whole(text, &mut hand, &mut seen).unwrap_or_else(|| text.to_owned())
}
