//! Chores of a graph: taking the dead out of the links, and helping rows that a search for themselves misses.
//!
//! A *pass* takes all that was dead when it began out of every list: a node that had links to the dead chooses anew among the
//! rest and what the dead linked to (as FreshDiskANN does, Singh et al., 2021). Then no link leads to them, and their slots are
//! given back. The work is cut into pieces, so that other scopes get their turn.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::choose::{choose_more, fill};
use super::layer::Layer;
use super::link::{Bench, probe};
use super::walk::{Near, Reach};
use super::{BENCH, Entrance, Packed};

/// Nodes of a piece.
const PIECE: usize = 2048;

/// Doomed nodes that a node's new links are looked for through, at most.
const THROUGH: usize = 96;

/// All rows are looked for again once one in so many was linked since: linking takes links from others, and now and then the
/// last that led to one.
const GROWTH: usize = 4;

/// Rows of a piece of self-searches.
const CHECKS: usize = 512;

/// How often a row that is not found is linked from where the search for it ended, before it is called a stray.
const TRIES: usize = 3;

/// A row's coarse similarity to itself is at least this: as near as rounding to one byte lets it be.
const ITSELF: f32 = 0.98;

/// Nodes that are made to lead to such a row.
const LEADS: usize = 4;

/// What is to be done, and how far it has got.
#[derive(Default)]
pub(super) struct Chores {
    /// Dead rows that the last pass had to leave, since they lead live twins.
    left: usize,
    turns: u64,
    pass: Option<Pass>,
    /// Rows that were linked and not yet looked for.
    unchecked: VecDeque<u32>,
    /// Rows that were linked since all were looked for.
    grown: usize,
}

/// Taking the dead out of the links.
struct Pass {
    doomed: HashSet<u32>,
    level: usize,
    next: usize,
}

impl Chores {
    /// A number for a call of `insert`.
    pub(super) fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Rows that were linked, and are to be looked for.
    pub(super) fn check_later(&mut self, slots: &[u32]) {
        self.unchecked.extend(slots);
        self.grown += slots.len();
    }

    /// All rows are to be looked for.
    fn check_all(&mut self, live: Vec<u32>) {
        self.unchecked = live.into();
        self.grown = 0;
    }
}

impl Packed {
    /// Never waits: callers of an insert ask this. While a chore is being done there is one, for all they know.
    pub(super) fn has_chores(&self) -> bool {
        let Some(chores) = self.chores.try_lock() else { return true };
        self.is_due(&chores)
    }

    fn is_due(&self, chores: &Chores) -> bool {
        chores.pass.is_some() || self.is_crowded(chores.left) || chores.unchecked.len() > self.rows.live() / 2 + CHECKS
    }

    /// Whether rows were not looked for yet. While a chore is being done they were not, for all anybody knows.
    pub(super) fn has_unchecked(&self) -> bool {
        self.chores.try_lock().is_none_or(|chores| !chores.unchecked.is_empty())
    }

    /// Whether many are dead beside those that the last pass `left`.
    fn is_crowded(&self, left: usize) -> bool {
        let (live, dead) = (self.rows.live(), self.rows.dead().saturating_sub(left));
        dead > 0 && dead as f32 >= self.dead_share * (live + dead) as f32
    }

    /// One piece of what is to be done; true while there is more.
    pub(super) fn do_chores(&self, stop: &AtomicBool) -> bool {
        let mut chores = self.chores.lock();
        if chores.pass.is_none() && self.is_crowded(chores.left) {
            let pass = self.begin();
            chores.left = self.rows.dead().saturating_sub(pass.doomed.len());
            chores.pass = Some(pass);
        }
        if let Some(mut pass) = chores.pass.take() {
            if self.advance(&mut pass, stop) {
                chores.pass = Some(pass);
            } else {
                self.finish(pass);
                // Lists have changed all over.
                chores.check_all(self.rows.live_slots());
            }
        } else {
            if chores.grown > 0 && chores.grown >= self.rows.live() / GROWTH {
                chores.check_all(self.rows.live_slots());
            }
            let upto = chores.unchecked.len().min(CHECKS);
            let slots: Vec<u32> = chores.unchecked.drain(..upto).collect();
            self.check(&slots);
        }
        !chores.unchecked.is_empty() || self.is_due(&chores)
    }

