//! [`Layer`]: the links of one layer of the graph.
//!
//! A node's links are a fixed number of words (see `list`). Readers take no lock; whoever changes a list holds its lock. Nodes of the
//! ground layer are slots; those of an upper layer have numbers of their own, with the slot and the number one layer below.
#![allow(unsafe_code)] // Rows of a `Slab`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::list;
use super::slab::Slab;
use crate::kernels::prefetch;

/// Words of a cache line.
const LINE: usize = 16;

/// Locks of a layer: nodes share them, by number.
const LOCKS: usize = 256;

pub(super) struct Layer {
    degree: usize,
    links: Slab<AtomicU32>,
    /// Slot of each node, and its number one layer below. Not for the ground layer, where both are the node itself.
    origin: Option<Slab<u32>>,
    /// Nodes of an upper layer ever given out.
    upto: AtomicUsize,
    free: Arc<Mutex<Vec<u32>>>,
    locks: Box<[Mutex<()>]>,
}

impl Layer {
    pub(super) fn ground(degree: usize) -> Layer {
        Layer::new(degree, None, 12)
    }

    pub(super) fn upper(degree: usize) -> Layer {
        Layer::new(degree, Some(Slab::new(2, 8)), 8)
    }

    fn new(degree: usize, origin: Option<Slab<u32>>, first: u32) -> Layer {
        let locks = if origin.is_none() { LOCKS } else { LOCKS / 16 };
        Layer {
            degree,
            links: Slab::new(degree, first),
            origin,
            upto: AtomicUsize::new(0),
            free: Arc::default(),
            locks: (0..locks).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Links that a node can have.
    pub(super) fn degree(&self) -> usize {
        self.degree
    }

    pub(super) fn is_ground(&self) -> bool {
        self.origin.is_none()
    }

    /// Room for nodes below `upto`; false when there is no memory.
    pub(super) fn make_room(&self, upto: usize) -> bool {
        self.links.reserve(upto) && self.origin.as_ref().is_none_or(|origin| origin.reserve(upto))
    }

    /// For upper layers: a node for `slot`, whose number one layer below is `below`.
    pub(super) fn take(&self, slot: u32, below: u32) -> Option<u32> {
        let mut free = self.free.lock();
        let node = match free.pop() {
            Some(node) => node,
            None => {
                let node = self.upto.load(Ordering::Relaxed);
                if !self.make_room(node + 1) {
                    return None;
                }
                self.upto.store(node + 1, Ordering::Release);
                node as u32
            }
        };
        self.set_origin(node, slot, below);
        Some(node)
    }

    /// For upper layers; `node` is reserved, and no link leads to it.
    pub(super) fn set_origin(&self, node: u32, slot: u32, below: u32) {
        if let Some(origin) = &self.origin {
            // SAFETY: reserved, and unknown to others.
            unsafe { origin.values_mut(node as usize).copy_from_slice(&[slot, below]) };
        }
    }

    /// Upper nodes ever given out.
    pub(super) fn upto(&self) -> usize {
        self.upto.load(Ordering::Acquire)
    }

    /// For a graph read from a file.
    pub(super) fn set_upto(&self, upto: usize, free: Vec<u32>) {
        self.upto.store(upto, Ordering::Release);
        *self.free.lock() = free;
    }

    /// Upper nodes to give out again.
    pub(super) fn vacant(&self) -> Vec<u32> {
        self.free.lock().clone()
    }

    /// Where upper nodes go that no link leads to and no search knows.
    pub(super) fn free(&self) -> Arc<Mutex<Vec<u32>>> {
        Arc::clone(&self.free)
    }

    #[inline(always)]
    pub(super) fn slot(&self, node: u32) -> u32 {
        // SAFETY: a node was given out, so it is reserved and written.
        self.origin.as_ref().map_or(node, |origin| unsafe { *origin.row(node as usize) })
    }

    /// The same node one layer below.
    #[inline(always)]
    pub(super) fn below(&self, node: u32) -> u32 {
        // SAFETY: as for `slot`.
        self.origin.as_ref().map_or(node, |origin| unsafe { *origin.row(node as usize).add(1) })
    }

    /// A node's words, to read without a lock.
    #[inline(always)]
    fn words(&self, node: u32) -> &[AtomicU32] {
        // SAFETY: a node was given out, so it is reserved; the words are atomic.
        unsafe { self.links.values(node as usize) }
    }

    /// Asks for a node's links, which are soon to be read.
    #[inline(always)]
    pub(super) fn ask_for(&self, node: u32) {
        let words = self.links.row(node as usize);
        (0..self.degree).step_by(LINE).for_each(|at| prefetch(words.wrapping_add(at)));
    }

    /// A node's links.
    #[inline(always)]
    pub(super) fn links(&self, node: u32) -> impl Iterator<Item = u32> {
        list::nodes(self.words(node))
    }

    /// Locks a node's links for changing them. A thread holds one lock of a graph at a time.
    pub(super) fn lock(&self, node: u32) -> Links<'_> {
        let guard = self.locks[node as usize % self.locks.len()].lock();
        Links { words: self.words(node), _guard: guard }
    }

    /// Memory in bytes, as far as it was written; `slots` is how many slots there are.
    pub(super) fn bytes(&self, slots: usize) -> u64 {
        let upto = if self.is_ground() { slots } else { self.upto() };
        self.links.bytes(upto) + self.origin.as_ref().map_or(0, |origin| origin.bytes(upto))
    }
}

/// A node's links, locked.
pub(super) struct Links<'a> {
    words: &'a [AtomicU32],
    _guard: MutexGuard<'a, ()>,
}

impl Links<'_> {
    /// Adds a link if there is room.
    pub(super) fn push(&self, node: u32) -> bool {
        list::push(self.words, node)
    }

    /// Replaces all links.
    pub(super) fn set(&self, nodes: &[u32]) {
        list::set(self.words, nodes);
    }
}
