//! [`Twins`]: rows that are the same byte for byte. One of them is linked, and leads the others: a crowd of copies would
//! crowd everything else out of the lists around it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

/// Parts `slots` into those whose bytes come for the first time and the others: linked together, copies would not find each other.
pub(super) fn part<'a>(slots: &[u32], bytes: impl Fn(u32) -> &'a [u8]) -> (Vec<u32>, Vec<u32>) {
    let mut seen = HashSet::with_capacity(slots.len());
    slots.iter().partition(|slot| seen.insert(bytes(**slot)))
}

/// Who leads whom.
#[derive(Default)]
pub(super) struct Twins {
    /// The slots that each leading slot leads.
    led: RwLock<HashMap<u32, Vec<u32>>>,
    any: AtomicBool,
}

impl Twins {
    /// From now on `leader`, which is linked, leads `slot`.
    pub(super) fn join(&self, leader: u32, slot: u32) {
        self.led.write().entry(leader).or_default().push(slot);
        self.any.store(true, Ordering::Release);
    }

    /// Whether any row has twins.
    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Tells the slots that `leader` leads.
    pub(super) fn each(&self, leader: u32, mut tell: impl FnMut(u32)) {
        if let Some(led) = self.led.read().get(&leader) {
            led.iter().for_each(|slot| tell(*slot));
        }
    }

    /// Slots that lead one for which `is_live` says yes: they stay linked even when they are dead themselves.
    pub(super) fn needed(&self, is_live: impl Fn(u32) -> bool) -> HashSet<u32> {
        let led = self.led.read();
        led.iter().filter(|(_, slots)| slots.iter().any(|slot| is_live(*slot))).map(|(leader, _)| *leader).collect()
    }

    /// Forgets slots that are about to be given back.
    pub(super) fn forget(&self, gone: &HashSet<u32>) {
        if !self.any() {
            return;
        }
        let mut led = self.led.write();
        led.retain(|leader, slots| {
            slots.retain(|slot| !gone.contains(slot));
            !slots.is_empty() && !gone.contains(leader)
        });
        self.any.store(!led.is_empty(), Ordering::Release);
    }

    /// Every (leader, slot), for a checkpoint.
    pub(super) fn pairs(&self) -> Vec<(u32, u32)> {
        self.led.read().iter().flat_map(|(leader, slots)| slots.iter().map(|slot| (*leader, *slot))).collect()
    }

    /// Memory in bytes, about.
    pub(super) fn bytes(&self) -> u64 {
        let led = self.led.read();
        48 * led.len() as u64 + led.values().map(|slots| 4 * slots.capacity() as u64).sum::<u64>()
    }
}
