//! [`Rows`]: the rows of a graph by slot, each thing in a plane of its own, so that a walk reads nothing but what it compares.
//!
//! Who may write what: a slot's bytes, id and scale are written by the one who got the slot from [`Rows::take`] before
//! any link leads to it. From then on they are only read. A dead slot is free again once no link leads to it and
//! every search that may have seen one is over; only then is it given out once more.
#![allow(unsafe_code)] // Rows of a `Slab`; see who may write what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::slab::Slab;
use super::walk::NODE;
use crate::graph::Entry;
use crate::kernels::prefetch;
use crate::quantize::{self, RowRef};

/// log2 of the rows of a first bucket: about where a scope gets a graph.
const FIRST: u32 = 12;

/// Links into a node are counted up to this; one that ever had so many counts as having them.
const MANY: u8 = u8::MAX;

pub(super) struct Rows {
    high: Slab<u8>,
    low: Slab<u8>,
    scales: Slab<u16>,
    ids: Slab<u64>,
    /// 64 slots to a word. Free slots are dead.
    dead: Slab<AtomicU64>,
    /// Slots that no link leads to: free, or soon to be. 64 to a word.
    vacant: Slab<AtomicU64>,
    /// Links of the ground layer that lead to a slot.
    links_in: Slab<AtomicU8>,
    /// Slots ever given out.
    upto: AtomicUsize,
    live: AtomicUsize,
    /// Slots to give out again.
    free: Arc<Mutex<Vec<u32>>>,
    /// Slots that no link leads to.
    vacancies: AtomicUsize,
}

impl Rows {
    pub(super) fn new(width: usize) -> Rows {
        let stride = quantize::stride(width);
        Rows {
            high: Slab::new(stride, FIRST),
            low: Slab::new(stride, FIRST),
            scales: Slab::new(1, FIRST),
            ids: Slab::new(1, FIRST),
            dead: Slab::new(1, FIRST - 6),
            vacant: Slab::new(1, FIRST - 6),
            links_in: Slab::new(1, FIRST),
            upto: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            free: Arc::default(),
            vacancies: AtomicUsize::new(0),
        }
    }

    /// Slots ever given out: all slots are below.
    pub(super) fn upto(&self) -> usize {
        self.upto.load(Ordering::Acquire)
    }

    /// Live rows.
    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Dead rows that links still lead to.
    pub(super) fn dead(&self) -> usize {
        self.upto().saturating_sub(self.vacancies.load(Ordering::Relaxed) + self.live())
    }

    /// Writes a row into a slot of its own; `None` when there is no memory, or no number left. It counts as live from now on, though no link leads
    /// to it yet.
    pub(super) fn take(&self, entry: &Entry) -> Option<u32> {
        let row = entry.row.view();
        let slot = self.slot()?;
        // SAFETY: the slot is this caller's alone, as the head of the file says.
        unsafe {
            self.high.values_mut(slot).copy_from_slice(row.high);
            self.low.values_mut(slot).copy_from_slice(row.low);
            self.scales.row(slot).write(row.scale);
            self.ids.row(slot).write(entry.id);
        }
        self.links_in(slot as u32).store(0, Ordering::Relaxed);
        self.revive(slot as u32);
        Some(slot as u32)
    }

    /// Marks a slot live.
    pub(super) fn revive(&self, slot: u32) {
        self.dead_word(slot).fetch_and(!(1 << (slot % 64)), Ordering::Relaxed);
        self.live.fetch_add(1, Ordering::Relaxed);
    }

    fn slot(&self) -> Option<usize> {
        let mut free = self.free.lock();
        if let Some(slot) = free.pop() {
            self.vacant_word(slot).fetch_and(!(1 << (slot % 64)), Ordering::Relaxed);
            self.vacancies.fetch_sub(1, Ordering::Relaxed);
            return Some(slot as usize);
        }
        let slot = self.upto.load(Ordering::Relaxed);
        // A walk keeps flags beside a slot's number.
        (slot < NODE as usize && self.make_room(slot + 1)).then(|| {
            self.upto.store(slot + 1, Ordering::Release);
            slot
        })
    }

    /// Room for slots below `upto`; false when there is no memory.
    pub(super) fn make_room(&self, upto: usize) -> bool {
        self.high.reserve(upto)
            && self.low.reserve(upto)
            && self.scales.reserve(upto)
            && self.ids.reserve(upto)
            && self.dead.reserve(upto.div_ceil(64))
            && self.vacant.reserve(upto.div_ceil(64))
            && self.links_in.reserve(upto)
    }

    /// For a graph read from a file: slots below `upto` are given out, all of them dead.
    pub(super) fn set_upto(&self, upto: usize) {
        (0..upto as u32).for_each(|slot| {
            self.dead_word(slot).fetch_or(1 << (slot % 64), Ordering::Relaxed);
        });
        self.upto.store(upto, Ordering::Release);
    }

