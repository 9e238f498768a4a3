//! [`Packed`]: a graph of our own, after Malkov & Yashunin (HNSW, 2018), packed for a cache that forgets.
//!
//! Rows lie by slot in planes, one byte a number for the walk and one more for the exact similarity; a node of the ground layer
//! has a fixed number of links beside them. Searches take no lock and wait for nobody. Removal is a bit; the dead are walked through until
//! their neighbourhoods have been linked anew without them, and then their slots are given out again.
//!
//! | file | job |
//! |---|---|
//! | `mod` | [`Packed`]: the graph, and how it is searched |
//! | `link`, `choose` | linking a row in; which nodes become links |
//! | `tidy` | taking the dead out of the links; rows that do not find themselves |
//! | `image` | the links as bytes, and back |
//! | `twins` | rows that are the same byte for byte |
//! | `walk` | from a few nodes to the nearest ones |
//! | `layer`, `list` | links of a layer; the words of one node |
//! | `rows`, `slab` | rows by slot; tables that grow in place |

mod choose;
pub(crate) mod image;
mod layer;
mod link;
mod list;
mod rows;
mod slab;
#[cfg(test)]
mod tests;
mod tidy;
mod twins;
mod walk;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;

use crate::IndexConfig;
use crate::graph::{Census, Entry, Graph};
use crate::kernels::Kernels;
use crate::quantize::{Query, Row, RowRef};
use crate::top::Top;
use layer::Layer;
use link::Bench;
use rows::Rows;
use tidy::Chores;
use twins::Twins;
use walk::{Ground, Near, Probe, Reach, Trail};

/// Layers at most; with 16 links, the top one is reached by one row in 10¹³.
const LAYERS: usize = 12;

/// How far a coarse similarity may be from the exact one: six times what was measured at 384 numbers.
const COARSE_ERROR: f32 = 0.01;

/// When so large a share of the rows is asked for, looking at all is quicker than walking.
const SCAN_SHARE: usize = 8;

/// When no more than one slot in so many is used, and there are more than `SMALL`, the graph is worth being built anew.
const SPARSE: usize = 2;
const SMALL: usize = 1024;

/// Nodes at which a walk of the ground begins, at most. With 16, of 932 questions among 100,000 crowded vectors .979 had their nearest first, with the best 4 of
/// 12 .969, with the one best .937.
const ENTRIES: usize = 16;

/// The graph.
pub(crate) struct Packed {
    width: usize,
    m: usize,
    ef_construction: usize,
    ef_search: usize,
    dead_share: f32,
    kernels: &'static Kernels,
    rows: Rows,
    /// The ground layer first.
    layers: Vec<Layer>,
    entrance: EntranceCell,
    /// Held while the entrance is changed.
    raising: Mutex<()>,
    chores: Mutex<Chores>,
    twins: Twins,
    /// Rows that a search for themselves does not find.
    strays: RwLock<Vec<u32>>,
    has_strays: AtomicBool,
}

/// Where searches come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entrance {
    level: usize,
    node: u32,
}

/// An entrance in one word, or none.
#[derive(Default)]
struct EntranceCell(AtomicU64);

impl EntranceCell {
    fn load(&self) -> Option<Entrance> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            word => Some(Entrance { level: (word >> 32) as usize - 1, node: word as u32 }),
        }
    }

    fn store(&self, entrance: Option<Entrance>) {
        let word = entrance.map_or(0, |entrance| (entrance.level as u64 + 1) << 32 | u64::from(entrance.node));
        self.0.store(word, Ordering::Release);
    }
}

thread_local! {
    static TRAIL: RefCell<Trail> = RefCell::default();
    static BENCH: RefCell<Bench> = RefCell::default();
}

