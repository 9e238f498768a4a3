//! The OpenAI surface.

use crate::edge::{Doors, RequestId, body, caller, reject};
use crate::pipeline::{Inbound, Reply, ReplyBody};
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

pub(super) async fn chat_completions(doors: State<Arc<Doors>>, request: Request) -> Response {
    serve(doors, Surface::ChatCompletions, request).await
}

pub(super) async fn completions(doors: State<Arc<Doors>>, request: Request) -> Response {
    serve(doors, Surface::Completions, request).await
}

pub(super) async fn embeddings(doors: State<Arc<Doors>>, request: Request) -> Response {
    serve(doors, Surface::Embeddings, request).await
}

async fn serve(State(doors): State<Arc<Doors>>, surface: Surface, request: Request) -> Response {
    let arrived = Instant::now();
    match answer(&doors, surface, request, arrived).await {
        Ok(reply) => send(reply),
        Err(error) => reject::reply(&error),
    }
}

async fn answer(doors: &Arc<Doors>, surface: Surface, request: Request, arrived: Instant) -> Result<Reply, Error> {
    let headers = request.headers();
    let caller = doors.keys.load().caller(caller::bearer(headers))?;
    is_json(headers)?;
    let inbound = Inbound {
        surface,
        caller,
        directives: caller::directives(headers)?,
        headers: caller::passed_on(headers),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        arrived,
        body: body::read(&doors.edge, request).await?,
    };
    doors.pipeline.serve(inbound).await
}

/// A web page elsewhere can send plain text without asking; JSON it cannot.
pub(super) fn is_json(headers: &HeaderMap) -> Result<(), Error> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no content type");
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = format!("The body must be sent as `Content-Type: application/json`; got {kind}.");
    Err(Error::new(ErrorKind::UnsupportedMedia, message).with_code("unsupported_media_type"))
}

fn send(reply: Reply) -> Response {
    let body = match reply.body {
        ReplyBody::Full(bytes) => Body::from(bytes),
        ReplyBody::Stream(pieces) => Body::from_stream(pieces.map(as_event)),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&reply.content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    if reply.content_type.starts_with("text/event-stream") {
        // Proxies in front must not hold events back.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}

/// A failure in the middle of a stream goes out as the dialect's error event, and the stream ends.
fn as_event(piece: Result<Bytes, Error>) -> Result<Bytes, Error> {
    piece.or_else(|error| match &error.reply {
        Some(event) => Ok(event.body.clone()),
        None => Err(error),
    })
}

/// `GET /v1/models`
pub(super) async fn models(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    if let Err(error) = doors.keys.load().caller(caller::bearer(request.headers())) {
        return reject::reply(&error);
    }
    let data: Vec<serde_json::Value> = listed(&doors).iter().map(|(id, owner)| model_object(id, owner)).collect();
    axum_json(&serde_json::json!({"object": "list", "data": data}))
}

/// `GET /v1/models/{model}`
pub(super) async fn model(State(doors): State<Arc<Doors>>, Path(model): Path<String>, request: Request) -> Response {
    if let Err(error) = doors.keys.load().caller(caller::bearer(request.headers())) {
        return reject::reply(&error);
    }
    match listed(&doors).into_iter().find(|(id, _)| *id == model) {
        Some((id, owner)) => axum_json(&model_object(&id, &owner)),
        None => {
            let message = format!("The model `{model}` does not exist. GET /v1/models lists the models.");
            let error = Error { param: Some("model".into()), ..Error::new(ErrorKind::NotFound, message) };
            reject::reply(&error.with_code("model_not_found"))
        }
    }
}

/// Configured names first, then what the providers say they have; each name once.
fn listed(doors: &Doors) -> Vec<(String, String)> {
    let setup = doors.pipeline.setup();
    let configured: BTreeSet<&str> = setup.router.names().collect();
    let mut models: Vec<(String, String)> =
        configured.iter().map(|name| ((*name).to_owned(), "askonce".to_owned())).collect();
    let mut seen: BTreeSet<String> = configured.iter().map(|name| (*name).to_owned()).collect();
    for (model, provider) in setup.registry.models() {
        if seen.insert(model.clone()) {
            models.push((model, provider));
        }
    }
    models
}

fn model_object(id: &str, owner: &str) -> serde_json::Value {
    serde_json::json!({"id": id, "object": "model", "created": 0, "owned_by": owner})
}

pub(super) fn axum_json(value: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
