//! Places: how much work may go on that no caller waits for.

use super::serve::Pipeline;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A place among the fetches that go on for the cache alone.
pub(super) struct Deserted<'p>(&'p Pipeline);

impl Deserted<'_> {
    /// One of `most` places, while there is one.
    pub(super) fn take(pipeline: &Pipeline, most: usize) -> Option<Deserted<'_>> {
        let place = Deserted(pipeline);
        (pipeline.deserted.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Deserted<'_> {
    fn drop(&mut self) {
        self.0.deserted.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among the fetches that nobody waits for: of entries past their time, and of hits that are checked.
pub(super) struct Unawaited(Arc<Pipeline>);

impl Unawaited {
    /// One of `most` places, while there is one.
    pub(super) fn take(pipeline: &Arc<Pipeline>, most: usize) -> Option<Unawaited> {
        let place = Unawaited(pipeline.clone());
        (pipeline.unawaited.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Unawaited {
    fn drop(&mut self) {
        self.0.unawaited.fetch_sub(1, Ordering::Relaxed);
    }
}
