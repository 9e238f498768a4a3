//! The OpenAI surfaces.

use super::answer::{Frames, serve};
use super::{gemini, models};
use crate::edge::{Doors, reject};
use crate::types::surface::Surface;
use crate::wire::request::InPath;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use std::sync::Arc;

type DoorsState = State<Arc<Doors>>;

/// The routes below a base URL that ends in `/v1` or at the root.
pub(super) fn routes() -> Router<Arc<Doors>> {
    Router::new()
        .route("/chat/completions", post(chat_completions))
        .route("/completions", post(completions))
        .route("/embeddings", post(embeddings))
        .route("/responses", post(responses))
        .route("/responses/input_tokens", post(input_tokens))
        .route("/rerank", post(rerank))
        .route("/models", get(list_models))
        .route("/models/{*model}", get(model).post(gemini::action))
}

/// The routes below `/openai/deployments/{deployment}`, where Azure's SDKs tell the model in the path.
pub(super) fn deployments() -> Router<Arc<Doors>> {
    Router::new()
        .route("/chat/completions", post(deployed_chat))
        .route("/completions", post(deployed_completions))
        .route("/embeddings", post(deployed_embeddings))
}

async fn chat_completions(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::ChatCompletions, InPath::default(), Frames::Sse, request).await
}

async fn completions(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::Completions, InPath::default(), Frames::Sse, request).await
}

async fn embeddings(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::Embeddings, InPath::default(), Frames::Sse, request).await
}

async fn responses(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::Responses, InPath::default(), Frames::Sse, request).await
}

async fn input_tokens(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::InputTokens, InPath::default(), Frames::Sse, request).await
}

async fn rerank(State(doors): DoorsState, request: Request) -> Response {
    serve(doors, Surface::Rerank, InPath::default(), Frames::Sse, request).await
}

async fn deployed_chat(State(doors): DoorsState, Path(model): Path<String>, request: Request) -> Response {
    serve(doors, Surface::ChatCompletions, deployment(model), Frames::Sse, request).await
}

async fn deployed_completions(State(doors): DoorsState, Path(model): Path<String>, request: Request) -> Response {
    serve(doors, Surface::Completions, deployment(model), Frames::Sse, request).await
}

async fn deployed_embeddings(State(doors): DoorsState, Path(model): Path<String>, request: Request) -> Response {
    serve(doors, Surface::Embeddings, deployment(model), Frames::Sse, request).await
}

fn deployment(model: String) -> InPath {
    InPath { model: Some(model), stream: false }
}

/// `GET /v1/models`, which several vendors have.
async fn list_models(State(doors): DoorsState, request: Request) -> Response {
    models::list(&doors, models::form(request.headers()), request).await
}

/// `GET /v1/models/{model}`, which several vendors have.
async fn model(
    State(doors): DoorsState,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    request: Request,
) -> Response {
    let form = models::form(request.headers());
    match path {
        Ok(Path(model)) => models::one(&doors, form, &model, request).await,
        Err(_) => reject::reply_in(form, &reject::unknown_path(request.uri())),
    }
}