    /// All that is dead is doomed, but for rows that lead live twins.
    fn begin(&self) -> Pass {
        let needed = self.twins.needed(|slot| !self.rows.is_dead(slot));
        let doomed = self.rows.doomed().into_iter().filter(|slot| !needed.contains(slot)).collect();
        Pass { doomed, level: 0, next: 0 }
    }

    /// Links the next nodes of a pass anew; false when it has been through all.
    fn advance(&self, pass: &mut Pass, stop: &AtomicBool) -> bool {
        let Some(layer) = self.layers.get(pass.level) else { return false };
        let upto = if layer.is_ground() { self.rows.upto() } else { layer.upto() };
        let nodes = pass.next..(pass.next + PIECE).min(upto);
        pass.next = nodes.end;
        let doomed = &pass.doomed;
        let _guard = crossbeam_epoch::pin();
        nodes.into_par_iter().for_each(|node| {
            if !stop.load(Ordering::Relaxed) {
                BENCH.with_borrow_mut(|bench| self.relink(layer, node as u32, doomed, bench));
            }
        });
        if stop.load(Ordering::Relaxed) {
            // The index is being dropped: nothing is given back, so a half done pass does no harm.
            return true;
        }
        if pass.next >= upto {
            (pass.level, pass.next) = (pass.level + 1, 0);
        }
        true
    }

    /// Takes `doomed` slots out of the links of `node`.
    fn relink(&self, layer: &Layer, node: u32, doomed: &HashSet<u32>, bench: &mut Bench) {
        let is_doomed = |node: u32| doomed.contains(&layer.slot(node));
        if is_doomed(node) || !layer.links(node).any(is_doomed) {
            return;
        }
        let before: Vec<u32> = layer.links(node).collect();
        let mut candidates = self.behind(layer, node, &before, &is_doomed);
        if before.iter().filter(|link| is_doomed(**link)).count() * 2 > before.len() {
            candidates.extend(self.around(layer, node, bench));
        }
        let links = layer.lock(node);
        // What was linked back to it meanwhile is held too.
        let held: Vec<u32> = layer.links(node).collect();
        candidates.extend(held.iter().copied().filter(|link| !is_doomed(*link)));
        candidates.sort_unstable();
        candidates.dedup();
        self.rank(layer, node, candidates.into_iter(), bench);
        let Bench { candidates, chosen, .. } = bench;
        chosen.clear();
        chosen.extend(candidates.iter().filter(|near| held.contains(&near.node())));
        choose_more(self.ground(), layer, candidates, layer.degree(), chosen);
        fill(candidates, held.len().min(self.m), chosen);
        let new: Vec<Near> = chosen.iter().copied().filter(|near| !held.contains(&near.node())).collect();
        let targets: Vec<u32> = chosen.iter().map(|near| near.node()).collect();
        links.set(&targets);
        self.count(layer, &held, &targets);
        drop(links);
        for near in new {
            self.link_back(layer, near.node(), Near::new(near.similarity, node), bench);
        }
    }

    /// Live nodes near `node`, by a walk: for one that lost so much that what is behind the dead is not enough.
    fn around(&self, layer: &Layer, node: u32, bench: &mut Bench) -> Vec<u32> {
        let mut plane = Vec::new();
        let probe = probe(self.ground(), layer.slot(node), &mut plane);
        let Some(entrance) = self.entrance.load() else { return Vec::new() };
        let level = self.layers.iter().position(|other| std::ptr::eq(other, layer)).unwrap_or(0);
        if entrance.level < level {
            return Vec::new();
        }
        let start = self.descend(probe, entrance, level);
        let reach = Reach::whole(self.ef_construction);
        self.ground().walk(layer, probe, &[start], reach, &mut bench.trail);
        let live = bench.trail.pool.nodes().iter().filter(|near| !near.is_dead());
        live.map(|near| near.node()).filter(|near| *near != node).collect()
    }

