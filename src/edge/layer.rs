//! The layer around all routes: what every request goes through, whatever it asks for.
//!
//! A request id in and out, a panic that harms no other request, a limit on requests in flight, and, where the gateway is
//! open on loopback, a check of the `Host` that keeps other people's web pages out.

use super::{Doors, dialect, reject, whence};
use crate::types::error::{Error, ErrorKind};
use crate::types::ids::{INSTANCE_HEADER, instance, random};
use crate::types::surface::Surface;
use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::Service;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, taken from the caller or made here.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Puts the edge around `routes`: it comes last, so that it covers every route there is.
pub fn around(routes: Router, doors: Arc<Doors>) -> Router {
    let routes = routes
        .fallback(
            |uri: OriginalUri| async move { reject::reply_in(dialect::of(uri.path()), &reject::unknown_path(&uri)) },
        )
        .method_not_allowed_fallback(|uri: OriginalUri, method: Method| async move {
            let message = format!("{} is not served with {method}.", uri.path());
            let error = Error::new(ErrorKind::MethodNotAllowed, message).with_code("method_not_allowed");
            reject::reply_in(dialect::of(uri.path()), &error)
        });
    Router::new().fallback_service(Around { routes, doors })
}

/// What is around all routes at once: a layer of each route would be copied with it for each request.
#[derive(Clone)]
struct Around {
    routes: Router,
    doors: Arc<Doors>,
}

impl Service<Request> for Around {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Around { routes, doors } = self.clone();
        Box::pin(async move { Ok(pass(doors, request, routes).await) })
    }
}

/// The answer of `routes`; that of a defect where one of them panics.
async fn answered(mut routes: Router, request: Request) -> Response {
    let answer = AssertUnwindSafe(async move { Service::<Request>::call(&mut routes, request).await });
    match answer.catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_) => {
            tracing::error!("a request panicked; this is a defect of the gateway, and no other request is harmed");
            reject::reply(&Error::new(ErrorKind::Internal, "The gateway failed on this request."))
        }
    }
}

async fn pass(doors: Arc<Doors>, mut request: Request, routes: Router) -> Response {
    whence::tell(&doors.trusted_proxies.load(), &mut request);
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let surface = dialect::of(request.uri().path());
    let mut response = match Admitted::take(&doors, &request) {
        Ok(admitted) => {
            let response = answered(routes, request).await;
            // Held until the last byte is out.
            response.map(|body| Body::new(Held { body, _admitted: admitted }))
        }
        Err(error) => reject::reply_in(surface, &error),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        let own = match surface {
            Surface::Messages => Some(HeaderName::from_static("request-id")),
            Surface::Converse => Some(HeaderName::from_static("x-amzn-requestid")),
            _ => None,
        };
        for name in own.into_iter().chain([REQUEST_ID]) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// A place among the requests in flight.
struct Admitted(Arc<Doors>);

impl Admitted {
    fn take(doors: &Arc<Doors>, request: &Request) -> Result<Admitted, Error> {
        if doors.loopback_only.load(Ordering::Relaxed)
            && !(is_loopback(request.headers()) && is_loopback_target(request.uri()))
        {
            let message = "This gateway is open and listens on loopback only, so it takes no requests for other hosts. \
                           Use 127.0.0.1 or localhost, or configure keys.";
            return Err(Error::new(ErrorKind::Forbidden, message).with_code("wrong_host"));
        }
        if request.headers().get(INSTANCE_HEADER).is_some_and(|value| value == instance()) {
            let message = "This gateway is its own provider: a `base_url`, or what stands behind it, leads back here.";
            return Err(Error::new(ErrorKind::LoopDetected, message).with_code("loop_detected"));
        }
        let before = doors.in_flight.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted(doors.clone());
        // Whoever watches over the process must not take a full gateway for a dead one.
        let watching = matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics");
        if before >= doors.edge.in_flight && !watching {
            let message = format!("{before} requests are in flight, the most this gateway takes (`limits.in_flight`).");
            let error = Error::new(ErrorKind::Overloaded, message).with_code("overloaded");
            return Err(Error { retry_after: Some(Duration::from_secs(1)), ..error });
        }
        Ok(admitted)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that holds its request's place until it ends.
struct Held {
    body: Body,
    _admitted: Admitted,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The caller's own id when it is plain and short, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let plain = |text: &&str| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
    };
    match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain) {
        Some(id) => id.to_owned(),
        None => ["req_", &random(24)].concat(),
    }
}

/// A web page elsewhere can make a browser ask us, but not under a loopback name.
fn is_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|value| value.to_str().ok()) else {
        return true;
    };
    is_loopback_name(host)
}

/// In HTTP/2 the name stands in the target, as it may in HTTP/1.
fn is_loopback_target(uri: &Uri) -> bool {
    uri.authority().is_none_or(|authority| is_loopback_name(authority.as_str()))
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_loopback_hosts() {
        let of = |host: &'static str| is_loopback(&HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]));
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "127.8.8.8"] {
            assert!(of(host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "10.0.0.1", ""] {
            assert!(!of(host), "{host}");
        }
    }

    #[test]
    fn request_ids_are_plain() {
        let of = |id: &'static str| request_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))]));
        assert_eq!(of("abc-1_2.3:4"), "abc-1_2.3:4");
        assert!(of("a b").starts_with("req_") && of("").starts_with("req_"));
        assert_eq!(request_id(&HeaderMap::new()).len(), 28);
    }
}
