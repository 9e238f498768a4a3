//! Cohere's surfaces, version 2.

use super::answer::{Frames, serve};
use super::models;
use crate::edge::Doors;
use crate::types::surface::Surface;
use crate::wire::request::InPath;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use std::sync::Arc;

type DoorsState = State<Arc<Doors>>;

/// The routes below `/v2`.
pub(super) fn routes() -> Router<Arc<Doors>> {
    Router::new().route("/chat", post(chat)).route("/embed", post(embed)).route("/rerank", post(rerank))
}

/// The list of models, which Cohere has below `/v1`.
pub(super) fn models() -> Router<Arc<Doors>> {
    Router::new().route("/models", get(list_models))
}

async fn chat(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::CohereChat, InPath::default(), Frames::Sse, request).await
}

async fn embed(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::CohereEmbed, InPath::default(), Frames::Sse, request).await
}

async fn rerank(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::Rerank, InPath::default(), Frames::Sse, request).await
}

async fn list_models(State(doors): DoorsState, request: Request) -> Response {
    models::list(&doors, Surface::CohereChat, request).await
}
