//! One HTTP client per provider, and every failure classified.

use super::direct::{Direct, Driven, Failed};
use super::{Reply, outbound};
use crate::config;
use crate::types::error::{Error, ErrorKind, UpstreamReply};
use crate::types::header;
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyDataStream, BodyExt};
use reqwest::RequestBuilder;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// An error reply is kept up to this size.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// Sends requests to one base URL.
#[derive(Clone, Debug)]
pub(super) struct Http {
    pub(super) client: reqwest::Client,
    pub(super) name: Arc<str>,
    pub(super) base_url: String,
    /// For what goes there over plain HTTP.
    direct: Option<Direct>,
    first_byte_timeout: Duration,
    idle_timeout: Duration,
}

impl Http {
    pub(super) fn new(settings: &config::Provider) -> Result<Http, String> {
        Ok(Http {
            client: outbound::client(settings)?,
            name: settings.name.as_str().into(),
            base_url: settings.base_url.clone(),
            direct: Direct::to(settings),
            first_byte_timeout: settings.first_byte_timeout,
            idle_timeout: settings.idle_timeout,
        })
    }

    /// Posts `body` and waits for the head of the reply. An error status is an error.
    pub(super) async fn post(&self, url: &str, headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
        let response = self.post_any(url, headers, body).await?;
        if response.status.is_success() { Ok(response) } else { Err(self.refused(response).await) }
    }

    /// Posts `body` and waits for the head of the reply, whatever its status.
    pub(super) async fn post_any(&self, url: &str, headers: HeaderMap, body: Bytes) -> Result<Response, Error> {
        let Some((direct, path)) = self.direct.as_ref().and_then(|direct| Some((direct, direct.path(url)?))) else {
            return Ok(self.answered(self.client.post(url).headers(headers).body(body)).await?.into());
        };
        let answered = tokio::time::timeout(self.first_byte_timeout, direct.post(path, headers, body)).await;
        match answered.map_err(|_| self.timed_out("did not answer", self.first_byte_timeout))? {
            Ok(response) => Ok(response.into()),
            Err(Failed::ConnectTimeout) => Err(self.not_connected()),
            Err(Failed::Connect(why)) => Err(self.unreachable(&why)),
            Err(Failed::Broke(error)) => Err(self.broke(&chain(&error))),
        }
    }

    /// Sends `request` and waits for the head of the reply. An error status is an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, Error> {
        let response = self.answered(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response.into()).await)
    }

    /// Sends `request` and waits for the head of the reply, whatever its status.
    pub(super) async fn answered(&self, request: RequestBuilder) -> Result<reqwest::Response, Error> {
        tokio::time::timeout(self.first_byte_timeout, request.send())
            .await
            .map_err(|_| self.timed_out("did not answer", self.first_byte_timeout))?
            .map_err(|error| self.failed(&error))
    }

    /// The reply's body, which may not pause longer than the idle timeout.
    pub(super) fn reply(&self, response: impl Into<Response>) -> Reply {
        let response = response.into();
        let content_type = response.headers.get(CONTENT_TYPE).cloned().unwrap_or(header::JSON);
        let headers = passed_on(&response.headers);
        Reply { content_type, headers, dropped: Vec::new(), usage_added: false, body: self.body(response.pieces) }
    }

    fn body(&self, pieces: Pieces) -> BoxStream<'static, Result<Bytes, Error>> {
        let http = self.clone();
        futures_util::stream::unfold((Some(pieces), http), |(pieces, http)| async move {
            let mut pieces = pieces?;
            match tokio::time::timeout(http.idle_timeout, pieces.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), (Some(pieces), http))),
                Ok(Some(Err(why))) => {
                    let broken = Error::new(
                        ErrorKind::UpstreamBroken,
                        format!("Provider `{}` broke off in the middle of its answer: {why}.", http.name),
                    );
                    Some((Err(broken), (None, http)))
                }
                Err(_) => {
                    let stalled = http.timed_out("sent nothing more", http.idle_timeout);
                    Some((Err(stalled), (None, http)))
                }
            }
        })
        .boxed()
    }

    /// The error that a reply with an error status is; the reply is kept in it.
    pub(super) async fn refused(&self, response: Response) -> Error {
        let status = response.status.as_u16();
        let now = std::time::SystemTime::now();
        let retry_after = response.header("retry-after").and_then(|text| retry_after(text, now));
        let content_type = response.header("content-type").map(str::to_owned);
        let mut body = Vec::new();
        let mut pieces = self.body(response.pieces);
        while let Some(Ok(piece)) = pieces.next().await {
            body.extend_from_slice(&piece[..piece.len().min(ERROR_BODY_BYTES - body.len())]);
            if body.len() == ERROR_BODY_BYTES {
                break;
            }
        }
        let kind = if status < 400 { ErrorKind::UpstreamBroken } else { ErrorKind::UpstreamStatus(status) };
        let message = match kind {
            ErrorKind::UpstreamBroken => {
                format!("Provider `{}` answered with status {status}; redirects are not followed.", self.name)
            }
            _ => format!("Provider `{}` answered with status {status}.", self.name),
        };
        let reply = UpstreamReply { status, content_type, body: body.into() };
        Error { retry_after, reply: Some(reply), ..Error::new(kind, message) }
    }

    fn failed(&self, error: &reqwest::Error) -> Error {
        match (error.is_timeout(), error.is_connect()) {
            (true, _) => self.not_connected(),
            (false, true) => self.unreachable(&chain(error)),
            (false, false) => self.broke(&chain(error)),
        }
    }

    fn not_connected(&self) -> Error {
        let message = format!("Provider `{}` could not be connected to in time.", self.name);
        Error::new(ErrorKind::UpstreamTimeout, message)
    }

    fn unreachable(&self, why: &str) -> Error {
        let message = format!("Provider `{}` cannot be reached: {why}.", self.name);
        Error::new(ErrorKind::UpstreamUnreachable, message)
    }

    fn broke(&self, why: &str) -> Error {
        let message = format!("Provider `{}` broke off before it answered: {why}.", self.name);
        Error::new(ErrorKind::UpstreamBroken, message)
    }

    fn timed_out(&self, what: &str, after: Duration) -> Error {
        let message = format!("Provider `{}` {what} within {} ms.", self.name, after.as_millis());
        Error::new(ErrorKind::UpstreamTimeout, message)
    }
}

