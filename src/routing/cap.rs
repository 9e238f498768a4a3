//! `Cap`: so many requests at a time, on all lanes that share it; and who is told when one of its places is free.
//!
//! While requests wait in line for a place, nobody else takes one: a cap that is waited for looks full to all but the line.

use super::atomic::{AtomicU32, Ordering};
use std::fmt;
use std::sync::{OnceLock, Weak};

/// Hands places to those who wait in line for them.
pub trait Usher: Send + Sync + fmt::Debug {
    /// A place of `cap` is free.
    fn freed(&self, cap: &Cap);
}

/// So many requests at a time, on all lanes that share it.
#[derive(Debug)]
pub struct Cap {
    /// Tells it from every other.
    number: u64,
    most: u32,
    taken: AtomicU32,
    /// Requests in line for one of its places.
    waiting: AtomicU32,
    /// Who has the line; nobody until somebody waits.
    usher: OnceLock<Weak<dyn Usher>>,
}

impl Cap {
    /// So many at a time.
    pub fn new(most: u32) -> Cap {
        // Of the standard library: it bounds nothing, and a static cannot be of any other.
        static NUMBERS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        Cap {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            most,
            taken: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            usher: OnceLock::new(),
        }
    }

    /// A number that no other cap of the process has.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many places there are.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Are all places taken?
    pub fn is_full(&self) -> bool {
        self.taken.load(Ordering::SeqCst) >= self.most
    }

    /// Requests in line for one of its places.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// One request more waits for a place, and `usher` hands it out.
    pub fn wait(&self, usher: Weak<dyn Usher>) {
        self.usher.get_or_init(|| usher);
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// One request less waits for a place.
    pub fn waited(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn take(&self) -> bool {
        let more = |taken| (taken < self.most).then(|| taken + 1);
        self.taken.try_update(Ordering::SeqCst, Ordering::Relaxed, more).is_ok()
    }

    /// Takes a place, although there may be none.
    pub(super) fn add(&self) {
        self.taken.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives a place back. Whoever does so has to [`Cap::tell`] of it when all that it gives back is given.
    pub(super) fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }

    /// Tells who has the line of a free place, if there is a line.
    ///
    /// No place is overlooked: who gives one back does so before it looks whether anybody waits, and who begins to wait says so
    /// before it looks whether a place is free.
    pub(super) fn tell(&self) {
        if self.waiting() > 0
            && let Some(usher) = self.usher.get().and_then(Weak::upgrade)
        {
            usher.freed(self);
        }
    }
}
