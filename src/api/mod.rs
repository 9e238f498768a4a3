//! Floor 5: the doors for callers.
//!
//! - `edge`: request ids, panics, limits: what every request goes through
//! - `caller`: headers → caller, directives, headers to pass on
//! - `openai`: the OpenAI surface
//! - `health`: `/healthz`, `/readyz`, `/metrics`
//! - `reject`: `Error` → HTTP, the only place where that happens

pub mod caller;
mod edge;
mod health;
mod openai;
pub mod reject;

pub use edge::Edge;

use crate::governance::Keys;
use crate::pipeline::Pipeline;
use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

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
    /// False while starting, and again while shutting down.
    pub ready: AtomicBool,
}

/// The routes of the data surface. `/v1` may be left out, as some clients do.
pub fn routes(doors: Arc<Doors>) -> Router {
    let openai = || {
        Router::new()
            .route("/chat/completions", post(openai::chat_completions))
            .route("/completions", post(openai::completions))
            .route("/embeddings", post(openai::embeddings))
            .route("/models", get(openai::models))
            .route("/models/{*model}", get(openai::model))
    };
    Router::new()
        .merge(openai())
        .nest("/v1", openai())
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .with_state(doors)
}

/// Puts the edge around `routes`: it comes last, so that it covers every route there is.
pub fn with_edge(routes: Router, doors: Arc<Doors>) -> Router {
    edge::around(routes, doors)
}
