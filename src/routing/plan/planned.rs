//! `Planned`: routes that were made before, of models that the configuration does not name.

use crate::routing::Route;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// Routes of models that the configuration does not name, by what they are called. They are the same each time.
#[derive(Debug, Default)]
pub(super) struct Planned(pub(super) RwLock<HashMap<String, Arc<Route>, ahash::RandomState>>);

impl Planned {
    /// About so many are kept: callers may ask for anything.
    pub(super) const MOST: usize = 1_024;
    /// None of a longer name is kept.
    pub(super) const NAME_BYTES: usize = 256;

    /// The route of `model`, which is made where it is not known yet.
    pub(super) fn of(&self, model: &str, make: impl FnOnce() -> Arc<Route>) -> Arc<Route> {
        let known = self.0.read();
        if let Some(route) = known.get(model) {
            return route.clone();
        }
        // Where nothing more is kept, nobody waits for anybody.
        let is_kept = known.len() < Planned::MOST && model.len() <= Planned::NAME_BYTES;
        drop(known);
        let route = make();
        if is_kept {
            return self.0.write().entry(model.to_owned()).or_insert(route).clone();
        }
        route
    }
}
