//! [`Partition`]: one scope: its flat rows, its graph, where each id is, and the locks around them.
//!
//! A row is flat or in the graph. A lookup scans the flat rows first and then searches the graph, so a row that goes from flat
//! to graph is put into the graph before it is taken out, and seen twice rather than never. Where a row goes the other way,
//! lookups under way are told to scan again ([`Partition::version`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::flat::{Cut, Flat};
use crate::graph::{Entry, Graph};
use crate::kernels::Kernels;
use crate::place::{GRAPH, Place};
use crate::quantize::{Query, RowRef};
use crate::rebuild::Rebuild;
use crate::top::Top;
use crate::{IndexConfig, IndexStats};

/// Flat rows up to which an id is looked for among them, without a table.
const SMALL: usize = 64;

/// Blocks that are scanned before who wants to change something gets a turn.
const STRETCH: usize = 8;

/// Work that a scope needs from the background thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chore {
    /// Flat rows wait to enter the graph.
    Drain,
    /// The graph has something to put in order.
    Tidy,
    /// The graph is to be built anew.
    Rebuild,
    /// Too few rows are left for a graph: they become flat again.
    Flatten,
}

/// One scope.
pub(crate) struct Partition {
    /// Held across writing a change to the log and making it here, so that both see the same order. Apart from `rows`, so
    /// that no lookup ever waits for a disk. Only who holds it changes `rows`.
    writer: Mutex<Place>,
    /// Held for moments only: by changes for writing, by lookups while they scan flat rows.
    rows: RwLock<Rows>,
    live: AtomicUsize,
    /// Rises when a row leaves the graph for the flat rows, after it can be seen there and before it dies here.
    version: AtomicU32,
    retired: AtomicBool,
    queued: AtomicBool,
    /// Background work failed on these rows; it is not tried again.
    broken: AtomicBool,
    /// The new graph that is being built, between the steps of that. Only the background thread looks.
    pub(crate) rebuild: Mutex<Option<Box<Rebuild>>>,
}

/// What a lookup reads.
struct Rows {
    flat: Flat,
    graph: Option<Arc<dyn Graph>>,
    /// While rows are on their way into the graph.
    leaving: Option<Box<Leaving>>,
}

/// Rows that the graph is taking in: it may show them already, though they are still flat.
struct Leaving {
    ids: Vec<u64>,
    /// Those that were removed or replaced meanwhile, in order. The graph's copy is not to be seen, and will be killed.
    doomed: Vec<u64>,
}

impl Rows {
    fn id(&self, cell: u32) -> u64 {
        match &self.graph {
            Some(graph) if cell & GRAPH != 0 => graph.id(cell & !GRAPH),
            _ => self.flat.id(cell as usize),
        }
    }

    fn find(&self, place: &Place, id: u64) -> Option<u32> {
        if place.is_built() {
            place.find(id, |cell| self.id(cell))
        } else {
            self.flat.position(id).map(|position| position as u32)
        }
    }

    /// To be called before a flat row is changed or taken out.
    fn doom(&mut self, id: u64) {
        if let Some(leaving) = &mut self.leaving
            && leaving.ids.binary_search(&id).is_ok()
            && let Err(at) = leaving.doomed.binary_search(&id)
        {
            leaving.doomed.insert(at, id);
        }
    }

    fn is_doomed(&self, id: u64) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.doomed.binary_search(&id).is_ok())
    }

    /// Takes a flat row out; the cell of the row that takes its place is set right.
    fn take_out(&mut self, position: u32, place: &mut Place) {
        let last = self.flat.len() as u32 - 1;
        if let Some(moved) = self.flat.swap_remove(position as usize)
            && place.is_built()
        {
            place.replace(moved, last, position);
        }
    }
}

impl Partition {
    pub(crate) fn new(config: &IndexConfig) -> Partition {
        Partition {
            writer: Mutex::default(),
            rows: RwLock::new(Rows { flat: Flat::new(config.width), graph: None, leaving: None }),
            live: AtomicUsize::new(0),
            version: AtomicU32::new(0),
            retired: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            rebuild: Mutex::default(),
        }
    }

