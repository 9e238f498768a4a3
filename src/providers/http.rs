//! One HTTP client per provider, and every failure classified.

use super::{Reply, outbound};
use crate::config;
use crate::types::error::{Error, ErrorKind, UpstreamReply};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::{RequestBuilder, Response};
use std::sync::Arc;
use std::time::Duration;

/// An error reply is kept up to this size.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// Sends requests to one base URL.
#[derive(Clone, Debug)]
pub(super) struct Http {
    pub(super) client: reqwest::Client,
    pub(super) name: Arc<str>,
    pub(super) base_url: String,
    first_byte_timeout: Duration,
    idle_timeout: Duration,
}

impl Http {
    pub(super) fn new(settings: &config::Provider) -> Result<Http, String> {
        Ok(Http {
            client: outbound::client(settings)?,
            name: settings.name.as_str().into(),
            base_url: settings.base_url.clone(),
            first_byte_timeout: settings.first_byte_timeout,
            idle_timeout: settings.idle_timeout,
        })
    }

    /// Sends `request` and waits for the head of the reply. An error status is an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response = self.answered(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response).await)
    }

    /// Sends `request` and waits for the head of the reply, whatever its status.
    pub(super) async fn answered(&self, request: RequestBuilder) -> Result<Response, Error> {
        tokio::time::timeout(self.first_byte_timeout, request.send())
            .await
            .map_err(|_| self.timed_out("did not answer", self.first_byte_timeout))?
            .map_err(|error| self.failed(&error))
    }

    /// The reply's body, which may not pause longer than the idle timeout.
    pub(super) fn reply(&self, response: Response) -> Reply {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type = header("content-type").unwrap_or("application/json").to_owned();
        let headers = passed_on(response.headers());
        Reply { content_type, headers, dropped: Vec::new(), usage_added: false, body: self.body(response) }
    }

    fn body(&self, response: Response) -> BoxStream<'static, Result<Bytes, Error>> {
        let http = self.clone();
        let body = Some(Box::pin(response.bytes_stream()));
        futures_util::stream::unfold((body, http), |(body, http)| async move {
            let mut body = body?;
            match tokio::time::timeout(http.idle_timeout, body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), (Some(body), http))),
                Ok(Some(Err(error))) => {
                    let broken = Error::new(
                        ErrorKind::UpstreamBroken,
                        format!("Provider `{}` broke off in the middle of its answer: {}.", http.name, chain(&error)),
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
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after(text, std::time::SystemTime::now()));
        let content_type =
            response.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        let mut pieces = self.body(response);
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
        if error.is_timeout() {
            return Error::new(
                ErrorKind::UpstreamTimeout,
                format!("Provider `{}` could not be connected to in time.", self.name),
            );
        }
        let kind = if error.is_connect() { ErrorKind::UpstreamUnreachable } else { ErrorKind::UpstreamBroken };
        let what = if error.is_connect() { "cannot be reached" } else { "broke off before it answered" };
        Error::new(kind, format!("Provider `{}` {what}: {}.", self.name, chain(error)))
    }

    fn timed_out(&self, what: &str, after: Duration) -> Error {
        let message = format!("Provider `{}` {what} within {} ms.", self.name, after.as_millis());
        Error::new(ErrorKind::UpstreamTimeout, message)
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
fn passed_on(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let ours = ["x-ratelimit-", "openai-", "anthropic-ratelimit-"];
    let keep = |name: &str| ours.iter().any(|beginning| name.starts_with(beginning));
    let mut passed: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| keep(name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    if let Some(id) =
        headers.get("x-request-id").or_else(|| headers.get("request-id")).and_then(|value| value.to_str().ok())
    {
        passed.push(("x-upstream-request-id".to_owned(), id.to_owned()));
    }
    passed
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
