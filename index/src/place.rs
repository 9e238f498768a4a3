//! [`Place`]: where each id of a scope is: a table of 32-bit cells that knows no ids itself.
//!
//! A cell is a position in the flat rows, or, with [`GRAPH`] added, a slot of the graph. The id that it belongs to is read
//! where the row is, through a closure; one byte of the id's hash beside each cell saves most of these looks. Cells are
//! found by probing from the hash onwards; a removal closes the gap. A scope with few rows has no table: its ids are looked through.

/// Marks the cell of a row in the graph.
pub(crate) const GRAPH: u32 = 1 << 31;

/// Entries from which there are many tables, by hash, so that none takes long to grow.
const SPLIT_FROM: usize = 16 * 1024;
const SPLIT: usize = 64;

/// Cells of the smallest table.
const LEAST: usize = 16;

/// Where each id is.
#[derive(Default)]
pub(crate) struct Place {
    /// None, one, or [`SPLIT`].
    tables: Vec<Table>,
    len: usize,
}

#[derive(Default)]
struct Table {
    /// A byte of each cell's hash; 0 where there is none.
    tags: Box<[u8]>,
    cells: Box<[u32]>,
    len: usize,
}

impl Place {
    /// Whether there is a table at all.
    pub(crate) fn is_built(&self) -> bool {
        !self.tables.is_empty()
    }

    /// A table of these cells, about `count`.
    pub(crate) fn build(cells: impl Iterator<Item = u32>, count: usize, id_of: impl Fn(u32) -> u64) -> Place {
        let tables = if count >= SPLIT_FROM { SPLIT } else { 1 };
        let room = (count / tables * 5 / 4).max(LEAST);
        let mut place = Place { tables: (0..tables).map(|_| Table::with_room(room)).collect(), len: 0 };
        for cell in cells {
            place.insert(id_of(cell), cell, &id_of);
        }
        place
    }

    /// The cell of `id`.
    pub(crate) fn find(&self, id: u64, id_of: impl Fn(u32) -> u64) -> Option<u32> {
        let hash = hash(id);
        let table = self.tables.get(self.table(hash))?;
        table.probe(hash, |cell| id_of(cell) == id).map(|at| table.cells[at])
    }

    /// Adds a cell for an `id` that has none.
    pub(crate) fn insert(&mut self, id: u64, cell: u32, id_of: impl Fn(u32) -> u64) {
        if self.tables.is_empty() || (self.len >= SPLIT_FROM && self.tables.len() < SPLIT) {
            self.redistribute(if self.len >= SPLIT_FROM { SPLIT } else { 1 }, &id_of);
        }
        let hash = hash(id);
        let table = self.table(hash);
        self.tables[table].insert(hash, cell, id_of);
        self.len += 1;
    }

    /// Gives `id`, whose cell is `old`, the cell `new`.
    pub(crate) fn replace(&mut self, id: u64, old: u32, new: u32) {
        let hash = hash(id);
        let table = self.table(hash);
        if let Some(table) = self.tables.get_mut(table)
            && let Some(at) = table.probe(hash, |cell| cell == old)
        {
            table.cells[at] = new;
        }
    }

    /// Takes `id`, whose cell is `cell`, out.
    pub(crate) fn remove(&mut self, id: u64, cell: u32, id_of: impl Fn(u32) -> u64) {
        let hash = hash(id);
        let table = self.table(hash);
        if let Some(table) = self.tables.get_mut(table)
            && let Some(at) = table.probe(hash, |held| held == cell)
        {
            table.remove(at, &id_of);
            self.len -= 1;
            if self.tables.len() > 1 && self.len < SPLIT_FROM / 4 {
                self.redistribute(1, id_of);
            }
        }
    }

    /// Every cell, in no order.
    pub(crate) fn cells(&self) -> impl Iterator<Item = u32> {
        self.tables.iter().flat_map(Table::held)
    }

    /// Memory in bytes, beyond the struct itself.
    pub(crate) fn bytes(&self) -> u64 {
        let cells: usize = self.tables.iter().map(|t| t.tags.len()).sum();
        (self.tables.capacity() * size_of::<Table>() + cells * 5) as u64
    }

    fn table(&self, hash: u64) -> usize {
        if self.tables.len() > 1 { (hash >> 56) as usize % SPLIT } else { 0 }
    }

    /// Puts all cells into `count` new tables.
    fn redistribute(&mut self, count: usize, id_of: impl Fn(u32) -> u64) {
        let tables = (0..count).map(|_| Table::default()).collect();
        for table in std::mem::replace(&mut self.tables, tables) {
            for cell in table.held() {
                let hash = hash(id_of(cell));
                let table = self.table(hash);
                self.tables[table].insert(hash, cell, &id_of);
            }
        }
    }
}

