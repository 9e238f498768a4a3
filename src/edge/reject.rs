//! `Error` → HTTP, the only place where that happens.

use crate::types::error::{Error, ErrorKind};
use crate::types::header::{self, ATTEMPTS};
use crate::types::surface::Surface;
use crate::wire::{bedrock, hub};
use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{StatusCode, Uri};

/// The reply that tells `error` in OpenAI's shape.
pub fn reply(error: &Error) -> Response {
    reply_in(Surface::ChatCompletions, error)
}

/// The reply that tells `error` in the shape of `surface`. A provider's own error reply is passed on as it came.
pub fn reply_in(surface: Surface, error: &Error) -> Response {
    let own = || (header::JSON, Body::from(hub::error_body(surface, error)));
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (status, (content_type, body)) = match (&error.reply, error.kind) {
        (Some(reply), ErrorKind::UpstreamStatus(_)) if !reply.body.is_empty() => {
            let content_type = reply.content_type.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
            (status, (content_type.unwrap_or(header::JSON), Body::from(reply.body.clone())))
        }
        // The gateway's own key was refused upstream: not the caller's fault.
        (_, ErrorKind::UpstreamStatus(401 | 403)) if error.code == Some("upstream_unauthorized") => {
            (StatusCode::BAD_GATEWAY, own())
        }
        _ => (status, own()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    if let Some(wait) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
    }
    if let Some(attempts) = error.attempts.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert(ATTEMPTS, attempts);
    }
    for (name, value) in error.headers.iter().flat_map(|told| told.iter()) {
        headers.insert(name.clone(), value.clone());
    }
    if matches!(surface, Surface::Converse | Surface::InvokeModel) {
        // The SDKs choose their exception by it.
        headers.insert("x-amzn-errortype", HeaderValue::from_static(bedrock::error::type_of(error)));
    }
    if error.kind == ErrorKind::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// No such path.
pub fn unknown_path(uri: &Uri) -> Error {
    let path: String = uri.path().chars().take(200).collect();
    let message = format!(
        "Unknown path {path}. This gateway serves /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings, \
         /v1/messages, /v1beta/models/MODEL:generateContent, /model/MODEL/converse, /v2/chat, /api/chat, /v1/models and more: see \
         docs/surfaces.md."
    );
    Error::new(ErrorKind::NotFound, message).with_code("unknown_url")
}
