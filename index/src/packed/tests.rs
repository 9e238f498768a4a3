//! The graph against a scan of all, whole, thinned out and churned.

use std::sync::atomic::AtomicBool;

use super::image::KIND;
use super::*;
use crate::files::image::{GraphImage, Group};

const WIDTH: usize = 64;

/// Vectors as sentences lie: topics, and wordings near them.
struct Makes {
    state: u64,
    topics: Vec<Vec<f32>>,
}

impl Makes {
    fn new(seed: u64) -> Makes {
        let mut makes = Makes { state: seed, topics: Vec::new() };
        makes.topics = (0..200).map(|_| makes.direction()).collect();
        makes
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }

    fn direction(&mut self) -> Vec<f32> {
        let vector = (0..WIDTH).map(|_| (0..4).map(|_| self.next() as f32 / (1u64 << 30) as f32 - 1.0).sum()).collect();
        unit(vector)
    }

    fn near(&mut self, centre: &[f32], spread: f32) -> Vec<f32> {
        let other = self.direction();
        unit(centre.iter().zip(other).map(|(a, b)| a + spread * b).collect())
    }

    fn sentence(&mut self) -> Vec<f32> {
        let topic = self.next() as usize % self.topics.len();
        let centre = self.topics[topic].clone();
        self.near(&centre, 1.0)
    }
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / norm).collect()
}

fn entry(id: u64, vector: &[f32]) -> Entry {
    Entry { id, row: Row::new(vector) }
}

fn config() -> IndexConfig {
    IndexConfig { ef_construction: 96, ef_search: 48, ..IndexConfig::new(WIDTH, "test") }
}

fn graph() -> Packed {
    Packed::new(&config())
}

fn fill(graph: &Packed, first: u64, vectors: &[Vec<f32>]) -> Vec<u32> {
    let entries: Vec<Entry> = vectors.iter().zip(first..).map(|(vector, id)| entry(id, vector)).collect();
    entries.chunks(256).flat_map(|entries| graph.insert(entries)).collect()
}

fn settle(graph: &Packed) {
    let stop = AtomicBool::new(false);
    while graph.tidy(&stop) {}
}

fn ask(graph: &Packed, vector: &[f32], k: usize, bound: f32) -> Vec<crate::Neighbor> {
    let mut top = Top::new(k, bound);
    graph.search(&Query::new(vector), 48, &mut top);
    top.into_sorted()
}

/// Share of `queries` whose best live row comes first.
fn recall(graph: &Packed, live: &[(u64, Vec<f32>)], queries: &[Vec<f32>]) -> f64 {
    let right = queries.iter().filter(|query| {
        let cosine = |vector: &[f32]| vector.iter().zip(*query).map(|(a, b)| a * b).sum::<f32>();
        let best = live.iter().map(|(_, vector)| cosine(vector)).fold(-1.0, f32::max);
        ask(graph, query, 4, -1.0).first().is_some_and(|found| found.similarity > best - 1e-4)
    });
    right.count() as f64 / queries.len() as f64
}

fn pairs(vectors: &[Vec<f32>]) -> Vec<(u64, Vec<f32>)> {
    (0..).zip(vectors.iter().cloned()).collect()
}

#[test]
fn nearly_all_is_found_and_every_row_by_itself() {
    let mut makes = Makes::new(1);
    let vectors: Vec<_> = (0..4000).map(|_| makes.sentence()).collect();
    let graph = graph();
    fill(&graph, 0, &vectors);
    let queries: Vec<_> = (0..200).map(|i| makes.near(&vectors[i * 17], 0.4)).collect();
    assert!(recall(&graph, &pairs(&vectors), &queries) >= 0.97);
    settle(&graph);
    for (id, vector) in (0..).zip(&vectors) {
        assert_eq!(ask(&graph, vector, 1, 0.9).first().map(|found| found.id), Some(id));
    }
    let census = graph.census();
    assert_eq!((census.live, census.dead), (4000, 0));
}

#[test]
fn the_dead_are_not_found_and_hide_nobody() {
    let mut makes = Makes::new(2);
    let vectors: Vec<_> = (0..4000).map(|_| makes.sentence()).collect();
    let graph = graph();
    let slots = fill(&graph, 0, &vectors);
    // Whole topics go.
    let centres: Vec<_> = makes.topics.iter().step_by(2).cloned().collect();
    let near = |vector: &[f32]| centres.iter().any(|c| c.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>() > 0.5);
    let (mut live, mut gone) = (Vec::new(), 0);
    for (id, vector) in pairs(&vectors) {
        if near(&vector) {
            assert!(graph.kill(slots[id as usize]) && !graph.kill(slots[id as usize]));
            gone += 1;
        } else {
            live.push((id, vector));
        }
    }
    assert!(gone > 1200, "{gone}");
    // Queries right where the dead are.
    let queries: Vec<_> = centres.iter().map(|centre| makes.near(centre, 0.5)).collect();
    assert!(recall(&graph, &live, &queries) >= 0.97);
    settle(&graph);
    assert_eq!((graph.census().live, graph.census().dead), (live.len(), 0));
    // These queries are near to nobody, which is hard on any graph.
    let fresh = self::graph();
    live.iter().for_each(|(id, vector)| drop(fresh.insert(&[entry(*id, vector)])));
    assert!(recall(&graph, &live, &queries) >= recall(&fresh, &live, &queries) - 0.05);
    for (id, vector) in &live {
        assert_eq!(ask(&graph, vector, 1, 0.9).first().map(|found| found.id), Some(*id));
    }
}