impl Table {
    fn home(&self, hash: u64) -> usize {
        (((hash & 0xFFFF_FFFF) * self.tags.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.tags.len() { 0 } else { at + 1 }
    }

    /// Where the cell is that `is_it`, of those with `hash`.
    fn probe(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        if self.tags.is_empty() {
            return None;
        }
        let (tag, mut at) = (tag(hash), self.home(hash));
        loop {
            match self.tags[at] {
                0 => return None,
                held if held == tag && is_it(self.cells[at]) => return Some(at),
                _ => at = self.next(at),
            }
        }
    }

    fn insert(&mut self, hash: u64, cell: u32, id_of: impl Fn(u32) -> u64) {
        // At most 7 in 8 are taken; after growing by a quarter, 7 in 10.
        if (self.len + 1) * 8 > self.tags.len() * 7 {
            self.resize((self.tags.len() * 5 / 4).max(LEAST), id_of);
        }
        self.put(hash, cell);
        self.len += 1;
    }

    fn put(&mut self, hash: u64, cell: u32) {
        let mut at = self.home(hash);
        while self.tags[at] != 0 {
            at = self.next(at);
        }
        self.tags[at] = tag(hash);
        self.cells[at] = cell;
    }

    fn remove(&mut self, at: usize, id_of: impl Fn(u32) -> u64) {
        let (mut gap, mut at) = (at, at);
        loop {
            at = self.next(at);
            if self.tags[at] == 0 {
                break;
            }
            // A cell may close the gap unless its probing begins behind it.
            let home = self.home(hash(id_of(self.cells[at])));
            let behind = if gap < at { gap < home && home <= at } else { gap < home || home <= at };
            if !behind {
                self.tags[gap] = self.tags[at];
                self.cells[gap] = self.cells[at];
                gap = at;
            }
        }
        self.tags[gap] = 0;
        self.len -= 1;
        if self.tags.len() > LEAST && self.len * 2 < self.tags.len() {
            self.resize((self.len * 4 / 3).max(LEAST), id_of);
        }
    }

    fn with_room(cells: usize) -> Table {
        Table { tags: vec![0; cells].into(), cells: vec![0; cells].into(), len: 0 }
    }

    fn resize(&mut self, cells: usize, id_of: impl Fn(u32) -> u64) {
        let old = std::mem::replace(self, Table { len: self.len, ..Table::with_room(cells) });
        for cell in old.held() {
            self.put(hash(id_of(cell)), cell);
        }
    }

    fn held(&self) -> impl Iterator<Item = u32> {
        self.tags.iter().zip(&self.cells).filter(|(tag, _)| **tag != 0).map(|(_, cell)| *cell)
    }
}

/// Spreads ids, which are often numbered in order, over all bits (splitmix64).
fn hash(id: u64) -> u64 {
    let z = (id ^ (id >> 30)).wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One byte of a hash, never 0; other bits than those that choose the table and the place in it.
fn tag(hash: u64) -> u8 {
    ((hash >> 40) as u8).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[derive(Debug, Clone)]
    enum Step {
        Set(u64),
        Remove(u64),
        Burst(u64, u64),
        Clear(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => (0..500_u64).prop_map(Step::Set),
            4 => (0..500_u64).prop_map(Step::Remove),
            1 => (0..60_000_u64, 1..9000_u64).prop_map(|(first, count)| Step::Burst(first, count)),
            1 => (0..60_000_u64, 1..60_000_u64).prop_map(|(first, count)| Step::Clear(first, count)),
        ]
    }

    /// A place, a plain map, and the id of every cell ever given out.
    struct Pair {
        place: Place,
        map: HashMap<u64, u32>,
        ids: Vec<u64>,
    }

    impl Pair {
        fn set(&mut self, id: u64) {
            let cell = self.ids.len() as u32 | if id.is_multiple_of(3) { GRAPH } else { 0 };
            self.ids.push(id);
            match self.map.insert(id, cell) {
                Some(old) => self.place.replace(id, old, cell),
                None => self.place.insert(id, cell, |cell| self.ids[(cell & !GRAPH) as usize]),
            }
        }

        fn remove(&mut self, id: u64) {
            if let Some(cell) = self.map.remove(&id) {
                self.place.remove(id, cell, |cell| self.ids[(cell & !GRAPH) as usize]);
            }
        }

        fn check(&self) {
            let id_of = |cell: u32| self.ids[(cell & !GRAPH) as usize];
            assert_eq!(self.place.len, self.map.len());
            for (id, cell) in &self.map {
                assert_eq!(self.place.find(*id, id_of), Some(*cell));
            }
            (100_000..100_100).for_each(|id| assert_eq!(self.place.find(id, id_of), None));
            let mut cells: Vec<u32> = self.place.cells().collect();
            let mut expected: Vec<u32> = self.map.values().copied().collect();
            cells.sort_unstable();
            expected.sort_unstable();
            assert_eq!(cells, expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec(step(), 1..120)) {
            let mut pair = Pair { place: Place::default(), map: HashMap::new(), ids: Vec::new() };
            for step in steps {
                match step {
                    Step::Set(id) => pair.set(id),
                    Step::Remove(id) => pair.remove(id),
                    Step::Burst(first, count) => (first..first + count).for_each(|id| pair.set(id)),
                    Step::Clear(first, count) => (first..first + count).for_each(|id| pair.remove(id)),
                }
            }
            pair.check();
        }
    }

    #[test]
    fn a_table_is_built_at_once_as_it_is_one_by_one() {
        for count in [1, 100, 20_000, 70_000_u32] {
            // What was built too small or too large grows and shrinks as any.
            for said in [count as usize, 10, 3 * count as usize] {
                let mut place = Place::build(0..count, said, u64::from);
                assert_eq!(place.len, count as usize);
                (0..count).step_by(2).for_each(|cell| place.remove(u64::from(cell), cell, u64::from));
                let found = (0..count).filter(|id| place.find(u64::from(*id), u64::from) == Some(*id)).count();
                assert_eq!((place.len, found), (count as usize / 2, count as usize / 2));
            }
        }
    }

    #[test]
    fn an_entry_takes_few_bytes_whatever_their_number() {
        for count in [1000_u32, 10_000, 20_000, 100_000, 300_000] {
            let place = Place::build(0..count, count as usize, u64::from);
            let bytes = place.bytes() as f64 / f64::from(count);
            assert!(bytes < 7.3, "{count} entries: {bytes} bytes each");
        }
    }
}
