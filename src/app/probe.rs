//! Active probes: while lanes are left alone, their providers are asked for their model lists, and taken back once they answer.
//!
//! Whoever lists models need not answer requests: a lane that is taken back so is left alone again after its next failure. A provider
//! that has no list, or an empty one, tells nothing.

use crate::pipeline::{Setup, turned};
use crate::routing::{Lane, Look, Turn};
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::AbortHandle;

/// A provider that has not listed its models within this time is not there.
const ANSWER: Duration = Duration::from_secs(10);

/// The task that asks. It ends when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<Option<AbortHandle>>);

impl Probes {
    /// Asks for the lanes of `setup` from now on, and of no other; not at all where there is no interval.
    pub(super) fn begin(&self, setup: &Arc<Setup>, interval: Option<Duration>) {
        let task = interval.map(|interval| tokio::spawn(ask(Arc::downgrade(setup), interval)).abort_handle());
        let before = std::mem::replace(&mut *self.0.lock(), task);
        before.iter().for_each(AbortHandle::abort);
    }

    /// Asks no more.
    pub(super) fn end(&self) {
        self.0.lock().take().iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.end();
    }
}

/// Asks until the settings are gone.
async fn ask(setup: Weak<Setup>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(setup) = setup.upgrade() else { return };
        join_all(left_alone(&setup).into_iter().map(|(name, lanes)| find_out(&setup, name, lanes))).await;
    }
}

/// The lanes that are left alone, by provider.
fn left_alone(setup: &Setup) -> BTreeMap<&str, Vec<&Arc<Lane>>> {
    let now = setup.clock.now();
    let mut lanes: BTreeMap<&str, Vec<&Arc<Lane>>> = BTreeMap::new();
    for lane in setup.router.lanes().filter(|lane| matches!(lane.look(now), Look::Resting(_) | Look::Due)) {
        lanes.entry(lane.id.provider.as_str()).or_default().push(lane);
    }
    lanes
}

/// Asks one provider, once for all its lanes.
async fn find_out(setup: &Setup, name: &str, lanes: Vec<&Arc<Lane>>) {
    let Some(provider) = setup.registry.get(name) else { return };
    match tokio::time::timeout(ANSWER, provider.models()).await {
        Ok(Ok(models)) if !models.is_empty() => {
            let now = setup.clock.now();
            lanes.into_iter().filter(|lane| lane.found_there(now)).for_each(|lane| turned(lane, Turn::Closed));
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(provider = name, %error, "a probe was not answered"),
        Err(_) => tracing::debug!(provider = name, "a probe was not answered in time"),
    }
}