impl Packed {
    /// An empty graph, of `m` links a node, and twice as many on the ground layer.
    pub(crate) fn new(config: &IndexConfig) -> Packed {
        let &IndexConfig { width, m, ef_construction, ef_search, rebuild_dead_share: dead_share, .. } = config;
        let upper = (1..LAYERS).map(|_| Layer::upper(m));
        Packed {
            width,
            m,
            ef_construction,
            ef_search,
            dead_share,
            kernels: Kernels::get(),
            rows: Rows::new(width),
            layers: std::iter::once(Layer::ground(2 * m)).chain(upper).collect(),
            entrance: EntranceCell::default(),
            raising: Mutex::new(()),
            chores: Mutex::default(),
            twins: Twins::default(),
            strays: RwLock::default(),
            has_strays: AtomicBool::new(false),
        }
    }

    fn ground(&self) -> Ground<'_> {
        Ground { rows: &self.rows, kernels: self.kernels }
    }

    /// A slot for a row, with room for links: a row that gets none, since a twin leads it, has an empty list.
    fn take(&self, entry: &Entry) -> Option<u32> {
        self.layers[0].make_room(self.rows.upto() + 1).then(|| self.rows.take(entry)).flatten()
    }

    /// The layers that the row of `slot` is on, above the ground: each with a chance of 1 in `m` of the one below. Drawn from the
    /// slot and how often slots were given out, so that the same inserts by one thread build the same graph.
    fn level(&self, slot: u32, turn: u64) -> usize {
        let mut z = (u64::from(slot) ^ turn << 32).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = ((z >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        ((-share.ln() / (self.m as f64).ln()) as usize).min(LAYERS - 1)
    }

    /// The nearest node of the layer `level` that can be reached by best steps from the entrance.
    fn descend(&self, probe: Probe<'_>, entrance: Entrance, level: usize) -> Near {
        let ground = self.ground();
        let first = &self.layers[entrance.level];
        let mut near = Near::new(ground.similarity(probe, first.slot(entrance.node)), entrance.node);
        for layer in self.layers[level + 1..=entrance.level].iter().rev() {
            near = ground.descend(layer, probe, near);
            near = Near::new(near.similarity, layer.below(near.node()));
        }
        near
    }

    /// Walks the ground layer to what is nearest to `probe`.
    fn reach(&self, probe: Probe<'_>, reach: Reach, trail: &mut Trail) -> bool {
        let Some(entrance) = self.entrance.load() else { return false };
        self.enter(probe, entrance, trail);
        self.ground().walk(&self.layers[0], probe, reach, trail);
        true
    }

    /// Finds where a walk of the ground is to begin: at some nodes, by a walk of the layer above. There a crowd of rows has one
    /// node or two; on the ground it would fill the pool of a walk that came in at the wrong crowd.
    fn enter(&self, probe: Probe<'_>, entrance: Entrance, trail: &mut Trail) {
        trail.starts.clear();
        trail.starts.push(self.descend(probe, entrance, entrance.level.min(1)));
        if entrance.level > 0 {
            self.ground().walk(&self.layers[1], probe, Reach::whole(ENTRIES), trail);
            trail.go_down(&self.layers[1], ENTRIES);
        }
    }

    /// Offers what a walk found, as long as it can be better than what is there.
    fn offer_found(&self, query: &Query, found: &[Near], top: &mut Top) {
        let twins = self.twins.any();
        for near in found.iter().filter(|near| twins || !near.is_dead()) {
            if near.similarity + COARSE_ERROR < top.bound() {
                return;
            }
            self.offer(query, near.node(), top);
            if twins {
                self.twins.each(near.node(), |slot| self.offer(query, slot, top));
            }
        }
    }

    fn offer(&self, query: &Query, slot: u32, top: &mut Top) {
        let similarity = query.similarity(self.rows.view(slot), self.kernels);
        // Asked last: who was killed before this search began is not offered.
        if !self.rows.is_dead(slot) {
            top.offer(self.rows.id(slot), similarity);
        }
    }

    /// Looks at every row.
    fn scan(&self, query: &Query, top: &mut Top) {
        let probe = probe_of(query);
        for slot in 0..self.rows.upto() as u32 {
            if !self.rows.is_dead(slot) && self.ground().similarity(probe, slot) + COARSE_ERROR >= top.bound() {
                self.offer(query, slot, top);
            }
        }
    }

    fn offer_strays(&self, query: &Query, top: &mut Top) {
        if self.has_strays.load(Ordering::Acquire) {
            self.strays.read().iter().for_each(|slot| self.offer(query, *slot, top));
        }
    }
}

fn probe_of(query: &Query) -> Probe<'_> {
    let (plane, offset, scale) = query.coarse_parts();
    Probe { plane, offset, scale }
}