#[test]
fn slots_are_used_again_and_nothing_drifts() {
    let mut makes = Makes::new(3);
    let mut live: Vec<(u64, Vec<f32>, u32)> = Vec::new();
    let graph = graph();
    let mut next = 0;
    for round in 0..8 {
        let vectors: Vec<_> = (0..1500).map(|_| makes.sentence()).collect();
        let slots = fill(&graph, next, &vectors);
        live.extend((next..).zip(vectors).zip(slots).map(|((id, vector), slot)| (id, vector, slot)));
        next += 1500;
        while live.len() > 1500 {
            let (_, _, slot) = live.swap_remove(makes.next() as usize % live.len());
            assert!(graph.kill(slot));
        }
        settle(&graph);
        // Those that left wait until searches of other threads, of other tests too, are over.
        for _ in 0..1000 {
            crossbeam_epoch::pin().flush();
        }
        assert_eq!((graph.census().live, graph.census().dead), (1500, 0), "round {round}");
    }
    let held: Vec<_> = live.iter().map(|(id, vector, _)| (*id, vector.clone())).collect();
    let queries: Vec<_> = held.iter().step_by(10).map(|(_, vector)| makes.near(vector, 0.4)).collect();
    assert!(recall(&graph, &held, &queries) >= 0.95);
    let mut ids: Vec<u64> = graph.live().iter().map(|(_, id)| *id).collect();
    let mut expected: Vec<u64> = held.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    for (id, vector) in &held {
        assert_eq!(ask(&graph, vector, 1, 0.9).first().map(|found| found.id), Some(*id));
    }
}

#[test]
fn many_copies_of_one_row_hide_nobody() {
    let mut makes = Makes::new(4);
    let vectors: Vec<_> = (0..3000).map(|_| makes.sentence()).collect();
    let graph = graph();
    fill(&graph, 0, &vectors);
    fill(&graph, 10_000, &vec![vectors[7].clone(); 500]);
    settle(&graph);
    assert_eq!(ask(&graph, &vectors[7], 1000, 0.9999).len(), 501);
    assert_eq!(ask(&graph, &vectors[7], 300, 0.9999).len(), 300);
    for (id, vector) in (0..).zip(&vectors).filter(|(id, _)| *id != 7) {
        assert_eq!(ask(&graph, vector, 1, 0.9).first().map(|found| found.id), Some(id));
    }
}

/// Ends the readers, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn searches_go_on_while_rows_come_and_go() {
    let graph = graph();
    let mut makes = Makes::new(5);
    let vectors: Vec<_> = (0..2000).map(|_| makes.sentence()).collect();
    let stays = fill(&graph, 0, &vectors);
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for reader in 0..2 {
            let (graph, vectors, over) = (&graph, &vectors, &over);
            threads.spawn(move || {
                let (mut at, mut asked, mut missed) = (reader, 0, 0);
                while !over.load(Ordering::Relaxed) {
                    at = (at + 7) % vectors.len();
                    let found = ask(graph, &vectors[at], 3, 0.5);
                    assert!(found.windows(2).all(|pair| pair[0].similarity >= pair[1].similarity));
                    missed += usize::from(!found.iter().any(|found| found.id == at as u64));
                    asked += 1;
                }
                // A row whose links were just given to others is not found until it is looked for.
                assert!(missed * 1000 <= asked + 1000, "{missed} of {asked}");
            });
        }
        let _over = Over(&over);
        let stop = AtomicBool::new(false);
        for round in 0..10 {
            let more: Vec<_> = (0..600).map(|_| makes.sentence()).collect();
            let slots = fill(&graph, 10_000 * (round + 1), &more);
            slots.iter().for_each(|slot| assert!(graph.kill(*slot)));
            while graph.tidy(&stop) {}
        }
    });
    settle(&graph);
    for (id, vector) in (0..).zip(&vectors) {
        assert_eq!(ask(&graph, vector, 1, 0.5).first().map(|found| found.id), Some(id));
    }
    assert_eq!(graph.census().live, 2000);
    assert!(graph.rows.upto() < 2000 + 10 * 600, "slots were used again: {}", graph.rows.upto());
    assert_eq!(stays.len(), 2000);
}

