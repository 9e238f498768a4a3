//! Anthropic's surfaces.

use super::answer::{Frames, serve};
use super::models;
use crate::edge::Doors;
use crate::types::surface::Surface;
use crate::wire::request::InPath;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use std::sync::Arc;

/// The routes below a base URL that ends in `/v1` or at the root; at the root the list of models is one
/// with OpenAI's.
pub(super) fn routes() -> Router<Arc<Doors>> {
    Router::new().route("/messages", post(messages)).route("/messages/count_tokens", post(count_tokens))
}

/// The list of models, in Anthropic's form.
pub(super) fn models() -> Router<Arc<Doors>> {
    Router::new().route("/models", get(list_models)).route("/models/{*model}", get(model))
}

async fn list_models(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    models::list(&doors, Surface::Messages, request).await
}

async fn model(State(doors): State<Arc<Doors>>, Path(model): Path<String>, request: Request) -> Response {
    models::one(&doors, Surface::Messages, &model, request).await
}

async fn messages(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    serve(doors, Surface::Messages, InPath::default(), Frames::Sse, request).await
}

async fn count_tokens(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    serve(doors, Surface::CountTokens, InPath::default(), Frames::Sse, request).await
}
