//! Linking a row into the graph: find the nodes nearest to it on each layer, choose its links among them, and have them link back.

use super::choose::{choose, keep};
use super::layer::Layer;
use super::walk::{Ground, Near, Probe, Reach, Trail};
use super::{Entrance, Packed};

/// A node that so few links lead to is never dropped from a list.
const FEW: u8 = 2;

/// Memory of linking, kept from one row to the next.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) trail: Trail,
    /// The signed coarse bytes of the row at hand, and of the neighbour whose list is changed.
    plane: Vec<i8>,
    other: Vec<i8>,
    pub(super) chosen: Vec<Near>,
    pub(super) candidates: Vec<Near>,
}

/// Fills `plane` with the signed coarse bytes of a stored row, and gives what it is to be compared by.
pub(super) fn probe<'a>(ground: Ground<'_>, slot: u32, plane: &'a mut Vec<i8>) -> Probe<'a> {
    let row = ground.rows.view(slot);
    plane.clear();
    plane.extend(row.high.iter().map(|byte| (byte ^ crate::quantize::ZERO) as i8));
    let offset = 128 * plane.iter().map(|&x| i32::from(x)).sum::<i32>();
    Probe { plane, offset, scale: crate::quantize::scale(row.scale) }
}

impl Packed {
    /// Links the row at `slot`, whose bytes are written, into the layers up to `level`.
    pub(super) fn link(&self, slot: u32, level: usize, bench: &mut Bench) {
        let _guard = crossbeam_epoch::pin();
        let mut plane = std::mem::take(&mut bench.plane);
        let probe = probe(self.ground(), slot, &mut plane);
        if let Some(entrance) = self.entrance_or(slot, level) {
            let lists = self.find_links(probe, entrance, level, bench);
            match self.twin(slot, bench) {
                Some(twin) => self.twins.join(twin, slot),
                None => self.link_to(slot, level, entrance, lists, bench),
            }
        }
        bench.plane = plane;
    }

    /// A live row, among those just found on the ground, with the very bytes of the one at `slot`.
    fn twin(&self, slot: u32, bench: &Bench) -> Option<u32> {
        let row = self.rows.view(slot);
        let found = bench.trail.pool.nodes().iter().take_while(|near| near.similarity > 0.9);
        let mut alike = found.filter(|near| !near.is_dead() && self.rows.view(near.node()) == row);
        alike.next().map(|near| near.node())
    }

    fn link_to(&self, slot: u32, level: usize, entrance: Entrance, lists: Vec<Vec<Near>>, bench: &mut Bench) {
        let nodes = self.nodes(slot, level);
        // From the ground up: who finds the new node on a layer can go down from it.
        for (layer, (node, links)) in self.layers.iter().zip(nodes.iter().zip(&lists)) {
            self.publish(layer, *node, links, bench);
        }
        let alone = lists.first().is_none_or(Vec::is_empty);
        if nodes.len() > entrance.level + 1 || alone {
            self.raise(&nodes, alone);
        }
    }

    /// The node's number on each layer up to `level`; fewer when there is no memory.
    fn nodes(&self, slot: u32, level: usize) -> Vec<u32> {
        let mut nodes = vec![slot];
        for layer in &self.layers[1..=level] {
            match layer.take(slot, nodes[nodes.len() - 1]) {
                Some(node) => nodes.push(node),
                None => break,
            }
        }
        nodes
    }

    /// Where to come in; when the graph is empty the new node becomes where, and there is nothing to link it to.
    fn entrance_or(&self, slot: u32, level: usize) -> Option<Entrance> {
        if let Some(entrance) = self.entrance.load() {
            return Some(entrance);
        }
        let _lock = self.raising.lock();
        let entrance = self.entrance.load();
        if entrance.is_none() {
            let nodes = self.nodes(slot, level);
            self.entrance.store(Some(Entrance { level: nodes.len() - 1, node: nodes[nodes.len() - 1] }));
        }
        entrance
    }

    /// Makes a node the entrance if it is higher than the present one, or if that leads to nobody alive.
    fn raise(&self, nodes: &[u32], alone: bool) {
        let _lock = self.raising.lock();
        let level = nodes.len() - 1;
        if alone || self.entrance.load().is_none_or(|entrance| entrance.level < level) {
            self.entrance.store(Some(Entrance { level, node: nodes[level] }));
        }
    }

