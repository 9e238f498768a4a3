//! What a checkpoint holds of a scope, lent from the mapped file: [`Restored`], [`GraphImage`], [`Group`].

use crate::ScopeKey;
use crate::graph::Entry;
use crate::quantize::Row;

/// A scope as a checkpoint has it. No id is in it twice.
pub(crate) struct Restored<'a> {
    pub(crate) scope: ScopeKey,
    /// Rows that were in no graph, or whose graph is damaged.
    pub(crate) flat: Vec<Entry>,
    /// Whole: every slot has its group, every piece of the links is there.
    pub(crate) graph: Option<GraphImage<'a>>,
}

/// A graph, as [`crate::graph::Graph::save`] and its rows were written down.
pub(crate) struct GraphImage<'a> {
    /// Which graph it was: [`crate::graph::Graph::kind`].
    pub(crate) kind: u32,
    pub(crate) width: usize,
    /// Slots it had given out, live, dead and free: the groups cover 0 to this.
    pub(crate) slots: u32,
    /// In the order of their slots, without a gap. All but the last are of the same size.
    pub(crate) groups: Vec<Group<'a>>,
    /// The pieces, in their order.
    pub(crate) links: Vec<&'a [u8]>,
}

/// Rows of consecutive slots, plane by plane. Rows of slots that were dead or free are whatever they were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'a> {
    /// Slot of the first row.
    pub(crate) first: u32,
    /// Rows in the group.
    pub(crate) count: usize,
    /// A bit for each row, lowest first, in whole bytes.
    pub(crate) live: &'a [u8],
    /// Eight bytes a row: see [`Group::id`].
    pub(crate) ids: &'a [u8],
    /// Two bytes a row: see [`Group::scale`].
    pub(crate) scales: &'a [u8],
    /// The coarse bytes, `width` a row, row after row.
    pub(crate) high: &'a [u8],
    /// The fine bytes, likewise.
    pub(crate) low: &'a [u8],
}

impl Group<'_> {
    pub(crate) fn is_live(&self, i: usize) -> bool {
        self.live[i / 8] >> (i % 8) & 1 == 1
    }

    pub(crate) fn id(&self, i: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.ids[8 * i..8 * i + 8]);
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn scale(&self, i: usize) -> u16 {
        u16::from_le_bytes([self.scales[2 * i], self.scales[2 * i + 1]])
    }

    /// A copy of the `i`-th row.
    pub(crate) fn row(&self, i: usize) -> Row {
        let width = self.high.len() / self.count;
        let plane = i * width..(i + 1) * width;
        Row::from_planes(self.scale(i), &self.high[plane.clone()], &self.low[plane])
    }

    /// Copies of the live rows.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        (0..self.count).filter(|&i| self.is_live(i)).map(|i| Entry { id: self.id(i), row: self.row(i) })
    }
}

impl GraphImage<'_> {
    /// Copies of the live rows: for who wants to build another graph.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.groups.iter().flat_map(Group::entries)
    }
}
