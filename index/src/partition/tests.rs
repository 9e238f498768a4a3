//! One partition against a plain map, with the steps of background work and changes in any order, and a graph that is exact.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;
use crate::graph::Census;
use crate::lookup;
use crate::quantize::Row;

const WIDTH: usize = 8;
const IDS: u64 = 120;

/// A list of rows, which it looks through.
#[derive(Default)]
struct Plain(Mutex<Vec<(Entry, bool)>>);

impl Graph for Plain {
    fn insert(&self, entries: &[Entry]) -> Vec<u32> {
        let mut rows = self.0.lock();
        let first = rows.len() as u32;
        rows.extend(entries.iter().map(|entry| (entry.clone(), true)));
        (first..rows.len() as u32).collect()
    }

    fn kill(&self, slot: u32) -> bool {
        std::mem::replace(&mut self.0.lock()[slot as usize].1, false)
    }

    fn id(&self, slot: u32) -> u64 {
        let (entry, live) = self.0.lock()[slot as usize].clone();
        assert!(live, "only the live are asked for");
        entry.id
    }

    fn row(&self, slot: u32) -> Row {
        self.0.lock()[slot as usize].0.row.clone()
    }

    fn search(&self, query: &Query, _ef: usize, top: &mut Top) {
        for (entry, _) in self.0.lock().iter().filter(|(_, live)| *live) {
            top.offer(entry.id, query.similarity(entry.row.view(), Kernels::get()));
        }
    }

    fn tidy(&self, _stop: &AtomicBool) -> bool {
        false
    }

    fn is_untidy(&self) -> bool {
        false
    }

    fn census(&self) -> Census {
        Census { live: self.live().len(), ..Census::default() }
    }

    fn live(&self) -> Vec<(u32, u64)> {
        let rows = self.0.lock();
        rows.iter().enumerate().filter(|(_, (_, live))| *live).map(|(slot, (e, _))| (slot as u32, e.id)).collect()
    }
}

/// What background work has in hand.
enum Work {
    None,
    /// Sent off; with slots once the graph has them.
    Drain(Arc<dyn Graph>, Vec<Entry>, Option<Vec<u32>>),
    /// A new graph, and what has moved.
    Rebuild(Arc<dyn Graph>, Vec<(u64, u32, u32)>),
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64, u64),
    Remove(u64),
    /// The next step of what is in hand, or the first of a drain of so many rows.
    Drain(usize),
    Rebuild,
    Flatten,
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..IDS, 0..1000_u64).prop_map(|(id, seed)| Step::Insert(id, seed)),
        6 => (0..IDS).prop_map(Step::Remove),
        6 => (1..40_usize).prop_map(Step::Drain),
        2 => Just(Step::Rebuild),
        1 => Just(Step::Flatten),
        1 => Just(Step::Restore),
    ]
}

fn row(seed: u64) -> Row {
    let mut state = seed;
    let mut vector: Vec<f32> = (0..WIDTH)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect();
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= norm);
    Row::new(&vector)
}

struct Twin {
    config: IndexConfig,
    partition: Partition,
    map: HashMap<u64, Row>,
    work: Work,
}

impl Twin {
    fn change(&mut self, id: u64, row: Option<Row>) {
        let mut writer = self.partition.writer().unwrap();
        let was_there = match &row {
            Some(row) => writer.insert(id, row.view()),
            None => writer.remove(id),
        };
        drop(writer);
        let held = match row {
            Some(row) => self.map.insert(id, row),
            None => self.map.remove(&id),
        };
        assert_eq!(was_there, held.is_some());
    }

