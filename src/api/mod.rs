//! Floor 5b: the doors for callers.
//!
//! - `answer`: what all doors for JSON requests have in common
//! - `openai`, `anthropic`, `gemini`, `bedrock`, `cohere`, `ollama`: the surfaces of each vendor
//! - `trailers`: what a streamed reply tells at its end
//! - `models`: the list of models, in the form of each
//! - `openai_relay`: what of OpenAI's is no conversation: moderations, images, audio, files, batches
//! - `feedback`: what callers say of answers they were given
//! - `health`: `/healthz`, `/readyz`, `/metrics`

mod answer;
mod anthropic;
mod bedrock;
mod cohere;
mod feedback;
mod gemini;
mod health;
mod models;
mod ollama;
mod openai;
mod openai_relay;
mod trailers;

use crate::edge::Doors;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;

/// Prefixes below which other gateways have all surfaces, for their users to change the host alone.
const EVERYTHING: [&str; 3] = ["/litellm", "/langchain", "/pydanticai"];

/// The routes of the data surfaces, at the root and below the prefixes that users of other gateways expect.
pub fn routes(doors: Arc<Doors>) -> Router {
    let mut routes = everything()
        .nest("/openai", versioned(all_of_openai).nest("/deployments/{deployment}", openai::deployments()))
        .nest("/anthropic", versioned(|| anthropic::routes().merge(anthropic::models())))
        .nest("/genai", google())
        .nest("/bedrock", bedrock::routes())
        .nest(
            "/cohere",
            cohere::routes().merge(cohere::models()).nest("/v2", cohere::routes()).nest("/v1", cohere::models()),
        )
        .nest("/ollama", versioned(all_of_openai).nest("/api", ollama::routes()));
    for prefix in EVERYTHING {
        routes = routes.nest(prefix, everything());
    }
    routes.with_state(doors.clone()).merge(health_routes(doors))
}

/// The routes that tell how the gateway is.
pub fn health_routes(doors: Arc<Doors>) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::scrape))
        .with_state(doors)
}

/// Every surface where its vendor has it. OpenAI's and Anthropic's `/v1` may be left out, as some clients do.
fn everything() -> Router<Arc<Doors>> {
    let own = || {
        all_of_openai().merge(anthropic::routes()).merge(gemini::vertex()).route("/feedback", post(feedback::feedback))
    };
    versioned(own)
        .nest("/v1beta", gemini::routes())
        .nest("/v1beta1", gemini::routes())
        .nest("/v2", cohere::routes())
        .nest("/api", ollama::routes())
        .merge(bedrock::routes())
}

fn all_of_openai() -> Router<Arc<Doors>> {
    openai::routes().merge(openai_relay::routes())
}

/// Routes with and without `/v1`.
fn versioned(routes: impl Fn() -> Router<Arc<Doors>>) -> Router<Arc<Doors>> {
    routes().nest("/v1", routes())
}

fn google() -> Router<Arc<Doors>> {
    ["/v1", "/v1beta", "/v1beta1"]
        .into_iter()
        .fold(gemini::routes(), |routes, version| routes.nest(version, gemini::routes()))
}