impl Graph for Packed {
    fn insert(&self, entries: &[Entry]) -> Vec<u32> {
        let mut chores = self.chores.lock();
        let turn = chores.turn();
        let slots: Vec<u32> = entries.iter().map_while(|entry| self.take(entry)).collect();
        let link = |slot: &u32| {
            BENCH.with_borrow_mut(|bench| self.link(*slot, self.level(*slot, turn), bench));
        };
        let (first, again) = twins::part(&slots, |slot| self.rows.view(slot).high);
        first.par_iter().for_each(link);
        again.par_iter().for_each(link);
        chores.check_later(&slots);
        slots
    }

    fn kill(&self, slot: u32) -> bool {
        self.rows.kill(slot)
    }

    fn id(&self, slot: u32) -> u64 {
        self.rows.id(slot)
    }

    fn row(&self, slot: u32) -> Row {
        Row::copy(self.rows.view(slot))
    }

    fn search(&self, query: &Query, ef: usize, top: &mut Top) {
        let _guard = crossbeam_epoch::pin();
        let wanted = ef.max(top.k());
        if wanted >= self.rows.live() / SCAN_SHARE {
            return self.scan(query, top);
        }
        let reach = Reach { wanted, bound: top.bound(), enough: f32::INFINITY };
        let swamped = TRAIL.with_borrow_mut(|trail| {
            let entered = self.reach(probe_of(query), reach, trail);
            if entered {
                self.offer_found(query, trail.pool.nodes(), top);
            }
            entered && trail.pool.is_swamped()
        });
        if swamped {
            self.scan(query, top);
        }
        self.offer_strays(query, top);
    }

    fn tidy(&self, stop: &AtomicBool) -> bool {
        self.do_chores(stop)
    }

    fn is_untidy(&self) -> bool {
        self.has_chores()
    }

    fn is_unchecked(&self) -> bool {
        self.has_unchecked()
    }

    fn needs_rebuild(&self) -> bool {
        // Slots are only ever given out again, so a table keeps the size it once had.
        let linked = self.rows.live() + self.rows.dead();
        linked * SPARSE < self.rows.upto() && self.rows.upto() > SMALL
    }

    fn census(&self) -> Census {
        let upto = self.rows.upto();
        let layers: u64 = self.layers.iter().map(|layer| layer.bytes(upto)).sum();
        Census {
            live: self.rows.live(),
            dead: self.rows.dead(),
            strays: self.strays.read().len(),
            bytes: self.rows.bytes() + layers + self.twins.bytes() + size_of::<Packed>() as u64,
        }
    }

    fn live(&self) -> Vec<(u32, u64)> {
        let slots = 0..self.rows.upto() as u32;
        slots.filter(|slot| !self.rows.is_dead(*slot)).map(|slot| (slot, self.rows.id(slot))).collect()
    }

    fn slots(&self) -> u32 {
        self.rows.upto() as u32
    }

    fn kind(&self) -> u32 {
        image::KIND
    }

    fn save(&self, piece: usize, bytes: &mut Vec<u8>) -> bool {
        self.save_piece(piece, bytes)
    }

    fn with_row(&self, slot: u32, look: &mut dyn FnMut(RowRef<'_>)) {
        look(self.rows.view(slot));
    }
}