    /// What `node` can link to in the place of the doomed among `held`: the others, and those that the doomed lead to, through as
    /// many of them as it takes.
    fn behind(&self, layer: &Layer, node: u32, held: &[u32], is_doomed: &impl Fn(u32) -> bool) -> Vec<u32> {
        let (mut rest, mut through) = (Vec::new(), Vec::new());
        let mut met: HashSet<u32> = HashSet::from([node]);
        let mut sort = |link: u32, rest: &mut Vec<u32>, through: &mut Vec<u32>| {
            if met.insert(link) {
                if is_doomed(link) { through.push(link) } else { rest.push(link) }
            }
        };
        held.iter().for_each(|link| sort(*link, &mut rest, &mut through));
        let mut next = 0;
        while next < through.len().min(THROUGH) && rest.len() < layer.degree() * 4 {
            let links: Vec<u32> = layer.links(through[next]).collect();
            links.into_iter().for_each(|link| sort(link, &mut rest, &mut through));
            next += 1;
        }
        rest.retain(|link| held.contains(link) || !self.rows.is_dead(layer.slot(*link)));
        rest
    }

    /// Every list is without the doomed: forgets their nodes, and gives their slots back.
    fn finish(&self, pass: Pass) {
        let doomed = &pass.doomed;
        self.leave_entrance(doomed);
        let upper = self.free_upper(doomed);
        let ground = &self.layers[0];
        let mut thin: Vec<u32> = Vec::new();
        for slot in doomed {
            let held: Vec<u32> = ground.links(*slot).collect();
            ground.lock(*slot).set(&[]);
            self.count(ground, &held, &[]);
            thin.extend(held.into_iter().filter(|link| self.rows.count_in(*link) < 2 && !doomed.contains(link)));
        }
        thin.sort_unstable();
        thin.dedup();
        // Before their slots can be anybody else's.
        self.forget_strays(doomed);
        self.twins.forget(doomed);
        let free: Vec<_> = self.layers.iter().map(Layer::free).collect();
        self.rows.give_back(doomed.iter().copied().collect(), move || {
            for (free, nodes) in free.iter().zip(upper) {
                free.lock().extend(nodes);
            }
        });
        self.thicken(&thin);
    }

    /// Empties the lists of doomed nodes on the upper layers, and says which they are, for each layer.
    fn free_upper(&self, doomed: &HashSet<u32>) -> Vec<Vec<u32>> {
        let nodes = |layer: &Layer| -> Vec<u32> {
            if layer.is_ground() {
                return Vec::new();
            }
            let vacant: HashSet<u32> = layer.vacant().into_iter().collect();
            let all = (0..layer.upto() as u32).filter(|node| !vacant.contains(node));
            all.filter(|node| doomed.contains(&layer.slot(*node))).collect()
        };
        let lists: Vec<Vec<u32>> = self.layers.iter().map(nodes).collect();
        for (layer, nodes) in self.layers.iter().zip(&lists) {
            nodes.iter().for_each(|node| layer.lock(*node).set(&[]));
        }
        lists
    }

    /// Chooses another entrance when the present one is doomed: a live node of the highest layer that has one.
    fn leave_entrance(&self, doomed: &HashSet<u32>) {
        let _lock = self.raising.lock();
        let Some(old) = self.entrance.load() else { return };
        if !doomed.contains(&self.layers[old.level].slot(old.node)) {
            return;
        }
        let on = |level: usize| {
            let layer = &self.layers[level];
            let vacant: HashSet<u32> = layer.vacant().into_iter().collect();
            let upto = if layer.is_ground() { self.rows.upto() } else { layer.upto() };
            let stays = |node: &u32| {
                let slot = layer.slot(*node);
                !vacant.contains(node) && !doomed.contains(&slot) && !self.rows.is_vacant(slot)
            };
            (0..upto as u32).find(stays).map(|node| Entrance { level, node })
        };
        self.entrance.store((0..=old.level).rev().find_map(on));
    }