/// A reply, whoever fetched it.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pieces: Pieces,
}

impl Response {
    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl From<http::Response<Driven>> for Response {
    fn from(response: http::Response<Driven>) -> Response {
        let (parts, body) = response.into_parts();
        let pieces = Pieces::Direct(body.into_data_stream());
        Response { status: parts.status, headers: parts.headers, pieces }
    }
}

impl From<reqwest::Response> for Response {
    fn from(mut response: reqwest::Response) -> Response {
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        Response { status, headers, pieces: Pieces::Client(response.bytes_stream().boxed()) }
    }
}

/// The pieces of a body. The error is the innermost reason.
enum Pieces {
    Direct(BodyDataStream<Driven>),
    Client(BoxStream<'static, reqwest::Result<Bytes>>),
}

impl Stream for Pieces {
    type Item = Result<Bytes, String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        match &mut *self {
            Pieces::Direct(pieces) => pieces.poll_next_unpin(cx).map_err(|error| chain(&error)),
            Pieces::Client(pieces) => pieces.poll_next_unpin(cx).map_err(|error| chain(&error)),
        }
    }
}

/// The innermost reason; the URL is left out, since it may hold what callers should not see.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// `Retry-After`, as seconds or as a date.
fn retry_after(text: &str, now: std::time::SystemTime) -> Option<Duration> {
    match text.trim().parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Some(Duration::from_secs_f64(seconds.min(86_400.0))),
        Ok(_) => None,
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

/// Rate limits and the provider's own request id help the caller; the rest is between us and the provider.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let ours = ["x-ratelimit-", "openai-", "anthropic-ratelimit-"];
    let keep = |name: &str| ours.iter().any(|beginning| name.starts_with(beginning));
    let kept = headers.iter().filter(|(name, _)| keep(name.as_str()));
    let id = headers.get("x-request-id").or_else(|| headers.get("request-id"));
    let id = id.map(|id| (header::UPSTREAM_REQUEST_ID, id.clone()));
    kept.map(|(name, value)| (name.clone(), value.clone())).chain(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn reads_retry_after() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let table = [
            ("2", Some(2.0)),
            (" 0.5 ", Some(0.5)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10.0)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0.0)),
            ("1e30", Some(86_400.0)),
        ];
        for (text, expected) in table {
            assert_eq!(retry_after(text, now).map(|wait| wait.as_secs_f64()), expected, "{text}");
        }
        assert!(retry_after("1", SystemTime::now()).is_some());
    }
}
