//! `/healthz`, `/readyz` and `/metrics`.

use crate::edge::Doors;
use crate::pipeline::of_lane;
use crate::routing::Phase;
use crate::telemetry::metrics;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The process lives.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The gateway takes requests: not while it starts, nor while it shuts down.
pub(super) async fn readyz(State(doors): State<Arc<Doors>>) -> Response {
    if doors.ready.load(Ordering::Relaxed) {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
}

/// Metrics in Prometheus' text format.
pub(super) async fn scrape(State(doors): State<Arc<Doors>>) -> Response {
    read_off(&doors);
    doors.prometheus.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], doors.prometheus.render()).into_response()
}

/// Sets the gauges that are read off the state of things.
fn read_off(doors: &Doors) {
    let stats = doors.pipeline.cache().stats();
    metrics::set("askonce_cache_entries", stats.entries as f64);
    metrics::set("askonce_cache_bytes", stats.bytes as f64);
    let evicted = stats.evicted;
    metrics::set("askonce_cache_evicted", (evicted.memory + evicted.scope + evicted.tenant) as f64);
    metrics::evicted([("memory", evicted.memory), ("scope_quota", evicted.scope), ("tenant_quota", evicted.tenant)]);
    metrics::set("askonce_cache_expired", stats.expired as f64);
    metrics::set("askonce_cache_write_errors", stats.write_errors as f64);
    metrics::set("askonce_index_vectors", stats.vectors as f64);
    metrics::set("askonce_index_scopes", stats.scopes as f64);
    metrics::set("askonce_index_bytes", stats.index_bytes as f64);
    metrics::set("askonce_cache_wrong", stats.wrong as f64);
    if let Some(judgement) = &stats.judgement {
        metrics::set("askonce_judgement_error", judgement.error);
        metrics::set("askonce_judgement_error_upper", judgement.error_upper);
        metrics::set("askonce_judgement_scopes", judgement.scopes as f64);
        metrics::set("askonce_judgement_scopes_fallback", judgement.fallback_scopes as f64);
        metrics::set("askonce_judgement_labels", judgement.labels as f64);
        doors.pipeline.cache().lambdas().into_iter().for_each(|(budget, lambda)| metrics::lambda(budget, lambda));
    }
    for lane in doors.pipeline.setup().router.lanes() {
        let state = match lane.phase() {
            Phase::Closed => 0,
            Phase::HalfOpen => 1,
            Phase::Open => 2,
        };
        metrics::breaker_state(of_lane(lane), state);
    }
    let Some(embedder) = stats.embedder else { return };
    metrics::set("askonce_embedding_queued", embedder.queued as f64);
    metrics::set("askonce_embedding_memo_bytes", embedder.memo.bytes as f64);
    metrics::set("askonce_embedding_memo_entries", embedder.memo.entries as f64);
    metrics::embedded(embedder.texts, embedder.truncated, embedder.tokens);
    metrics::embedding_batches(&embedder.batches);
    metrics::embedding_memo(embedder.memo.hits, embedder.memo.misses);
}