    /// Has more nodes lead to rows that hardly any link leads to: those that they link to themselves.
    fn thicken(&self, slots: &[u32]) {
        let ground = &self.layers[0];
        BENCH.with_borrow_mut(|bench| {
            for slot in slots.iter().filter(|slot| !self.rows.is_vacant(**slot)) {
                let links: Vec<u32> = ground.links(*slot).collect();
                for link in links {
                    let mut plane = Vec::new();
                    let similarity = self.ground().similarity(probe(self.ground(), *slot, &mut plane), link);
                    self.link_back(ground, link, Near::new(similarity, *slot), bench);
                }
            }
        });
    }

    fn forget_strays(&self, gone: &HashSet<u32>) {
        let mut strays = self.strays.write();
        strays.retain(|slot| !gone.contains(slot));
        self.has_strays.store(!strays.is_empty(), Ordering::Release);
    }

    /// Searches for rows by themselves; those not found are linked from where the search ended, or become strays.
    fn check(&self, slots: &[u32]) {
        let _guard = crossbeam_epoch::pin();
        let lost: Vec<u32> = slots.par_iter().copied().filter(|slot| !self.finds(*slot)).collect();
        if lost.is_empty() {
            return;
        }
        let mut strays = self.strays.write();
        strays.extend(lost);
        strays.sort_unstable();
        strays.dedup();
        self.has_strays.store(true, Ordering::Release);
    }

    /// Whether a search finds a row by itself, after help if need be. Dead rows need not be found.
    fn finds(&self, slot: u32) -> bool {
        BENCH.with_borrow_mut(|bench| {
            // Nearly always the first walk meets it at once; what is as near as a row to itself may also be another one, though.
            let quick = Reach { wanted: self.ef_search, bound: 1.0, enough: ITSELF };
            if self.meets(slot, quick, bench) {
                return true;
            }
            for _ in 0..TRIES {
                if self.meets(slot, Reach { enough: f32::INFINITY, ..quick }, bench) {
                    return true;
                }
                let ends: Vec<Near> = bench.trail.pool.nodes().iter().take(LEADS).copied().collect();
                for end in ends {
                    self.lead(end.node(), Near::new(end.similarity, slot), bench);
                }
            }
            false
        })
    }

    /// Whether a walk for the row at `slot` meets it, or its twin.
    fn meets(&self, slot: u32, reach: Reach, bench: &mut Bench) -> bool {
        let mut plane = Vec::new();
        let probe = probe(self.ground(), slot, &mut plane);
        if self.rows.is_dead(slot) || !self.reach(probe, reach, &mut bench.trail) {
            return true;
        }
        let row = self.rows.view(slot);
        let near = bench.trail.pool.nodes().iter().take_while(|near| near.similarity >= ITSELF);
        near.into_iter().any(|near| near.node() == slot || self.rows.view(near.node()) == row)
    }

    /// Makes `node` link to `lost`, in the place of its farthest neighbour that others lead to, if it is full.
    fn lead(&self, node: u32, lost: Near, bench: &mut Bench) {
        let ground = &self.layers[0];
        let links = ground.lock(node);
        let held: Vec<u32> = ground.links(node).collect();
        if held.contains(&lost.node()) {
            return;
        }
        if links.push(lost.node()) {
            return self.rows.link_in(lost.node());
        }
        self.rank(ground, node, held.iter().copied(), bench);
        let goes = bench.candidates.iter().rev().find(|near| self.rows.count_in(near.node()) > 3);
        if let Some(goes) = goes {
            let targets: Vec<u32> =
                held.iter().map(|link| if *link == goes.node() { lost.node() } else { *link }).collect();
            links.set(&targets);
            self.count(ground, &held, &targets);
        }
    }
}
