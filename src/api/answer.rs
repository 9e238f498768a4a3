//! What all doors for JSON requests have in common: a request is read, goes through the pass, and its reply goes out in the
//! frames that its caller expects.

use super::trailers::{self, Trailed};
use crate::edge::entrance::enter;
use crate::edge::{Doors, RequestId, body, caller, reject};
use crate::pipeline::{Inbound, Reply, ReplyBody};
use crate::types::caller::Caller;
use crate::types::directives::Directives;
use crate::types::error::{Error, ErrorKind};
use crate::types::header;
use crate::types::surface::Surface;
use crate::wire::gemini::array::ArrayForm;
use crate::wire::request::InPath;
use crate::wire::{event_stream, ndjson, rerank};
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, TRAILER};
use http::request::Parts;
use std::sync::Arc;
use std::time::Instant;

/// How the events of a stream go out. Inside they are server-sent events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frames {
    /// As they are.
    Sse,
    /// As the items of one JSON list, as Gemini writes them where `alt=sse` is not asked for.
    Array,
    /// As AWS event stream messages.
    EventStream,
    /// As lines of JSON, as Ollama writes them.
    Lines,
}

/// Turns server-sent events into other frames: bytes in, bytes out; `None` is the end.
type Framer = Box<dyn FnMut(Option<&[u8]>) -> Bytes + Send>;

impl Frames {
    fn content_type(self) -> Option<&'static str> {
        match self {
            Frames::Sse => None,
            Frames::Array => Some("application/json; charset=UTF-8"),
            Frames::EventStream => Some("application/vnd.amazon.eventstream"),
            Frames::Lines => Some(ndjson::CONTENT_TYPE),
        }
    }

    fn framer(self) -> Option<Framer> {
        match self {
            Frames::Sse => None,
            Frames::Array => {
                let mut list = ArrayForm::default();
                Some(Box::new(move |piece| {
                    let mut out = Vec::new();
                    match piece {
                        // The pipeline has a limit of its own for an event, which is below the list's.
                        Some(piece) => drop(list.push(piece, &mut out)),
                        None => list.finish(&mut out),
                    }
                    out.into()
                }))
            }
            Frames::EventStream => {
                let mut messages = event_stream::FromSse::default();
                Some(Box::new(move |piece| {
                    let mut out = Vec::new();
                    // The end of the connection is the end of the stream; there is no last message.
                    messages.push(piece.unwrap_or_default(), &mut out);
                    out.into()
                }))
            }
            Frames::Lines => {
                let mut lines = ndjson::FromSse::default();
                Some(Box::new(move |piece| {
                    let mut out = Vec::new();
                    match piece {
                        Some(piece) => lines.push(piece, &mut out),
                        None => lines.finish(&mut out),
                    }
                    out.into()
                }))
            }
        }
    }
}

/// Serves one request of `surface`. Boxed here, so that the router's services have a small future to move.
pub(super) fn serve(
    doors: Arc<Doors>,
    surface: Surface,
    path: InPath,
    frames: Frames,
    request: Request,
) -> BoxFuture<'static, Response> {
    let arrived = Instant::now();
    Box::pin(async move {
        let trailers = trailers::are_taken(&request);
        let mut surface = surface;
        match answer(&doors, &mut surface, path, request, arrived).await {
            Ok(reply) => send(reply, frames, trailers),
            Err(error) => reject::reply_in(surface, &error),
        }
    })
}

/// `surface` is that of the door; where one door is for two, it becomes that of the body.
async fn answer(
    doors: &Arc<Doors>,
    surface: &mut Surface,
    path: InPath,
    request: Request,
    arrived: Instant,
) -> Result<Reply, Error> {
    let (parts, body) = request.into_parts();
    let (caller, directives) = match admitted(doors, &parts, *surface).await {
        Ok(admitted) => admitted,
        Err(error) => {
            body::skip(body).await;
            return Err(error);
        }
    };
    let (headers, told) = (caller::passed_on(&parts.headers), caller::told(&parts.headers));
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let body = body::read(&doors.edge, Request::from_parts(parts, body)).await?;
    if rerank::is_rerank(*surface) {
        *surface = rerank::surface_of(&body);
    }
    let inbound = Inbound { surface: *surface, path, caller, directives, headers, told, request_id, arrived, body };
    doors.pipeline.serve(inbound).await
}

/// Who asks, and what of the cache; what can be said before the body is read.
async fn admitted(doors: &Doors, parts: &Parts, surface: Surface) -> Result<(Caller, Directives), Error> {
    let entered = enter(doors, parts, Some(surface)).await?;
    is_json(&parts.headers)?;
    Ok(entered)
}

/// Who asks, of a request without a body.
pub(super) async fn caller(doors: &Doors, request: Request) -> Result<Caller, Error> {
    let (parts, _) = request.into_parts();
    Ok(enter(doors, &parts, None).await?.0)
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

/// The reply as HTTP. What it tells at its end goes out where the caller takes `trailers`.
pub(super) fn send(reply: Reply, frames: Frames, trailers: bool) -> Response {
    let streamed = header::is_events(&reply.content_type);
    let framer = if streamed { frames.framer() } else { None };
    let body = match (reply.body, framer) {
        (ReplyBody::Full(bytes), None) => Body::from(bytes),
        (ReplyBody::Full(bytes), Some(mut framer)) => Body::from([framer(Some(&bytes)), framer(None)].concat()),
        (ReplyBody::Stream(pieces), None) => Body::from_stream(pieces.map(as_event)),
        (ReplyBody::Stream(pieces), Some(framer)) => Body::from_stream(framed(pieces.map(as_event).boxed(), framer)),
    };
    let tail = reply.tail.filter(|_| trailers);
    let announced = tail.as_ref().and_then(trailers::announced);
    let body = match tail {
        Some(tail) => Body::new(Trailed::new(body, tail)),
        None => body,
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    *headers = reply.headers;
    if let Some(names) = announced {
        headers.insert(TRAILER, names);
    }
    let framed = frames.content_type().filter(|_| streamed).map(HeaderValue::from_static);
    headers.insert(CONTENT_TYPE, framed.unwrap_or(reply.content_type));
    if streamed {
        // Proxies in front must not hold events back.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    response
}

/// The pieces of a stream in other frames.
fn framed(
    pieces: BoxStream<'static, Result<Bytes, Error>>,
    framer: Framer,
) -> impl futures_util::Stream<Item = Result<Bytes, Error>> {
    stream::unfold(Some((pieces, framer)), |state| async move {
        let (mut pieces, mut framer) = state?;
        match pieces.next().await {
            Some(Ok(piece)) => {
                let out = framer(Some(&piece));
                Some((Ok(out), Some((pieces, framer))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Ok(framer(None)), None)),
        }
    })
}

/// A failure in the middle of a stream goes out as the dialect's error event, and the stream ends.
fn as_event(piece: Result<Bytes, Error>) -> Result<Bytes, Error> {
    piece.or_else(|error| match &error.reply {
        Some(event) => Ok(event.body.clone()),
        None => Err(error),
    })
}

/// A JSON reply.
pub(super) fn json(value: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
