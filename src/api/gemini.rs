//! Google's surfaces: Gemini's paths and those of Vertex AI. The model and what is asked of it stand in the path, as in
//! `models/gemini-2.5-flash:streamGenerateContent`.

use super::answer::{Frames, serve};
use super::models;
use crate::edge::{Doors, reject};
use crate::types::surface::Surface;
use crate::wire::request::{InPath, MODEL_BYTES};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use std::sync::Arc;

/// The routes below `/v1beta` and the like.
pub(super) fn routes() -> Router<Arc<Doors>> {
    Router::new()
        .route("/models", get(list_models))
        .route("/models/{*rest}", get(model).post(action))
        .route("/tunedModels/{*rest}", post(action))
        .merge(vertex())
}

/// The routes of Vertex AI below `/v1` and the like.
pub(super) fn vertex() -> Router<Arc<Doors>> {
    Router::new()
        .route("/projects/{project}/locations/{location}/publishers/{publisher}/models/{*rest}", post(vertex_action))
        .route("/publishers/{publisher}/models/{*rest}", post(express_action))
}

/// `POST …/models/{model}:{action}`
pub(super) async fn action(State(doors): State<Arc<Doors>>, Path(rest): Path<String>, request: Request) -> Response {
    act(doors, &rest, request).await
}

async fn vertex_action(
    State(doors): State<Arc<Doors>>,
    Path((_, _, _, rest)): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    act(doors, &rest, request).await
}

async fn express_action(
    State(doors): State<Arc<Doors>>,
    Path((_, rest)): Path<(String, String)>,
    request: Request,
) -> Response {
    act(doors, &rest, request).await
}

async fn act(doors: Arc<Doors>, rest: &str, request: Request) -> Response {
    let Some((model, action)) = rest.rsplit_once(':').filter(|(model, _)| (1..=MODEL_BYTES).contains(&model.len()))
    else {
        return unknown(&request);
    };
    let sse = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    let (surface, stream, frames) = match action {
        "generateContent" => (Surface::GenerateContent, false, Frames::Sse),
        "streamGenerateContent" => (Surface::GenerateContent, true, if sse { Frames::Sse } else { Frames::Array }),
        "embedContent" | "batchEmbedContents" => (Surface::EmbedContent, false, Frames::Sse),
        "countTokens" => (Surface::CountContent, false, Frames::Sse),
        _ => return unknown(&request),
    };
    serve(doors, surface, InPath { model: Some(model.to_owned()), stream }, frames, request).await
}

fn unknown(request: &Request) -> Response {
    reject::reply_in(Surface::GenerateContent, &reject::unknown_path(request.uri()))
}

async fn list_models(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    models::list(&doors, Surface::GenerateContent, request).await
}

async fn model(State(doors): State<Arc<Doors>>, Path(model): Path<String>, request: Request) -> Response {
    models::one(&doors, Surface::GenerateContent, &model, request).await
}
