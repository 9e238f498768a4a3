//! Answer clusters and the memory of entries: which entries were judged to have the same answer, and what labels said of
//! each.

use super::rows::{Row, Rows};
use std::collections::HashMap;

/// Entries of one cluster that are listed; a larger one takes no more in.
const MOST_MEMBERS: usize = 4096;

/// Clusters from here on are for the time of one decision.
pub(super) const TEMPORARY: u32 = u32::MAX - 4096;

/// All entries that were ever shown or stored, until they are forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct Clusters {
    pub(super) rows: Rows,
    members: HashMap<u32, Vec<u64>>,
    /// Wrong labels of hits of each cluster since it last was whole.
    wrong: HashMap<u32, u16>,
    pub(super) next: u32,
}

impl Clusters {
    /// The cluster of `entry`; one of its own where it is new.
    pub(super) fn cluster(&mut self, entry: u64) -> u32 {
        if let Some(row) = self.rows.get(entry) {
            return row.cluster;
        }
        let cluster = free(&mut self.next, &self.members);
        self.members.insert(cluster, vec![entry]);
        self.rows.insert(entry, Row { cluster, right: 0, wrong: 0, worst: -1.0 });
        cluster
    }

    /// The cluster of `entry`, if it is known.
    pub(super) fn of(&self, entry: u64) -> Option<u32> {
        self.rows.get(entry).map(|row| row.cluster)
    }

    /// Entries of a cluster.
    pub(super) fn size(&self, cluster: u32) -> usize {
        self.members.get(&cluster).map_or(0, Vec::len)
    }

    /// Clusters that have entries.
    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    /// Puts a row of the state file back.
    pub(super) fn restore(&mut self, entry: u64, row: Row) {
        self.rows.insert(entry, row);
        self.members.entry(row.cluster).or_default().push(entry);
        self.next = self.next.max(row.cluster);
    }

    /// Two entries have the same answer: their clusters become one.
    pub(super) fn join(&mut self, one: u64, other: u64) {
        let (a, b) = (self.cluster(one), self.cluster(other));
        if a == b {
            return;
        }
        if self.size(a) + self.size(b) > MOST_MEMBERS {
            return;
        }
        let (large, small) = if self.size(a) < self.size(b) { (b, a) } else { (a, b) };
        let moved = self.members.remove(&small).unwrap_or_default();
        for entry in &moved {
            if let Some(row) = self.rows.get_mut(*entry) {
                row.cluster = large;
            }
        }
        self.members.entry(large).or_default().extend(moved);
        if let Some(wrong) = self.wrong.remove(&small) {
            let of_both = self.wrong.entry(large).or_default();
            *of_both = of_both.saturating_add(wrong);
        }
    }

    /// A hit of this entry was wrong: at the second one of its cluster the cluster falls apart. Gives whether it did.
    pub(super) fn blame(&mut self, entry: u64) -> bool {
        let cluster = self.cluster(entry);
        let wrong = self.wrong.entry(cluster).or_default();
        *wrong = wrong.saturating_add(1);
        if *wrong < 2 || self.members.get(&cluster).is_none_or(|members| members.len() < 2) {
            return false;
        }
        self.wrong.remove(&cluster);
        for entry in self.members.remove(&cluster).unwrap_or_default() {
            let alone = free(&mut self.next, &self.members);
            if let Some(row) = self.rows.get_mut(entry) {
                row.cluster = alone;
                self.members.insert(alone, vec![entry]);
            }
        }
        true
    }

    /// The entry has left the cache.
    pub(super) fn forget(&mut self, entry: u64) {
        let Some(row) = self.rows.remove(entry) else { return };
        let Some(members) = self.members.get_mut(&row.cluster) else { return };
        members.retain(|one| *one != entry);
        if members.is_empty() {
            self.members.remove(&row.cluster);
            self.wrong.remove(&row.cluster);
        }
    }

    /// Forgets the entries that are no longer held.
    pub(super) fn retain(&mut self, holds: impl Fn(u64) -> bool) {
        self.rows.retain(&holds);
        for members in self.members.values_mut() {
            members.retain(|entry| holds(*entry));
        }
        self.members.retain(|_, members| !members.is_empty());
        self.wrong.retain(|cluster, _| self.members.contains_key(cluster));
    }
}

/// The next name that no cluster bears. They come round after four billion entries.
fn free(next: &mut u32, members: &HashMap<u32, Vec<u64>>) -> u32 {
    loop {
        *next = next.wrapping_add(1) % TEMPORARY;
        if !members.contains_key(next) {
            return *next;
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
        let same = |clusters: &mut Clusters, one, other| clusters.cluster(one) == clusters.cluster(other);
        assert!(same(&mut clusters, 1, 4) && !same(&mut clusters, 1, 5));
        assert!(!clusters.blame(1), "one wrong label is no proof");
        assert!(clusters.blame(4), "the second one is, be it of another entry of the cluster");
        assert!(!same(&mut clusters, 1, 4) && !same(&mut clusters, 1, 2));
        clusters.forget(1);
        assert!(clusters.of(1).is_none() && clusters.of(2).is_some());
    }

    #[test]
    fn retains_what_is_held() {
        let mut clusters = Clusters::default();
        (0..10).for_each(|entry| clusters.join(entry, entry % 2));
        clusters.blame(0);
        clusters.retain(|entry| entry % 2 == 1 && entry < 7);
        assert_eq!((clusters.rows.len(), clusters.count(), clusters.size(clusters.of(1).unwrap())), (3, 1, 3));
        assert!(clusters.wrong.is_empty());
    }

    #[test]
    fn names_come_round_without_falling_on_one_that_is_borne() {
        let mut clusters = Clusters::default();
        clusters.join(1, 2);
        let borne = clusters.of(1).unwrap();
        clusters.next = TEMPORARY - 2;
        let named: Vec<u32> = (3..8).map(|entry| clusters.cluster(entry)).collect();
        assert!(!named.contains(&borne) && named.iter().all(|cluster| *cluster < TEMPORARY), "{named:?}");
    }
}