    fn drain(&mut self, count: usize) {
        self.work = match std::mem::replace(&mut self.work, Work::None) {
            Work::None => {
                let graph = self.partition.graph().unwrap_or_else(|| Arc::new(Plain::default()));
                Work::Drain(graph, self.partition.send_off(count), None)
            }
            Work::Drain(graph, entries, None) => {
                let slots = graph.insert(&entries);
                Work::Drain(graph, entries, Some(slots))
            }
            Work::Drain(graph, entries, Some(slots)) => {
                if self.partition.graph().is_none() {
                    self.partition.adopt(Arc::clone(&graph));
                }
                self.partition.hand_over(&*graph, &entries, &slots);
                Work::None
            }
            Work::Rebuild(graph, moved) => {
                self.partition.exchange(graph, &moved);
                Work::None
            }
        };
    }

    fn rebuild(&mut self) {
        let (Work::None, Some(old)) = (&self.work, self.partition.graph()) else { return };
        let live = old.live();
        let entries: Vec<Entry> = live.iter().map(|(slot, id)| Entry { id: *id, row: old.row(*slot) }).collect();
        let new: Arc<dyn Graph> = Arc::new(Plain::default());
        // Other slots than before.
        new.kill(new.insert(&[Entry { id: 9999, row: row(0) }])[0]);
        let slots = new.insert(&entries);
        let moved = live.iter().zip(slots).map(|((from, id), to)| (*id, *from, to)).collect();
        self.work = Work::Rebuild(new, moved);
    }

    fn restore(&mut self) {
        if matches!(self.work, Work::None) {
            let again = Partition::new(&self.config);
            let mut flat = Vec::new();
            self.partition.each_flat(&mut |id, row| flat.push(Entry { id, row: row.to_row() }));
            again.restore(&flat, self.partition.graph());
            self.partition = again;
        }
    }

    fn check(&self) {
        let query = Query::of_row(row(77).view(), WIDTH);
        let found = lookup::nearest(&self.partition, &query, Top::new(usize::MAX, -1.0), 1);
        assert_eq!(found.len(), self.map.len());
        for near in found {
            let row = &self.map[&near.id];
            assert_eq!(near.similarity, query.similarity(row.view(), Kernels::get()), "{}", near.id);
        }
        let mut ids = self.partition.ids();
        ids.sort_unstable();
        let mut expected: Vec<u64> = self.map.keys().copied().collect();
        expected.sort_unstable();
        assert_eq!(ids, expected);
        assert_eq!(self.partition.live(), self.map.len());
        (0..IDS).for_each(|id| assert_eq!(self.partition.contains(id), self.map.contains_key(&id)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_under_way_a_lookup_sees_each_row_once(steps in prop::collection::vec(step(), 1..250)) {
        let config = IndexConfig { graph_from: 40, ..IndexConfig::new(WIDTH, "test") };
        let partition = Partition::new(&config);
        let mut twin = Twin { config, partition, map: HashMap::new(), work: Work::None };
        for step in steps {
            match step {
                Step::Insert(id, seed) => twin.change(id, Some(row(seed))),
                Step::Remove(id) => twin.change(id, None),
                Step::Drain(count) => twin.drain(count),
                Step::Rebuild => twin.rebuild(),
                Step::Flatten if matches!(twin.work, Work::None) => {
                    twin.partition.flatten();
                }
                Step::Flatten => (),
                Step::Restore => twin.restore(),
            }
            twin.check();
        }
    }
}

#[test]
fn a_scope_of_few_rows_has_no_table() {
    let config = IndexConfig::new(WIDTH, "test");
    let partition = Partition::new(&config);
    for id in 0..200 {
        partition.writer().unwrap().insert(id, row(id).view());
        assert_eq!(partition.writer.lock().is_built(), id >= SMALL as u64);
    }
    for id in 0..200 {
        assert!(partition.writer().unwrap().remove(id));
    }
    assert!(!partition.writer.lock().is_built());
    assert_eq!(partition.live(), 0);
}

#[test]
fn a_retired_partition_cannot_be_changed() {
    let partition = Partition::new(&IndexConfig::new(WIDTH, "test"));
    partition.retire();
    assert!(partition.writer().is_none());
}
