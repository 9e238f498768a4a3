//! [`Graph`]: what a scope asks of its nearest-neighbour graph: a store of rows that finds near ones.
//!
//! A graph keeps its rows itself, under *slots* that it gives out, and knows which are dead. A scope keeps which id has which
//! slot, and the rows that are not in the graph yet. Inserting and tidying are background work, one call at a time for
//! each graph; searches and kills come from anywhere, at any time.

use std::sync::atomic::AtomicBool;

use crate::quantize::{Query, Row, RowRef};
use crate::top::Top;

/// A row with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) row: Row,
}

/// How much a graph holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Rows that a search can find.
    pub(crate) live: usize,
    /// Rows that are dead and still linked.
    pub(crate) dead: usize,
    /// Rows that a search for themselves was seen to miss; they are scanned.
    pub(crate) strays: usize,
    /// Memory in bytes, from what was allocated and touched.
    pub(crate) bytes: u64,
}

/// A graph over rows.
pub(crate) trait Graph: Send + Sync {
    /// Links rows in, in parallel on the thread pool that it is called in, and gives the slot of each. They are found from
    /// the moment this returns. Slots of the long dead are given out again.
    fn insert(&self, entries: &[Entry]) -> Vec<u32>;

    /// From now on no search returns the row at `slot`; says whether it was live. The slot is not given out again while
    /// a search that began before may still look at it.
    fn kill(&self, slot: u32) -> bool;

    /// The id of a live row. Only for who knows that nobody kills it meanwhile.
    fn id(&self, slot: u32) -> u64;

    /// A copy of a row.
    fn row(&self, slot: u32) -> Row;

    /// Offers live rows near `query` to `top`, with similarities as good as exact: about the best that it takes, looking at
    /// no fewer than `ef` nodes, and at more while dead ones stand in the way. A row is offered once at most.
    fn search(&self, query: &Query, ef: usize, top: &mut Top);

    /// Does a bounded piece of what keeps the graph good (unlinks the dead, frees their slots, looks for rows that do not
    /// find themselves); true while there is more to do.
    fn tidy(&self, stop: &AtomicBool) -> bool;

    /// Whether tidying is due, even while rows wait to be inserted.
    fn is_untidy(&self) -> bool;

    /// Whether tidying would do some good when there is nothing else to do: rows were not yet seen to be found.
    fn is_unchecked(&self) -> bool {
        false
    }

    /// Whether tidying cannot help and the graph is to be built anew from its live rows.
    fn needs_rebuild(&self) -> bool {
        false
    }

    fn census(&self) -> Census;

    /// Every live (slot, id), in the order of slots. Only while nothing is inserted.
    fn live(&self) -> Vec<(u32, u64)>;

    /// Slots ever given out: every slot, live, dead or free, is below this. Only while nothing is inserted.
    fn slots(&self) -> u32 {
        self.live().last().map_or(0, |(slot, _)| slot + 1)
    }

    /// Which graph it is, as a checkpoint remembers it; a number is never given another meaning. Only of a graph that saves.
    fn kind(&self) -> u32 {
        0
    }

    /// Appends the `piece`-th part of the links, for a checkpoint, to `bytes`; false past the last. Only while nothing
    /// is inserted and nothing tidied. A graph that is built anew at a restart has none.
    fn save(&self, _piece: usize, _bytes: &mut Vec<u8>) -> bool {
        false
    }

    /// The row at a slot, lent to `look`, without a copy where the graph can. Only while nothing is inserted or tidied.
    /// A graph that saves its links is asked for dead and free slots too: whatever lies there.
    fn with_row(&self, slot: u32, look: &mut dyn FnMut(RowRef<'_>)) {
        look(self.row(slot).view());
    }
}
