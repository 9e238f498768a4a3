//! What is remembered of each entry, in shards that a snapshot shares with the learner: a shard is copied when it changes
//! while a snapshot of it is still being written.

use std::collections::HashMap;
use std::sync::Arc;

/// Shards. Of a million entries one holds a thousand, and is copied in microseconds.
const SHARDS: usize = 1024;

/// What is remembered of an entry.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Row {
    pub(super) cluster: u32,
    /// Labels that said right, and wrong, when it was served.
    pub(super) right: u16,
    pub(super) wrong: u16,
    /// The highest similarity that proved wrong.
    pub(super) worst: f32,
}

/// Rows by entry. A clone shares them.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    shards: Vec<Arc<HashMap<u64, Row>>>,
    len: usize,
}

impl Default for Rows {
    fn default() -> Rows {
        Rows { shards: vec![Arc::default(); SHARDS], len: 0 }
    }
}

impl Rows {
    pub(super) fn get(&self, entry: u64) -> Option<&Row> {
        self.shards[shard(entry)].get(&entry)
    }

    pub(super) fn get_mut(&mut self, entry: u64) -> Option<&mut Row> {
        let shard = &mut self.shards[shard(entry)];
        if shard.contains_key(&entry) { Arc::make_mut(shard).get_mut(&entry) } else { None }
    }

    /// Puts a row in, in place of the one that was there.
    pub(super) fn insert(&mut self, entry: u64, row: Row) {
        let before = Arc::make_mut(&mut self.shards[shard(entry)]).insert(entry, row);
        self.len += usize::from(before.is_none());
    }

    pub(super) fn remove(&mut self, entry: u64) -> Option<Row> {
        let shard = &mut self.shards[shard(entry)];
        let gone = if shard.contains_key(&entry) { Arc::make_mut(shard).remove(&entry) } else { None };
        self.len -= usize::from(gone.is_some());
        gone
    }

    pub(super) fn retain(&mut self, holds: &impl Fn(u64) -> bool) {
        for shard in self.shards.iter_mut().filter(|shard| shard.keys().any(|entry| !holds(*entry))) {
            Arc::make_mut(shard).retain(|entry, _| holds(*entry));
        }
        self.len = self.shards.iter().map(|shard| shard.len()).sum();
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Row)> {
        self.shards.iter().flat_map(|shard| shard.iter().map(|(entry, row)| (*entry, *row)))
    }
}

/// Entries are numbered one after another: spread by a multiplication (Knuth, The Art of Computer Programming 3, 6.4).
fn shard(entry: u64) -> usize {
    (entry.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_what_was() {
        let row = Row { cluster: 1, right: 0, wrong: 0, worst: -1.0 };
        let mut rows = Rows::default();
        (0..5000).for_each(|entry| rows.insert(entry, row));
        let before = rows.clone();
        rows.insert(7, Row { right: 1, ..row });
        rows.get_mut(8).unwrap().wrong = 3;
        assert_eq!((rows.remove(9), rows.remove(9), rows.get_mut(9)), (Some(row), None, None));
        rows.retain(&|entry| entry < 100);
        assert_eq!((rows.len(), rows.iter().count()), (99, 99));
        assert_eq!((before.len(), before.iter().filter(|(_, one)| *one == row).count()), (5000, 5000));
        let largest = before.shards.iter().map(|shard| shard.len()).max().unwrap();
        assert!(largest < 20, "{largest} of 5000 entries in one shard");
    }
}
