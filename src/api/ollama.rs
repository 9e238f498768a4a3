//! Ollama's surfaces. What is asked of a model streams unless it is told not to, in lines of JSON.

use super::answer::{Frames, json, serve};
use super::models;
use crate::edge::Doors;
use crate::types::surface::Surface;
use crate::wire::request::InPath;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;

type DoorsState = State<Arc<Doors>>;

/// The version of Ollama whose API this is: clients ask for it, and want no older one than they were written for.
const VERSION: &str = "0.13.3";

/// The routes below `/api`.
pub(super) fn routes() -> Router<Arc<Doors>> {
    Router::new()
        .route("/chat", post(chat))
        .route("/embed", post(embed))
        .route("/tags", get(tags))
        .route("/version", get(version))
}

async fn chat(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::OllamaChat, InPath::default(), Frames::Lines, request).await
}

async fn embed(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::OllamaEmbed, InPath::default(), Frames::Lines, request).await
}

async fn tags(State(doors): DoorsState, request: Request) -> Response {
    models::list(&doors, Surface::OllamaChat, request).await
}

async fn version() -> Response {
    json(&json!({"version": VERSION}))
}
