//! Answer clusters and the memory of entries: which entries were judged to have the same answer, and what labels said of
//! each.

use std::collections::HashMap;

/// Entries of one cluster that are listed; a larger one takes no more in.
const MOST_MEMBERS: usize = 4096;

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

/// All entries that were ever shown or stored, until they are forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Clusters {
    pub(super) rows: HashMap<u64, Row>,
    members: HashMap<u32, Vec<u64>>,
    /// Wrong labels of hits of each cluster since it last was whole.
    wrong: HashMap<u32, u16>,
    pub(super) next: u32,
}

impl Clusters {
    /// The row of `entry`; one in a cluster of its own where it is new.
    pub(super) fn row(&mut self, entry: u64) -> &mut Row {
        let next = &mut self.next;
        let members = &mut self.members;
        self.rows.entry(entry).or_insert_with(|| {
            *next = next.wrapping_add(1);
            members.insert(*next, vec![entry]);
            Row { cluster: *next, right: 0, wrong: 0, worst: -1.0 }
        })
    }

    /// Is there a row of `entry`?
    pub(super) fn knows(&self, entry: u64) -> bool {
        self.rows.contains_key(&entry)
    }

    /// Puts a row of the state file back.
    pub(super) fn restore(&mut self, entry: u64, row: Row) {
        self.rows.insert(entry, row);
        self.members.entry(row.cluster).or_default().push(entry);
        self.next = self.next.max(row.cluster);
    }

    /// Two entries have the same answer: their clusters become one.
    pub(super) fn join(&mut self, one: u64, other: u64) {
        let (a, b) = (self.row(one).cluster, self.row(other).cluster);
        if a == b {
            return;
        }
        let size = |cluster: &u32| self.members.get(cluster).map_or(0, Vec::len);
        if size(&a) + size(&b) > MOST_MEMBERS {
            return;
        }
        let (large, small) = if size(&a) < size(&b) { (b, a) } else { (a, b) };
        let moved = self.members.remove(&small).unwrap_or_default();
        for entry in &moved {
            if let Some(row) = self.rows.get_mut(entry) {
                row.cluster = large;
            }
        }
        self.members.entry(large).or_default().extend(moved);
        let wrong = self.wrong.remove(&small).unwrap_or(0);
        *self.wrong.entry(large).or_default() += wrong;
    }

    /// A hit of this entry was wrong: at the second one of its cluster the cluster falls apart. Gives whether it did.
    pub(super) fn blame(&mut self, entry: u64) -> bool {
        let cluster = self.row(entry).cluster;
        let wrong = self.wrong.entry(cluster).or_default();
        *wrong = wrong.saturating_add(1);
        if *wrong < 2 || self.members.get(&cluster).is_none_or(|members| members.len() < 2) {
            return false;
        }
        self.wrong.remove(&cluster);
        for entry in self.members.remove(&cluster).unwrap_or_default() {
            self.next = self.next.wrapping_add(1);
            let alone = self.next;
            if let Some(row) = self.rows.get_mut(&entry) {
                row.cluster = alone;
                self.members.insert(alone, vec![entry]);
            }
        }
        true
    }

    /// The entry has left the cache.
    pub(super) fn forget(&mut self, entry: u64) {
        let Some(row) = self.rows.remove(&entry) else { return };
        let Some(members) = self.members.get_mut(&row.cluster) else { return };
        members.retain(|one| *one != entry);
        if members.is_empty() {
            self.members.remove(&row.cluster);
            self.wrong.remove(&row.cluster);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_blames_and_forgets() {
        let mut clusters = Clusters::default();
        clusters.join(1, 2);
        clusters.join(3, 4);
        clusters.join(2, 3);
        let same = |clusters: &mut Clusters, one, other| clusters.row(one).cluster == clusters.row(other).cluster;
        assert!(same(&mut clusters, 1, 4) && !same(&mut clusters, 1, 5));
        assert!(!clusters.blame(1), "one wrong label is no proof");
        assert!(clusters.blame(4), "the second one is, be it of another entry of the cluster");
        assert!(!same(&mut clusters, 1, 4) && !same(&mut clusters, 1, 2));
        clusters.forget(1);
        assert!(!clusters.rows.contains_key(&1) && clusters.rows.contains_key(&2));
    }
}
