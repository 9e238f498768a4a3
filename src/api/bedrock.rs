//! The surfaces of AWS Bedrock's runtime. The model stands in the path.

use super::answer::{Frames, serve};
use crate::edge::Doors;
use crate::types::surface::Surface;
use crate::wire::request::InPath;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use std::sync::Arc;

type DoorsState = State<Arc<Doors>>;

/// The routes at the root.
pub(super) fn routes() -> Router<Arc<Doors>> {
    Router::new()
        .route("/model/{model}/converse", post(converse))
        .route("/model/{model}/converse-stream", post(converse_stream))
        .route("/model/{model}/invoke", post(invoke))
        .route("/model/{model}/invoke-with-response-stream", post(invoke_stream))
}

async fn converse(State(doors): DoorsState, Path(model): Path<String>, request: Request) -> Response {
    serve(doors, Surface::Converse, in_path(model, false), Frames::EventStream, request).await
}

async fn converse_stream(State(doors): DoorsState, Path(model): Path<String>, request: Request) -> Response {
    serve(doors, Surface::Converse, in_path(model, true), Frames::EventStream, request).await
}

async fn invoke(State(doors): DoorsState, Path(model): Path<String>, request: Request) -> Response {
    serve(doors, Surface::InvokeModel, in_path(model, false), Frames::EventStream, request).await
}

async fn invoke_stream(State(doors): DoorsState, Path(model): Path<String>, request: Request) -> Response {
    serve(doors, Surface::InvokeModel, in_path(model, true), Frames::EventStream, request).await
}

fn in_path(model: String, stream: bool) -> InPath {
    InPath { model: Some(model), stream }
}