    /// Marks a slot dead; says whether it was live.
    pub(super) fn kill(&self, slot: u32) -> bool {
        if slot as usize >= self.upto() {
            return false;
        }
        let bit = 1 << (slot % 64);
        let was_live = self.dead_word(slot).fetch_or(bit, Ordering::Relaxed) & bit == 0;
        if was_live {
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
        was_live
    }

    #[inline(always)]
    pub(super) fn is_dead(&self, slot: u32) -> bool {
        self.dead_word(slot).load(Ordering::Relaxed) >> (slot % 64) & 1 == 1
    }

    #[inline(always)]
    fn dead_word(&self, slot: u32) -> &AtomicU64 {
        // SAFETY: a slot was given out, so its word is reserved.
        unsafe { &*self.dead.row(slot as usize / 64) }
    }

    #[inline(always)]
    fn vacant_word(&self, slot: u32) -> &AtomicU64 {
        // SAFETY: as for `dead_word`.
        unsafe { &*self.vacant.row(slot as usize / 64) }
    }

    /// Whether no link leads to a slot, which is free or soon will be.
    pub(super) fn is_vacant(&self, slot: u32) -> bool {
        self.vacant_word(slot).load(Ordering::Relaxed) >> (slot % 64) & 1 == 1
    }

    /// Dead rows that links lead to.
    pub(super) fn doomed(&self) -> Vec<u32> {
        (0..self.upto() as u32).filter(|slot| self.is_dead(*slot) && !self.is_vacant(*slot)).collect()
    }

    /// Slots of live rows.
    pub(super) fn live_slots(&self) -> Vec<u32> {
        (0..self.upto() as u32).filter(|slot| !self.is_dead(*slot)).collect()
    }

    /// Gives dead slots that no link leads to back, as soon as every search that began before is over; then calls `also`.
    pub(super) fn give_back(&self, slots: Vec<u32>, also: impl FnOnce() + Send + 'static) {
        self.mark_vacant(&slots);
        let free = Arc::clone(&self.free);
        let guard = crossbeam_epoch::pin();
        guard.defer(move || {
            free.lock().extend(slots);
            also();
        });
        guard.flush();
    }

    fn mark_vacant(&self, slots: &[u32]) {
        for slot in slots {
            self.vacant_word(*slot).fetch_or(1 << (slot % 64), Ordering::Relaxed);
        }
        self.vacancies.fetch_add(slots.len(), Ordering::Relaxed);
    }

    /// For a graph read from a file, before anybody searches it.
    pub(super) fn set_vacant(&self, slots: Vec<u32>) {
        self.mark_vacant(&slots);
        *self.free.lock() = slots;
    }

    /// Where a row's coarse bytes begin.
    #[inline(always)]
    pub(super) fn high(&self, slot: u32) -> *const u8 {
        self.high.row(slot as usize)
    }

    /// Asks for what a walk reads beside a row's bytes.
    #[inline(always)]
    pub(super) fn ask_for_scale(&self, slot: u32) {
        prefetch(self.scales.row(slot as usize));
    }

    #[inline(always)]
    pub(super) fn scale(&self, slot: u32) -> u16 {
        // SAFETY: a slot was given out, so it is reserved and written.
        unsafe { *self.scales.row(slot as usize) }
    }

    #[inline(always)]
    pub(super) fn id(&self, slot: u32) -> u64 {
        // SAFETY: as for `scale`.
        unsafe { *self.ids.row(slot as usize) }
    }

    /// A whole row.
    #[inline(always)]
    pub(super) fn view(&self, slot: u32) -> RowRef<'_> {
        // SAFETY: the slot was given out; from then on its bytes are only read, until no search can know it.
        let (high, low) = unsafe { (self.high.values(slot as usize), self.low.values(slot as usize)) };
        RowRef { scale: self.scale(slot), high, low }
    }

    /// Writes a row read from a file at its slot, which is below what `make_room` was asked for.
    ///
    /// # Safety
    /// Nobody else writes the same slot, and nobody reads it yet.
    pub(super) unsafe fn place(&self, slot: u32, id: u64, scale: u16, high: &[u8], low: &[u8]) {
        let at = slot as usize;
        // SAFETY: the caller's.
        unsafe {
            let (to_high, to_low) = (self.high.values_mut(at), self.low.values_mut(at));
            to_high[..high.len()].copy_from_slice(high);
            to_high[high.len()..].fill(quantize::ZERO);
            to_low[..low.len()].copy_from_slice(low);
            to_low[low.len()..].fill(quantize::ZERO);
            self.scales.row(at).write(scale);
            self.ids.row(at).write(id);
        }
    }

    #[inline(always)]
    fn links_in(&self, slot: u32) -> &AtomicU8 {
        // SAFETY: a slot was given out, so it is reserved.
        unsafe { &*self.links_in.row(slot as usize) }
    }

    /// How many links lead to a slot.
    pub(super) fn count_in(&self, slot: u32) -> u8 {
        self.links_in(slot).load(Ordering::Relaxed)
    }

    /// For a graph read from a file.
    pub(super) fn set_count_in(&self, slot: u32, count: u8) {
        self.links_in(slot).store(count, Ordering::Relaxed);
    }

    /// One link more leads to a slot.
    pub(super) fn link_in(&self, slot: u32) {
        let _ = self.links_in(slot).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
    }

    /// One link less leads to a slot.
    pub(super) fn link_out(&self, slot: u32) {
        let less = |n: u8| (n > 0 && n < MANY).then(|| n - 1);
        let _ = self.links_in(slot).fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Memory in bytes, as far as it was written.
    pub(super) fn bytes(&self) -> u64 {
        let upto = self.upto();
        self.high.bytes(upto)
            + self.low.bytes(upto)
            + self.scales.bytes(upto)
            + self.ids.bytes(upto)
            + 2 * self.dead.bytes(upto.div_ceil(64))
            + self.links_in.bytes(upto)
            + 4 * self.free.lock().capacity() as u64
    }
}
