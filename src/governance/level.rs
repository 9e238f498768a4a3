//! `Level`: a key or an account, and what it may. Each knows the one above it; whatever is asked is asked of all of them.

use super::ledger::At;
use super::rights::fits;
use super::sharded::Sharded;
use crate::config::{AccountKind, Measure, Per, Rights};
use arc_swap::ArcSwapOption;
use std::sync::Arc;

/// So many levels there are at most: a key, a user, a team, a customer, an organisation. More is a mistake of ours.
const MOST_LEVELS: usize = 8;

/// Who owns it, and may change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The configuration file.
    File,
    /// The admin surface.
    Api,
}

impl Source {
    /// In answers of the admin surface.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::File => "file",
            Source::Api => "api",
        }
    }
}

/// A key or an account, by its name: it stays one and the same whatever becomes of its terms.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) name: String,
    /// For messages: ``key `ci` ``.
    pub(super) what: String,
    /// None, if it is not there any more: then it may nothing.
    pub(super) terms: ArcSwapOption<Terms>,
}

/// What a level may, as of now.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) source: Source,
    /// Of an account.
    pub(super) kind: Option<AccountKind>,
    pub(super) expires_ms: Option<u64>,
    pub(super) enabled: bool,
    /// Without its allowances: those are in `meters`.
    pub(super) rights: Rights,
    pub(super) meters: Vec<Metered>,
    pub(super) parent: Option<Arc<Level>>,
}

/// A budget or a limit.
#[derive(Clone, Debug)]
pub(super) struct Metered {
    pub(super) at: At,
    pub(super) measure: Measure,
    pub(super) per: Per,
    pub(super) models: Vec<String>,
    /// Counted at these only; empty: wherever it is answered.
    pub(super) providers: Vec<String>,
}

impl Metered {
    /// Does it count a request for `model` before it is known who answers?
    pub(super) fn is_for(&self, model: &str) -> bool {
        self.providers.is_empty() && fits(&self.models, model)
    }

    /// Does it count what `provider` answers for `model`, and nothing else?
    pub(super) fn is_at(&self, provider: &str, model: &str) -> bool {
        !self.providers.is_empty() && fits(&self.providers, provider) && fits(&self.models, model)
    }
}

/// Why the levels above one could not all be asked.
pub(super) enum Climb<E> {
    /// That one is not there any more.
    Gone(String),
    /// One said no.
    Refused(E),
}

impl Level {
    /// Asks it, and all above it, the nearest first.
    pub(super) fn climb<E>(&self, mut ask: impl FnMut(&Level, &Terms) -> Result<(), E>) -> Result<(), Climb<E>> {
        self.step(MOST_LEVELS, &mut ask)
    }

    fn step<E>(&self, left: usize, ask: &mut impl FnMut(&Level, &Terms) -> Result<(), E>) -> Result<(), Climb<E>> {
        let terms = self.terms.load();
        let Some(terms) = terms.as_ref().filter(|_| left > 0) else { return Err(Climb::Gone(self.what.clone())) };
        ask(self, terms).map_err(Climb::Refused)?;
        match &terms.parent {
            Some(parent) => parent.step(left - 1, ask),
            None => Ok(()),
        }
    }
}

/// All keys or all accounts, by name.
#[derive(Debug)]
pub(super) struct Levels {
    kind: &'static str,
    by_name: Sharded<String, Arc<Level>>,
}

impl Levels {
    /// None yet, of what is called a `kind` in messages.
    pub(super) fn new(kind: &'static str) -> Levels {
        Levels { kind, by_name: Sharded::default() }
    }

    /// The one called `name`, if somebody spoke of it.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Level>> {
        self.by_name.get(name)
    }

    /// The one called `name`, which may be nothing yet.
    pub(super) fn named(&self, name: &str) -> Arc<Level> {
        let new = || {
            let (name, what) = (name.to_owned(), format!("{} `{name}`", self.kind));
            Arc::new(Level { name, what, terms: ArcSwapOption::empty() })
        };
        self.by_name.get_or_insert(&name.to_owned(), new)
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Level>> {
        self.by_name.values()
    }
}
