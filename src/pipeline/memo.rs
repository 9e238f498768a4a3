//! Memo: what was worked out of a body, for the next request that is the same byte by byte.
//!
//! Answers that are asked for again are often asked for in the same bytes. What depends on nothing but these is then not worked out
//! again: neither parsed nor digested. Who may ask, what they have left, and where a request goes is looked at each time.
//!
//! A body is kept from the second time on that it comes, so that bodies which come once cost a mark and no memory; bodies are
//! compared whole, and never beyond their tenant. Nothing of an exchange is kept of which nothing is to be kept.

use super::Inbound;
use super::decode::{Compared, Content, counting};
use crate::cache::scope::Circumstances;
use crate::config;
use crate::routing::Target;
use crate::types::caller::Tenant;
use crate::types::directives::Directives;
use crate::wire::request::InPath;
use ahash::RandomState;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use std::sync::Arc;

/// Places in the memo: with the longest bodies it holds 64 MiB.
const PLACES: usize = 1024;
/// Longer bodies are worked out each time.
const MOST_BYTES: usize = 64 * 1024;

/// What was worked out of bodies that came more than once. A body has one place, which it shares with others: the last one has it.
pub(super) struct Memo {
    places: Box<[Mutex<Slot>]>,
    hasher: RandomState,
}

enum Slot {
    Empty,
    /// A body with this hash came.
    Seen(u64),
    Known(u64, Arc<Known>),
}

/// What there is of the body of a request.
pub(super) enum Place {
    Known(Arc<Known>),
    /// It came before: worth keeping, there.
    Again(u64),
    /// It is new, or not to be kept.
    New,
}

/// A body, and what was worked out of it.
pub(super) struct Known {
    path: InPath,
    tenant: Tenant,
    directives: Directives,
    pub(super) settings: Arc<config::Cache>,
    pub(super) content: Content,
    keyed: Option<Keyed>,
}

/// What a request is compared by, and what beside its body that depends on.
pub(super) struct Keyed {
    targets: Vec<Target>,
    headers: Vec<(HeaderName, HeaderValue)>,
    guardrails: Option<[u8; 32]>,
    condensed: bool,
    compared: Compared,
}

impl Default for Memo {
    fn default() -> Memo {
        let places = (0..PLACES).map(|_| Mutex::new(Slot::Empty)).collect();
        Memo { places, hasher: RandomState::new() }
    }
}

impl Memo {
    /// What there is of this request under these settings.
    pub(super) fn place(&self, inbound: &Inbound, settings: &Arc<config::Cache>) -> Place {
        if inbound.body.len() > MOST_BYTES || inbound.directives.no_store {
            return Place::New;
        }
        let hash = self.hasher.hash_one((inbound.surface, &inbound.caller.tenant, &*inbound.body));
        let mut slot = self.slot(hash).lock();
        match &*slot {
            Slot::Known(one, known) if *one == hash && known.is_of(inbound, settings) => Place::Known(known.clone()),
            Slot::Known(one, _) | Slot::Seen(one) if *one == hash => Place::Again(hash),
            _ => {
                *slot = Slot::Seen(hash);
                Place::New
            }
        }
    }

    /// Keeps what was worked out of a body that came again.
    pub(super) fn keep(&self, hash: u64, known: Known) {
        *self.slot(hash).lock() = Slot::Known(hash, Arc::new(known));
    }

    /// Nothing is kept of what came until now.
    pub(super) fn clear(&self) {
        self.places.iter().for_each(|place| *place.lock() = Slot::Empty);
    }

    fn slot(&self, hash: u64) -> &Mutex<Slot> {
        &self.places[hash as usize % PLACES]
    }
}

impl Keyed {
    /// What `inbound` is compared by in these circumstances.
    pub(super) fn new(
        inbound: &Inbound,
        targets: &[&Target],
        around: &Circumstances<'_>,
        (condensed, compared): (bool, Compared),
    ) -> Keyed {
        Keyed {
            targets: targets.iter().map(|target| (*target).clone()).collect(),
            headers: counting(inbound).cloned().collect(),
            guardrails: around.guardrails,
            condensed,
            compared,
        }
    }
}