    /// Who wants to change something; `None` when the partition was taken out of the map while somebody still held it.
    pub(crate) fn writer(&self) -> Option<Writer<'_>> {
        let place = self.writer.lock();
        (!self.is_retired()).then_some(Writer { partition: self, place })
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Rows that a lookup can return.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        let place = self.writer.lock();
        self.rows.read().find(&place, id).is_some()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        let place = self.writer.lock();
        let rows = self.rows.read();
        if place.is_built() { place.cells().map(|cell| rows.id(cell)).collect() } else { rows.flat.ids().collect() }
    }

    /// Offers every flat row that can be of use, and gives back the graph, which is to be searched then.
    pub(crate) fn scan(&self, query: &Query, top: &mut Top, kernels: &Kernels) -> Option<Arc<dyn Graph>> {
        let (mut cut, mut rows) = (Cut::default(), self.rows.read());
        'again: loop {
            let version = self.version();
            for block in (0..rows.flat.blocks()).rev() {
                rows.flat.scan(block, query, &mut cut, top, kernels);
                if block % STRETCH == 0 && block > 0 {
                    RwLockReadGuard::bump(&mut rows);
                    if self.version() != version {
                        continue 'again;
                    }
                }
            }
            break;
        }
        if let Some(leaving) = &rows.leaving {
            top.bar(leaving.doomed.clone());
        }
        rows.graph.clone()
    }

    /// What a lookup compares before its scan and after its search: if it changed, a row may have gone past it.
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    /// Shows the flat rows. With those of the graph they are all there are, as long as no background work goes on
    /// in between; every change that the log had before this was called is in them.
    pub(crate) fn each_flat(&self, look: &mut dyn FnMut(u64, RowRef<'_>)) {
        let _writer = self.writer.lock();
        let rows = self.rows.read();
        (0..rows.flat.len()).for_each(|at| look(rows.flat.id(at), rows.flat.row(at)));
    }

    pub(crate) fn graph(&self) -> Option<Arc<dyn Graph>> {
        self.rows.read().graph.clone()
    }

    /// Puts rows into an empty partition: some flat, the others in a graph.
    pub(crate) fn restore(&self, entries: &[Entry], graph: Option<Arc<dyn Graph>>) {
        let mut place = self.writer.lock();
        let mut rows = self.rows.write();
        entries.iter().for_each(|entry| rows.flat.push(entry.id, entry.row.view()));
        let live = graph.as_ref().map_or(Vec::new(), |graph| graph.live());
        let slots: Vec<u32> = live.into_iter().map(|(slot, _)| slot).collect();
        rows.flat.set_passing(graph.is_some());
        rows.graph = graph;
        self.live.store(rows.flat.len() + slots.len(), Ordering::Relaxed);
        *place = rows.new_place(&slots);
    }

    /// What the partition needs now.
    pub(crate) fn chore(&self, config: &IndexConfig) -> Option<Chore> {
        if self.is_retired() || self.broken.load(Ordering::Relaxed) {
            return None;
        }
        let rows = self.rows.read();
        let Some(graph) = &rows.graph else {
            return (rows.flat.len() >= config.graph_from).then_some(Chore::Drain);
        };
        if self.live() < config.graph_from / 2 {
            Some(Chore::Flatten)
        } else if graph.needs_rebuild() {
            Some(Chore::Rebuild)
        } else if rows.flat.len() >= config.batch() {
            Some(Chore::Drain)
        } else {
            (graph.is_untidy() || graph.is_unchecked()).then_some(Chore::Tidy)
        }
    }

    /// True once until [`Partition::unqueue`]: whoever gets it puts the partition into the queue.
    pub(crate) fn queue(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn unqueue(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// After background work failed: none from now on.
    pub(crate) fn give_up(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Adds this partition's share to `stats`.
    pub(crate) fn count(&self, stats: &mut IndexStats) {
        let table = self.writer.lock().bytes();
        let (fresh, bytes, graph) = {
            let rows = self.rows.read();
            (rows.flat.len(), rows.flat.bytes(), rows.graph.clone())
        };
        let live = self.live();
        stats.scopes += usize::from(live > 0);
        stats.live += live;
        stats.fresh += fresh;
        // With what an `Arc` adds, and the scope's place in the map.
        let own = size_of::<Partition>() + 2 * size_of::<usize>() + 2 * (16 + size_of::<usize>());
        stats.bytes += own as u64 + table + bytes;
        if let Some(graph) = graph {
            let census = graph.census();
            stats.dead += census.dead;
            stats.strays += census.strays;
            stats.graphs += 1;
            stats.bytes += census.bytes;
        }
    }
}

impl Partition {
    /// Adds a flat row, for who holds `writer`. Lookups may go on while the caller does the rest.
    fn push(&self, id: u64, row: RowRef<'_>) -> RwLockReadGuard<'_, Rows> {
        let mut rows = self.rows.write();
        rows.flat.push(id, row);
        RwLockWriteGuard::downgrade(rows)
    }
}

/// What background work moves between flat rows and graph.
impl Partition {
    /// Copies of up to `count` flat rows that are to go into the graph. Until [`Partition::hand_over`] or
    /// [`Partition::call_back`], the graph may show them or not.
    pub(crate) fn send_off(&self, count: usize) -> Vec<Entry> {
        let _writer = self.writer.lock();
        let entries = self.rows.read().flat.last(count);
        let mut ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
        ids.sort_unstable();
        self.rows.write().leaving = Some(Box::new(Leaving { ids, doomed: Vec::new() }));
        entries
    }

    /// Makes `graph` the one of this partition, which has none.
    pub(crate) fn adopt(&self, graph: Arc<dyn Graph>) {
        let mut place = self.writer.lock();
        let mut rows = self.rows.write();
        rows.flat.set_passing(true);
        rows.graph = Some(graph);
        drop(rows);
        if !place.is_built() {
            *place = self.rows.read().new_place(&[]);
        }
    }

    /// Takes rows that were sent off, and that the graph has now under `slots`, out of the flat ones. A row that was removed or
    /// replaced meanwhile is killed in the graph instead.
    pub(crate) fn hand_over(&self, graph: &dyn Graph, entries: &[Entry], slots: &[u32]) {
        // Few at a time: lookups wait meanwhile.
        for (entries, slots) in entries.chunks(32).zip(slots.chunks(32)) {
            let mut place = self.writer.lock();
            let mut rows = self.rows.write();
            for (entry, slot) in entries.iter().zip(slots) {
                let position = rows.find(&place, entry.id).filter(|cell| cell & GRAPH == 0);
                match position {
                    Some(position) if !rows.is_doomed(entry.id) => {
                        place.replace(entry.id, position, slot | GRAPH);
                        rows.take_out(position, &mut place);
                    }
                    _ => {
                        graph.kill(*slot);
                    }
                }
            }
        }
        self.call_back();
    }

    /// No rows are on their way any more.
    pub(crate) fn call_back(&self) {
        let _writer = self.writer.lock();
        self.rows.write().leaving = None;
    }

    /// Makes all rows flat, and gives the graph back.
    pub(crate) fn flatten(&self) -> Option<Arc<dyn Graph>> {
        let graph = self.graph()?;
        let live = graph.live();
        let copied: Vec<Entry> = live.iter().map(|(slot, id)| Entry { id: *id, row: graph.row(*slot) }).collect();
        let mut place = self.writer.lock();
        let rows = self.rows.read();
        let mut flat = rows.flat.empty();
        for ((slot, id), entry) in live.iter().zip(&copied) {
            // Removed or replaced since it was copied, it is not there.
            if rows.find(&place, *id) == Some(slot | GRAPH) {
                flat.push(*id, entry.row.view());
            }
        }
        (0..rows.flat.len()).for_each(|at| flat.push(rows.flat.id(at), rows.flat.row(at)));
        drop(rows);
        let old = {
            let mut rows = self.rows.write();
            self.version.fetch_add(1, Ordering::Release);
            rows.leaving = None;
            rows.graph = None;
            std::mem::replace(&mut rows.flat, flat)
        };
        *place = self.rows.read().new_place(&[]);
        drop((place, old));
        Some(graph)
    }

    /// Puts `new` in place of the graph, and gives that back. `moved` has the id, the old and the new slot of every row.
    /// Changes wait as long as this takes, O(rows); lookups do not.
    pub(crate) fn exchange(&self, new: Arc<dyn Graph>, moved: &[(u64, u32, u32)]) -> Option<Arc<dyn Graph>> {
        let mut place = self.writer.lock();
        let rows = self.rows.read();
        let mut slots = Vec::with_capacity(moved.len());
        for (id, from, to) in moved {
            if rows.find(&place, *id) == Some(from | GRAPH) {
                slots.push(*to);
            } else {
                new.kill(*to);
            }
        }
        drop(rows);
        let old = self.rows.write().graph.replace(new);
        // Until this is done nobody asks where an id is: that needs `writer`.
        *place = self.rows.read().new_place(&slots);
        old
    }

    /// Takes the graph of a partition out of use.
    pub(crate) fn drop_graph(&self) -> Option<Arc<dyn Graph>> {
        self.rebuild.lock().take();
        self.rows.write().graph.take()
    }
}

impl Rows {
    /// A table of all flat rows and these slots, where one is needed.
    fn new_place(&self, slots: &[u32]) -> Place {
        if self.graph.is_none() && self.flat.len() <= SMALL {
            return Place::default();
        }
        let cells = (0..self.flat.len() as u32).chain(slots.iter().map(|slot| slot | GRAPH));
        Place::build(cells, self.flat.len() + slots.len(), |cell| self.id(cell))
    }
}

/// The right to change a partition.
pub(crate) struct Writer<'a> {
    partition: &'a Partition,
    place: MutexGuard<'a, Place>,
}

impl Writer<'_> {
    /// Adds a row, or replaces the one under `id`; says whether it replaced one.
    pub(crate) fn insert(&mut self, id: u64, row: RowRef<'_>) -> bool {
        let found = self.find(id);
        match found {
            Some(position) if position & GRAPH == 0 => {
                let mut rows = self.partition.rows.write();
                rows.doom(id);
                rows.flat.replace(position as usize, row);
            }
            Some(cell) => {
                let rows = self.partition.push(id, row);
                let position = rows.flat.len() as u32 - 1;
                self.partition.version.fetch_add(1, Ordering::Release);
                self.place.replace(id, cell, position);
                // Not before the new row can be seen.
                if let Some(graph) = &rows.graph {
                    graph.kill(cell & !GRAPH);
                }
            }
            None => {
                let rows = self.partition.push(id, row);
                let position = rows.flat.len() - 1;
                if self.place.is_built() {
                    self.place.insert(id, position as u32, |cell| rows.id(cell));
                } else if position >= SMALL {
                    *self.place = rows.new_place(&[]);
                }
                self.partition.live.fetch_add(1, Ordering::Relaxed);
            }
        }
        found.is_some()
    }

    /// Takes the row under `id` out; says whether there was one.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let Some(cell) = self.find(id) else {
            return false;
        };
        if self.place.is_built() {
            let rows = self.partition.rows.read();
            self.place.remove(id, cell, |cell| rows.id(cell));
        }
        if cell & GRAPH == 0 {
            let mut rows = self.partition.rows.write();
            rows.doom(id);
            rows.take_out(cell, &mut self.place);
            if rows.graph.is_none() && rows.flat.len() < SMALL / 2 {
                *self.place = Place::default();
            }
        } else if let Some(graph) = self.partition.graph() {
            graph.kill(cell & !GRAPH);
        }
        self.partition.live.fetch_sub(1, Ordering::Relaxed);
        true
    }

    fn find(&self, id: u64) -> Option<u32> {
        self.partition.rows.read().find(&self.place, id)
    }
}

#[cfg(test)]
mod tests;
