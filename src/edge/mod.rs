//! Floor 5a: the edge, which every door stands behind, whatever is asked there.
//!
//! - `layer`: request ids, panics, requests at a time, loopback only
//! - `body`: a request's body, within the limits
//! - `caller`: headers → caller, directives, headers to pass on
//! - `entrance`: who asks, and whether they may come in
//! - `dialect`: in which vendor's words a path is answered
//! - `officer`: who administers, and whether they may
//! - `idempotency`: what is sent twice is done once
//! - `whence`: from which address a request comes
//! - `reject`: `Error` → HTTP, the only place where that happens

pub mod body;
pub mod caller;
pub mod dialect;
pub mod entrance;
mod idempotency;
mod layer;
pub mod officer;
pub mod reject;
pub mod whence;

pub use idempotency::Idempotency;
pub use layer::{RequestId, around};

use crate::governance::definitions::Definitions;
use crate::governance::objects::Objects;
use crate::governance::{Access, Keys};
use crate::pipeline::Pipeline;
use crate::secrets::Secrets;
use crate::store::database::Database;
use crate::types::audit::Audit;
use crate::types::caller::Caller;
use crate::types::error::Error;
use arc_swap::ArcSwap;
use ipnet::IpNet;
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
    /// Accounts and virtual keys of the admin surface.
    pub objects: Arc<Objects>,
    /// Providers, models and prices of the admin surface.
    pub definitions: Arc<Definitions>,
    /// Who administers.
    pub access: Arc<Access>,
    /// Where goes what administrators do, and what is refused.
    pub audit: Arc<dyn Audit>,
    /// What is looked up there for administrators.
    pub database: Database,
    /// What the settings refer to.
    pub secrets: Arc<Secrets>,
    /// Whose word is taken for whom they forward; changes on a reload.
    pub trusted_proxies: ArcSwap<Vec<IpNet>>,
    /// Changes that their callers gave names, and what came of them.
    pub idempotency: Idempotency,
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

impl Doors {
    /// Who asks, by the `credential` they show: a key, or a token of an identity provider.
    pub async fn caller(&self, credential: Option<&str>) -> Result<Caller, Error> {
        if let Some(token) = credential {
            let issuers = self.access.issuers();
            if issuers.concerns(token) {
                let now_ms = self.pipeline.cache().now_ms();
                let known = self.keys.load().known(token, now_ms);
                return match known.or_else(|| issuers.remembered(token, now_ms)) {
                    Some(caller) => Ok(caller),
                    None => issuers.caller(token, now_ms).await,
                };
            }
        }
        self.keys.load().caller(credential, self.pipeline.cache().now_ms())
    }
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
