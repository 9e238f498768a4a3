//! `Tail`: what a streamed reply can tell only when it has ended: what it cost, what its translation lost, and which guardrails found
//! something.

use super::guard::HEADER;
use super::respond::{COST, DROPPED, cost_header, dropped_header};
use crate::cache::flight::Later;
use crate::types::money::MicroUsd;

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
    pub fn announced(&self) -> impl Iterator<Item = &'static str> {
        let all = [(self.priced, COST), (self.translated, DROPPED), (self.guarded, HEADER)];
        all.into_iter().filter_map(|(may, name)| may.then_some(name))
    }

    /// The fields, once the stream has ended; none of one that failed.
    pub fn fields(&self) -> Vec<(String, String)> {
        let Some(tail) = self.later.tail() else { return Vec::new() };
        let cost = tail.cost.filter(|_| self.priced).map(cost_header);
        let found = tail.guardrails.filter(|_| self.guarded).map(|names| (HEADER.to_owned(), names));
        cost.into_iter().chain(dropped_header(&tail.lost)).chain(found).collect()
    }

    /// What the caller pays, as far as that is known: of a stream that failed, too.
    pub(super) fn cost(&self) -> Option<MicroUsd> {
        self.later.cost().filter(|_| self.priced)
    }
}
