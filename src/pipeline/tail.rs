//! `Tail`: what a streamed reply can tell only when it has ended: what it cost, what its translation lost, and which guardrails found
//! something.

use super::respond::charged;
use crate::cache::flight::Later;
use crate::types::header::{self, COST, DROPPED, GUARDRAILS};
use crate::types::money::MicroUsd;
use http::{HeaderMap, HeaderName};

/// What a streamed reply tells at its end.
#[derive(Clone, Debug)]
pub struct Tail {
    later: Later,
    /// The caller pays for it, and there is a price.
    priced: bool,
    /// It is a translation.
    translated: bool,
    /// Guardrails look at it.
    guarded: bool,
}

impl Tail {
    /// `None` where nothing can come.
    pub(super) fn of(later: Later, priced: bool, translated: bool, guarded: bool) -> Option<Tail> {
        (priced || translated || guarded).then_some(Tail { later, priced, translated, guarded })
    }

    /// Names of the fields that may come.
    pub fn announced(&self) -> impl Iterator<Item = HeaderName> {
        let all = [(self.priced, COST), (self.translated, DROPPED), (self.guarded, GUARDRAILS)];
        all.into_iter().filter_map(|(may, name)| may.then_some(name))
    }

    /// The fields, once the stream has ended; none of one that failed.
    pub fn fields(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        let Some(tail) = self.later.tail() else { return fields };
        charged(&mut fields, tail.cost.filter(|_| self.priced), &tail.lost);
        let found = tail.guardrails.filter(|_| self.guarded);
        found.into_iter().for_each(|names| header::set(&mut fields, GUARDRAILS, names));
        fields
    }

    /// What the caller pays, as far as that is known: of a stream that failed, too.
    pub(super) fn cost(&self) -> Option<MicroUsd> {
        self.later.cost().filter(|_| self.priced)
    }
}
