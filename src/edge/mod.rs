//! Floor 5a: the edge, which every door stands behind, whatever is asked there.
//!
//! - `layer`: request ids, panics, requests at a time, loopback only
//! - `body`: a request's body, within the limits
//! - `caller`: headers → caller, directives, headers to pass on
//! - `dialect`: in which vendor's words a path is answered
//! - `reject`: `Error` → HTTP, the only place where that happens

pub mod body;
pub mod caller;
pub mod dialect;
mod layer;
pub mod reject;

pub use layer::{RequestId, around};

use crate::governance::Keys;
use crate::pipeline::Pipeline;
use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Forms larger than other bodies may be, at a time.
pub const UPLOADS: usize = 8;

/// What the doors lead to.
pub struct Doors {
    /// Serves requests.
    pub pipeline: Arc<Pipeline>,
    /// Who may ask; swapped on a reload.
    pub keys: ArcSwap<Keys>,
    /// For `/metrics`.
    pub prometheus: PrometheusHandle,
    /// Limits of the edge.
    pub edge: Edge,
    /// Requests being served now.
    pub in_flight: AtomicUsize,
    /// Places for forms that are larger than other bodies may be: they are held in memory.
    pub uploads: Arc<Semaphore>,
    /// False while starting, and again while shutting down.
    pub ready: AtomicBool,
    /// Only loopback names are taken as `Host`; changes with the keys on a reload.
    pub loopback_only: AtomicBool,
}

/// Limits of the edge.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// The largest request body.
    pub body_bytes: usize,
    /// The largest form.
    pub upload_bytes: usize,
    /// The most requests at a time.
    pub in_flight: usize,
    /// How long a body may pause while it arrives.
    pub body_timeout: Duration,
    /// How long a whole body may take.
    pub body_total_timeout: Duration,
}
