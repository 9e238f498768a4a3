//! `/healthz`, `/readyz` and `/metrics`.

use super::{Doors, edge};
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
pub(super) async fn metrics(State(doors): State<Arc<Doors>>) -> Response {
    edge::read_off(&doors);
    doors.prometheus.run_upkeep();
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        doors.prometheus.render(),
    )
        .into_response()
}
