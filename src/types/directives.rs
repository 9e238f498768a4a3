//! `Directives`: what the caller asked of the cache. They can raise the bar, never lower it.

use super::staleness::Staleness;
use std::time::Duration;

/// Tags on one request.
pub const MOST_TAGS: usize = 16;
/// Bytes of one tag or scope.
pub const TAG_BYTES: usize = 128;

/// Earlier answers that one request may speak of.
pub const MOST_FEEDBACK: usize = 8;
/// Bytes of the id of an answer.
pub const ID_BYTES: usize = 256;

/// The caller's wishes, from `Cache-Control` and the `x-askonce-*` headers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Directives {
    /// `Cache-Control: no-store`: keep nothing of this exchange.
    pub no_store: bool,
    /// `Cache-Control: no-cache` (or `x-askonce-cache: bypass`): a fresh answer, please.
    pub no_cache: bool,
    /// `Cache-Control: only-if-cached`: a stored answer or 504.
    pub only_if_cached: bool,
    /// `Cache-Control: max-age=N`: nothing older.
    pub max_age: Option<Duration>,
    /// `x-askonce-cache: exact`: no semantic hits.
    pub exact_only: bool,
    /// `x-askonce-threshold`: at least this similarity. Lower than the operator's has no effect.
    pub threshold: Option<f32>,
    /// `x-askonce-ttl-s`: keep the answer no longer than this. Longer than the operator's has no effect.
    pub ttl: Option<Duration>,
    /// `x-askonce-staleness`: the answer keeps no longer than this class says.
    pub staleness: Option<Staleness>,
    /// `x-askonce-scope`: a further partition of the caller's own choosing, such as a user or session id.
    pub scope: Option<String>,
    /// `x-askonce-session`: requests of one session go to the same target, where the route is sticky.
    pub session: Option<String>,
    /// `x-askonce-trace: attempts`: the reply tells every attempt.
    pub trace: bool,
    /// `x-askonce-tags`: labels for a later purge.
    pub tags: Vec<String>,
    /// `x-askonce-feedback`: earlier answers by their ids, and whether they were right.
    pub feedback: Vec<(String, bool)>,
}