impl Known {
    /// What was worked out of `inbound`, and what it is compared by, where the cache was asked.
    pub(super) fn new(
        inbound: &Inbound,
        settings: &Arc<config::Cache>,
        content: Content,
        keyed: Option<Keyed>,
    ) -> Known {
        Known {
            path: inbound.path.clone(),
            tenant: inbound.caller.tenant.clone(),
            directives: inbound.directives.clone(),
            settings: settings.clone(),
            content,
            keyed,
        }
    }

    fn is_of(&self, inbound: &Inbound, settings: &Arc<config::Cache>) -> bool {
        Arc::ptr_eq(&self.settings, settings)
            && self.content.request.surface == inbound.surface
            && self.tenant == inbound.caller.tenant
            && self.path == inbound.path
            && self.content.request.body == inbound.body
            && self.directives == inbound.directives
    }

    /// What it is compared by, where the circumstances are the same.
    pub(super) fn compared(
        &self,
        inbound: &Inbound,
        targets: &[&Target],
        around: &Circumstances<'_>,
        condensed: bool,
    ) -> Option<Compared> {
        let keyed = self.keyed.as_ref()?;
        let is_same = keyed.condensed == condensed
            && keyed.guardrails == around.guardrails
            && keyed.targets.iter().eq(targets.iter().copied())
            && keyed.headers.iter().eq(counting(inbound));
        is_same.then(|| keyed.compared.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::caller::Caller;
    use crate::types::surface::Surface;
    use bytes::Bytes;
    use std::time::Instant;

    fn settings() -> Arc<config::Cache> {
        let overrides = config::Overrides { data_dir: Some("unused".into()), ..config::Overrides::default() };
        Arc::new(config::parse("", "test", &overrides, &|_| None).unwrap().cache)
    }

    fn inbound(body: &str) -> Inbound {
        Inbound {
            surface: Surface::ChatCompletions,
            path: InPath::default(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            caller: Caller::unknown("a", Tenant("a".to_owned())),
            directives: Directives::default(),
            headers: Vec::new(),
            told: Vec::new(),
            request_id: String::new(),
            arrived: Instant::now(),
        }
    }

    const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;

    fn known(inbound: &Inbound, settings: &Arc<config::Cache>) -> Known {
        Known::new(inbound, settings, Content::of_body(inbound, settings).unwrap(), None)
    }

    #[test]
    fn a_body_is_known_from_the_third_time_on() {
        let (memo, settings) = (Memo::default(), settings());
        let same = inbound(BODY);
        assert!(matches!(memo.place(&same, &settings), Place::New));
        let Place::Again(hash) = memo.place(&same, &settings) else { panic!("it came before") };
        memo.keep(hash, known(&same, &settings));
        assert!(matches!(memo.place(&inbound(BODY), &settings), Place::Known(_)));
        memo.clear();
        assert!(matches!(memo.place(&same, &settings), Place::New));
    }

    #[test]
    fn what_differs_is_not_known() {
        let (memo, settings) = (Memo::default(), settings());
        let same = inbound(BODY);
        memo.place(&same, &settings);
        let Place::Again(hash) = memo.place(&same, &settings) else { panic!("it came before") };
        memo.keep(hash, known(&same, &settings));
        let others = [
            Inbound { surface: Surface::Completions, ..inbound(BODY) },
            Inbound { path: InPath { model: Some("m".to_owned()), stream: false }, ..inbound(BODY) },
            Inbound { body: Bytes::from(BODY.replace('x', "y")), ..inbound(BODY) },
            Inbound { caller: Caller::unknown("b", Tenant("b".to_owned())), ..inbound(BODY) },
            Inbound { directives: Directives { exact_only: true, ..Directives::default() }, ..inbound(BODY) },
            Inbound { directives: Directives { no_store: true, ..Directives::default() }, ..inbound(BODY) },
        ];
        for other in &others {
            // Whatever place it has, and even where its hash were the same.
            assert!(!known(&same, &settings).is_of(other, &settings), "{other:?}");
        }
        assert!(matches!(memo.place(&others[5], &settings), Place::New), "nothing is kept of it");
        assert!(matches!(memo.place(&same, &super::tests::settings()), Place::Again(_)), "settings are others");
        assert!(matches!(memo.place(&same, &settings), Place::Known(_)));
    }

    #[test]
    fn long_bodies_are_worked_out_each_time() {
        let (memo, settings) = (Memo::default(), settings());
        let long = inbound(&"x".repeat(MOST_BYTES + 1));
        for _ in 0..3 {
            assert!(matches!(memo.place(&long, &settings), Place::New));
        }
    }
}
