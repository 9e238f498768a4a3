//! `Order`: all entries of a table in the order in which they leave, as a whole and for each holder of a quota, and in
//! the order in which they expire. Every operation is O(log n); it is looked at under one lock, which hits do not take.

use super::entries::Kept;
use super::eviction::Place;
use super::quota::Holder;
use crate::types::ids::EntryId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Where a kept entry stands.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) enum Spot {
    /// On its way in.
    #[default]
    Coming,
    /// In the order, at this place.
    In(Place),
    /// Left, or never to come.
    Gone,
}

#[derive(Default)]
pub(super) struct Order {
    all: BTreeMap<Place, Arc<Kept>>,
    by_expiry: BTreeSet<(u64, EntryId)>,
    groups: HashMap<Holder, Group>,
}

/// The entries of one scope or tenant.
#[derive(Default)]
struct Group {
    places: BTreeSet<Place>,
    bytes: usize,
}

impl Order {
    /// Takes `kept` in at `place`, for all and for `holders`, unless it was taken out before it came.
    pub(super) fn add(&mut self, kept: &Arc<Kept>, place: Place) {
        let mut spot = kept.spot.lock();
        if *spot != Spot::Coming {
            return;
        }
        *spot = Spot::In(place);
        self.all.insert(place, kept.clone());
        self.by_expiry.insert((kept.entry.expires_ms, kept.entry.id));
        for holder in kept.holders() {
            let group = self.groups.entry(holder).or_default();
            group.places.insert(place);
            group.bytes += kept.bytes;
        }
    }

    /// Takes `kept` out, wherever it stands.
    pub(super) fn take(&mut self, kept: &Kept) {
        let Spot::In(place) = std::mem::replace(&mut *kept.spot.lock(), Spot::Gone) else { return };
        self.all.remove(&place);
        self.by_expiry.remove(&(kept.entry.expires_ms, kept.entry.id));
        for holder in kept.holders() {
            let Some(group) = self.groups.get_mut(&holder) else { continue };
            group.places.remove(&place);
            group.bytes -= kept.bytes;
            if group.places.is_empty() {
                self.groups.remove(&holder);
            }
        }
    }

    /// Who leaves first: of all, or of one holder's.
    pub(super) fn front(&self, of: Option<Holder>) -> Option<(Place, Arc<Kept>)> {
        let place = match of {
            None => *self.all.first_key_value()?.0,
            Some(holder) => *self.groups.get(&holder)?.places.first()?,
        };
        Some((place, self.all.get(&place)?.clone()))
    }

    /// Moves `kept` from one place to another.
    pub(super) fn shift(&mut self, kept: &Arc<Kept>, from: Place, to: Place) {
        *kept.spot.lock() = Spot::In(to);
        self.all.remove(&from);
        self.all.insert(to, kept.clone());
        for holder in kept.holders() {
            let Some(group) = self.groups.get_mut(&holder) else { continue };
            group.places.remove(&from);
            group.places.insert(to);
        }
    }

    /// Entries of a holder, and their bytes.
    pub(super) fn held_by(&self, holder: Holder) -> (usize, usize) {
        self.groups.get(&holder).map_or((0, 0), |group| (group.places.len(), group.bytes))
    }

    /// The first `most` entries that expire at `now_ms` or before.
    pub(super) fn expired(&self, now_ms: u64, most: usize) -> Vec<EntryId> {
        self.by_expiry
            .iter()
            .take(most)
            .take_while(|(expires_ms, _)| *expires_ms <= now_ms)
            .map(|(_, id)| *id)
            .collect()
    }

    /// Entries in the order.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.all.len(), self.by_expiry.len());
        self.all.len()
    }

    /// Holders whose entries are counted.
    #[cfg(test)]
    pub(super) fn holders(&self) -> usize {
        self.groups.len()
    }
}
