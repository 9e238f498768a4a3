//! Floor 5b: the doors for callers.
//!
//! - `openai`: the OpenAI surface
//! - `feedback`: what callers say of answers they were given
//! - `health`: `/healthz`, `/readyz`, `/metrics`

mod feedback;
mod health;
mod openai;

use crate::edge::Doors;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;

/// The routes of the data surface. `/v1` may be left out, as some clients do.
pub fn routes(doors: Arc<Doors>) -> Router {
    let openai = || {
        Router::new()
            .route("/chat/completions", post(openai::chat_completions))
            .route("/completions", post(openai::completions))
            .route("/embeddings", post(openai::embeddings))
            .route("/feedback", post(feedback::feedback))
            .route("/models", get(openai::models))
            .route("/models/{*model}", get(openai::model))
    };
    Router::new()
        .merge(openai())
        .nest("/v1", openai())
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::scrape))
        .with_state(doors)
}