    /// The links of a new node on each of its layers up to `level`; the walk on the ground is left in the trail.
    fn find_links(&self, probe: Probe<'_>, entrance: Entrance, level: usize, bench: &mut Bench) -> Vec<Vec<Near>> {
        let ground = self.ground();
        let top = entrance.level.min(level);
        let mut near = self.descend(probe, entrance, top);
        let mut lists = vec![Vec::new(); level + 1];
        for level in (0..=top).rev() {
            let layer = &self.layers[level];
            let reach = Reach::whole(self.ef_construction);
            ground.walk(layer, probe, &[near], reach, &mut bench.trail);
            bench.candidates.clear();
            bench.candidates.extend(bench.trail.pool.nodes().iter().filter(|near| !near.is_dead()));
            choose(ground, layer, &bench.candidates, self.m, &mut lists[level]);
            if let Some(first) = bench.trail.pool.nodes().first() {
                near = Near::new(first.similarity, layer.below(first.node()));
            }
        }
        lists
    }

    /// Gives `node` its links on a layer, and has each of them link back.
    fn publish(&self, layer: &Layer, node: u32, links: &[Near], bench: &mut Bench) {
        let targets: Vec<u32> = links.iter().map(|near| near.node()).collect();
        layer.lock(node).set(&targets);
        if layer.is_ground() {
            targets.iter().for_each(|target| self.rows.link_in(*target));
        }
        for near in links {
            self.link_back(layer, near.node(), Near::new(near.similarity, node), bench);
        }
    }

    /// Adds `new` to the links of `node`; when they are full, chooses anew among them all.
    pub(super) fn link_back(&self, layer: &Layer, node: u32, new: Near, bench: &mut Bench) {
        let links = layer.lock(node);
        if layer.links(node).any(|held| held == new.node()) {
            return;
        }
        if links.push(new.node()) {
            self.count(layer, &[], &[new.node()]);
            return;
        }
        let held: Vec<u32> = layer.links(node).collect();
        self.rank(layer, node, held.iter().copied(), bench);
        let at = bench.candidates.partition_point(|near| near.similarity >= new.similarity);
        bench.candidates.insert(at, new);
        let Bench { candidates, chosen, .. } = bench;
        choose(self.ground(), layer, candidates, layer.degree(), chosen);
        self.keep_the_needed(layer, candidates, chosen);
        let targets: Vec<u32> = chosen.iter().map(|near| near.node()).collect();
        links.set(&targets);
        self.count(layer, &held, &targets);
    }

    /// Brings `nodes`, with their similarities to `node`, into `bench.candidates`, the nearest first.
    pub(super) fn rank(&self, layer: &Layer, node: u32, nodes: impl Iterator<Item = u32>, bench: &mut Bench) {
        let ground = self.ground();
        let probe = probe(ground, layer.slot(node), &mut bench.other);
        bench.candidates.clear();
        bench.candidates.extend(nodes.map(|other| Near::new(ground.similarity(probe, layer.slot(other)), other)));
        bench.candidates.sort_unstable_by(|a, b| b.similarity.total_cmp(&a.similarity));
    }

    /// Keeps those of `candidates` that hardly any other link leads to: without, whole neighbourhoods were seen to become
    /// unreachable.
    pub(super) fn keep_the_needed(&self, layer: &Layer, candidates: &[Near], chosen: &mut Vec<Near>) {
        if !layer.is_ground() {
            return;
        }
        let needs = |near: &&Near| self.rows.count_in(near.node()) <= FEW && !self.rows.is_dead(near.node());
        let left_out = candidates.iter().filter(|near| !chosen.iter().any(|other| other.node() == near.node()));
        let needed: Vec<Near> = left_out.filter(needs).copied().collect();
        keep(chosen, &needed, layer.degree(), |node| Some(self.rows.count_in(node)).filter(|count| *count > FEW));
    }

    /// Counts the links of the ground layer that a change of a list took away and added.
    pub(super) fn count(&self, layer: &Layer, before: &[u32], after: &[u32]) {
        if layer.is_ground() {
            before.iter().filter(|node| !after.contains(node)).for_each(|node| self.rows.link_out(*node));
            after.iter().filter(|node| !before.contains(node)).for_each(|node| self.rows.link_in(*node));
        }
    }
}
