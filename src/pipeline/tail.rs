//! `Tail`: what a streamed reply can tell only when it has ended: what it cost, and what its translation lost.

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
}

impl Tail {
    /// `None` where nothing can come.
    pub(super) fn of(later: Later, priced: bool, translated: bool) -> Option<Tail> {
        (priced || translated).then_some(Tail { later, priced, translated })
    }

    /// Names of the fields that may come.
    pub fn announced(&self) -> impl Iterator<Item = &'static str> {
        [(self.priced, COST), (self.translated, DROPPED)].into_iter().filter_map(|(may, name)| may.then_some(name))
    }

    /// The fields, once the stream has ended; none of one that failed.
    pub fn fields(&self) -> Vec<(String, String)> {
        let Some(tail) = self.later.tail() else { return Vec::new() };
        let cost = tail.cost.filter(|_| self.priced).map(cost_header);
        cost.into_iter().chain(dropped_header(&tail.lost)).collect()
    }

    /// What the caller pays, as far as that is known: of a stream that failed, too.
    pub(super) fn cost(&self) -> Option<MicroUsd> {
        self.later.cost().filter(|_| self.priced)
    }
}
