//! HTTP trailers (RFC 9110, section 6.5): what a streamed reply tells when it has ended, for callers that take them.

use crate::pipeline::Tail;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::TE;
use http::{HeaderName, HeaderValue, Version};
use http_body::Frame;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Does the caller take trailers? In HTTP/2 everybody does; in HTTP/1.1 who says so (RFC 9110, section 10.1.4). HTTP/1.0
/// has no place for them.
pub(super) fn are_taken(request: &Request) -> bool {
    match request.version() {
        Version::HTTP_2 => true,
        Version::HTTP_11 => {
            let lines = request.headers().get_all(TE).iter().filter_map(|line| line.to_str().ok());
            lines.flat_map(|line| line.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
        }
        _ => false,
    }
}

/// The value of `Trailer`.
pub(super) fn announced(tail: &Tail) -> Option<HeaderValue> {
    let names: Vec<HeaderName> = tail.announced().collect();
    HeaderValue::try_from(names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ")).ok()
}

/// A body with trailers behind it.
pub(super) struct Trailed {
    body: Body,
    /// Until it is told.
    tail: Option<Tail>,
    /// The body has ended: it is not asked again.
    ended: bool,
}

impl Trailed {
    pub(super) fn new(body: Body, tail: Tail) -> Trailed {
        Trailed { body, tail: Some(tail), ended: false }
    }
}

impl http_body::Body for Trailed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(None) => {
                self.ended = true;
                let trailers = self.tail.take().map(|tail| tail.fields()).filter(|map| !map.is_empty());
                Poll::Ready(trailers.map(|map| Ok(Frame::trailers(map))))
            }
            Poll::Ready(Some(Err(error))) => {
                self.tail = None;
                self.ended = true;
                Poll::Ready(Some(Err(error)))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.tail.is_none() && self.body.is_end_stream())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_has_ended_is_not_asked_again() {
        let pieces = [Ok::<_, std::io::Error>(Bytes::from_static(b"x"))];
        let once = futures_util::stream::unfold(pieces.into_iter(), |mut left| async { Some((left.next()?, left)) });
        let mut body = Trailed { body: Body::from_stream(once), tail: None, ended: false };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut poll = || http_body::Body::poll_frame(Pin::new(&mut body), &mut cx);
        assert!(matches!(poll(), Poll::Ready(Some(Ok(_)))));
        for _ in 0..3 {
            assert!(matches!(poll(), Poll::Ready(None)));
        }
    }

    #[test]
    fn only_who_can_read_trailers_takes_them() {
        let of = |version: Version, lines: &[&'static str]| {
            let mut request = Request::builder().version(version);
            for line in lines {
                request = request.header(TE, *line);
            }
            are_taken(&request.body(Body::empty()).unwrap())
        };
        let table = [
            (Version::HTTP_2, vec![], true),
            (Version::HTTP_11, vec![], false),
            (Version::HTTP_11, vec!["trailers"], true),
            (Version::HTTP_11, vec!["gzip;q=0.5", "deflate, Trailers"], true),
            (Version::HTTP_11, vec!["trailers-not"], false),
            (Version::HTTP_10, vec!["trailers"], false),
        ];
        for (version, lines, expected) in table {
            assert_eq!(of(version, &lines), expected, "{version:?} {lines:?}");
        }
    }
}