/// A graph's rows and links as a checkpoint has them.
struct Saved {
    slots: u32,
    live: Vec<u8>,
    ids: Vec<u8>,
    scales: Vec<u8>,
    high: Vec<u8>,
    low: Vec<u8>,
    links: Vec<Vec<u8>>,
}

impl Saved {
    fn of(graph: &Packed) -> Saved {
        let (slots, mut links, mut bytes) = (graph.slots(), Vec::new(), Vec::new());
        while graph.save(links.len(), &mut bytes) {
            links.push(std::mem::take(&mut bytes));
        }
        let mut live = vec![0; slots.div_ceil(8) as usize];
        graph.live().iter().for_each(|(slot, _)| live[*slot as usize / 8] |= 1 << (slot % 8));
        let mut saved =
            Saved { slots, live, ids: Vec::new(), scales: Vec::new(), high: Vec::new(), low: Vec::new(), links };
        for slot in 0..slots {
            saved.ids.extend(graph.id(slot).to_le_bytes());
            graph.with_row(slot, &mut |row| {
                saved.scales.extend(row.scale.to_le_bytes());
                saved.high.extend(&row.high[..WIDTH]);
                saved.low.extend(&row.low[..WIDTH]);
            });
        }
        saved
    }

    fn restore(&self) -> Result<Packed, String> {
        let Saved { slots, live, ids, scales, high, low, links } = self;
        let group = Group { first: 0, count: *slots as usize, live, ids, scales, high, low };
        let links = links.iter().map(Vec::as_slice).collect();
        Packed::restore(&GraphImage { kind: KIND, width: WIDTH, slots: *slots, groups: vec![group], links }, &config())
    }
}

#[test]
fn a_restored_graph_answers_as_the_saved_one_and_goes_on() {
    let mut makes = Makes::new(6);
    let graph = graph();
    let mut vectors: Vec<_> = (0..2000).map(|_| makes.sentence()).collect();
    vectors.push(vectors[0].clone());
    let slots = fill(&graph, 0, &vectors);
    slots.iter().step_by(3).for_each(|slot| assert!(graph.kill(*slot)));
    settle(&graph);
    slots.iter().skip(1).step_by(30).for_each(|slot| assert!(graph.kill(*slot)));
    let again = Saved::of(&graph).restore().unwrap();
    assert_eq!((again.live(), again.census().dead), (graph.live(), graph.census().dead));
    for vector in &vectors {
        assert_eq!(ask(&again, vector, 5, -1.0), ask(&graph, vector, 5, -1.0));
    }
    let more: Vec<_> = (0..2000).map(|_| makes.sentence()).collect();
    let slots = fill(&again, 5000, &more);
    assert!(slots.iter().any(|slot| *slot < 2000), "vacant slots are used");
    settle(&again);
    for (id, vector) in (5000..).zip(&more) {
        assert_eq!(ask(&again, vector, 1, 0.9).first().map(|found| found.id), Some(id));
    }
}

#[test]
fn damaged_links_are_refused_and_never_followed() {
    let mut makes = Makes::new(7);
    let graph = graph();
    let vectors: Vec<_> = (0..300).map(|_| makes.sentence()).collect();
    fill(&graph, 0, &vectors);
    let mut saved = Saved::of(&graph);
    let mut refused = 0;
    for piece in 0..saved.links.len() {
        for at in (0..saved.links[piece].len()).step_by(if piece == 1 { 251 } else { 7 }) {
            let byte = saved.links[piece][at];
            saved.links[piece][at] ^= 0xA5;
            match saved.restore() {
                Ok(graph) => drop(ask(&graph, &vectors[at % 300], 5, -1.0)),
                Err(_) => refused += 1,
            }
            saved.links[piece][at] = byte;
        }
        let last = saved.links[piece].pop();
        assert!(saved.restore().is_err(), "piece {piece}, cut");
        saved.links[piece].extend(last);
        let whole = std::mem::take(&mut saved.links[piece]);
        assert!(saved.restore().is_err() || whole.is_empty(), "piece {piece}, empty");
        saved.links[piece] = whole;
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn twins_beyond_the_rows_that_are_linked_do_no_harm() {
    let mut makes = Makes::new(8);
    let graph = graph();
    let mut vectors: Vec<_> = (0..4096).map(|_| makes.sentence()).collect();
    // The tables are full; none of the next rows is linked, and yet each has a list.
    vectors.extend_from_within(..40);
    fill(&graph, 0, &vectors);
    settle(&graph);
    let again = Saved::of(&graph).restore().unwrap();
    for (id, vector) in (4096..).zip(&vectors[4096..]) {
        for graph in [&graph, &again] {
            assert!(ask(graph, vector, 2, 0.99).iter().any(|found| found.id == id), "row {id}");
        }
    }
    (0..40).for_each(|slot| assert!(graph.kill(slot)));
    (1000..3000).for_each(|slot| assert!(graph.kill(slot)));
    settle(&graph);
    assert_eq!(graph.census().live, 4136 - 2040);
}
