//! `Idempotency-Key`: who makes something at the admin surface and never hears the answer may send the request again, with the same
//! key, and gets that answer; nothing is done twice.
//!
//! After <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>: the same key with another body is refused
//! (400), and so is one whose first request is still under way (409). Answers are kept in memory, for a day at most: secrets
//! of keys and tokens are among them.

use super::{Doors, body};
use crate::types::error::{Error, ErrorKind};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The header that names a request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key, in bytes.
const KEY_BYTES: usize = 255;
/// Answers are kept so long, and no more of them than that.
const KEPT_MS: u64 = 86_400_000;
const MOST: usize = 10_000;
const MOST_BYTES: usize = 16 << 20;

/// Requests that were named, and what was answered.
#[derive(Debug, Default)]
pub struct Idempotency(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    known: HashMap<[u8; 32], Known>,
    /// In the order in which they were answered.
    order: VecDeque<[u8; 32]>,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    /// The digest of the body.
    asked: [u8; 32],
    /// None while it is under way.
    answer: Option<Arc<Answer>>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    at_ms: u64,
}

/// On a response that tells what was done before, and not now.
#[derive(Clone, Debug)]
pub(super) struct Replayed;

/// What is to become of a request.
enum Begun<'i> {
    First(UnderWay<'i>),
    Again(Arc<Answer>),
    Busy,
    Another,
}

/// The first request of its name. Dropped without an answer, it was none.
struct UnderWay<'i> {
    all: &'i Idempotency,
    id: [u8; 32],
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut kept = self.all.0.lock();
        if kept.known.get(&self.id).is_some_and(|known| known.answer.is_none()) {
            kept.known.remove(&self.id);
        }
    }
}

impl Idempotency {
    fn begin(&self, id: [u8; 32], asked: [u8; 32], now_ms: u64) -> Begun<'_> {
        let mut kept = self.0.lock();
        kept.forget(now_ms);
        match kept.known.get(&id) {
            Some(known) if known.asked != asked => Begun::Another,
            Some(Known { answer: Some(answer), .. }) => Begun::Again(answer.clone()),
            Some(_) => Begun::Busy,
            None => {
                kept.known.insert(id, Known { asked, answer: None });
                Begun::First(UnderWay { all: self, id })
            }
        }
    }
}

impl Kept {
    /// Takes away what is too old, or too much.
    fn forget(&mut self, now_ms: u64) {
        while let Some(first) = self.order.front() {
            let answer = self.known.get(first).and_then(|known| known.answer.clone());
            let is_old = answer.as_ref().is_none_or(|answer| answer.at_ms.saturating_add(KEPT_MS) <= now_ms);
            if !is_old && self.order.len() <= MOST && self.bytes <= MOST_BYTES {
                return;
            }
            self.bytes -= answer.map_or(0, |answer| answer.body.len());
            self.known.remove(first);
            self.order.pop_front();
        }
    }
}

impl UnderWay<'_> {
    fn done(self, answer: Answer) {
        let mut kept = self.all.0.lock();
        let at_ms = answer.at_ms;
        kept.bytes += answer.body.len();
        if let Some(known) = kept.known.get_mut(&self.id) {
            known.answer = Some(Arc::new(answer));
        }
        kept.order.push_back(self.id);
        kept.forget(at_ms);
    }
}

/// Has `run` answer a request of `who`, unless it bears the name of one that was answered.
pub(super) async fn once<F: Future<Output = Response>>(
    doors: &Doors,
    who: &str,
    request: Request,
    run: impl FnOnce(Request) -> F,
) -> Result<Response, Error> {
    // SCIM has no such header.
    let takes_one = request.method() == Method::POST && !request.uri().path().starts_with("/scim/");
    let Some(key) = request.headers().get(KEY).filter(|_| takes_one) else {
        return Ok(run(request).await);
    };
    let name = read(key)?;
    let mut hasher = blake3::Hasher::new_derive_key("askonce 2026 idempotency v1");
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    for part in [who, target, &name] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let (parts, body) = request.into_parts();
    let body = body::read(&doors.edge, Request::from_parts(parts.clone(), body)).await?;
    let now_ms = doors.pipeline.cache().now_ms();
    let asked = *blake3::hash(&body).as_bytes();
    match doors.idempotency.begin(*hasher.finalize().as_bytes(), asked, now_ms) {
        Begun::First(under_way) => {
            let response = run(Request::from_parts(parts, Body::from(body))).await;
            keep(under_way, response, now_ms).await
        }
        Begun::Again(answer) => Ok(again(&answer)),
        Begun::Busy => {
            let message =
                "The first request with this `Idempotency-Key` is still under way. Send it again in a second.";
            let error = Error::new(ErrorKind::Conflict, message).with_code("idempotency_key_in_use");
            Err(Error { retry_after: Some(Duration::from_secs(1)), ..error })
        }
        Begun::Another => {
            let message =
                "This `Idempotency-Key` was sent with another body before. Another request wants another key.";
            Err(Error::new(ErrorKind::InvalidRequest, message).with_code("idempotency_key_reused"))
        }
    }
}

/// Keeps an answer, unless the fault is the gateway's own: that may go well the next time.
async fn keep(under_way: UnderWay<'_>, response: Response, now_ms: u64) -> Result<Response, Error> {
    if response.status().is_server_error() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
    let body = body.map_err(|error| Error::new(ErrorKind::Internal, format!("The answer broke off: {error}.")))?;
    let (status, headers) = (parts.status, parts.headers.clone());
    under_way.done(Answer { status, headers, body: body.clone(), at_ms: now_ms });
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn again(answer: &Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers.clone();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response.extensions_mut().insert(Replayed);
    response
}

fn read(key: &HeaderValue) -> Result<String, Error> {
    let name = key.to_str().ok().map(str::trim).filter(|name| (1..=KEY_BYTES).contains(&name.len()));
    name.map(str::to_owned).ok_or_else(|| {
        Error::invalid(
            "idempotency-key",
            format!("`Idempotency-Key` is text of 1 to {KEY_BYTES} printable characters."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize, at_ms: u64) -> Answer {
        Answer { status: StatusCode::CREATED, headers: HeaderMap::new(), body: vec![0; bytes].into(), at_ms }
    }

    #[test]
    fn one_name_is_one_request() {
        let all = Idempotency::default();
        let Begun::First(first) = all.begin([1; 32], [0; 32], 0) else { panic!("it is the first") };
        assert!(matches!(all.begin([1; 32], [0; 32], 0), Begun::Busy));
        assert!(matches!(all.begin([1; 32], [9; 32], 0), Begun::Another));
        assert!(matches!(all.begin([2; 32], [9; 32], 0), Begun::First(_)), "another name; and dropped");
        assert!(matches!(all.begin([2; 32], [8; 32], 0), Begun::First(_)), "nothing came of the first");
        first.done(answer(3, 5));
        assert!(matches!(all.begin([1; 32], [0; 32], KEPT_MS), Begun::Again(_)));
        assert!(matches!(all.begin([1; 32], [9; 32], KEPT_MS), Begun::Another));
        assert!(matches!(all.begin([1; 32], [9; 32], KEPT_MS + 5), Begun::First(_)), "a day is over");
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let all = Idempotency::default();
        let id = |number: u64| *blake3::hash(&number.to_le_bytes()).as_bytes();
        for number in 0..(MOST as u64 + 100) {
            let Begun::First(first) = all.begin(id(number), [0; 32], 0) else { panic!("it is the first") };
            first.done(answer(10, 0));
        }
        assert_eq!(all.0.lock().known.len(), MOST);
        let Begun::First(first) = all.begin([1; 32], [0; 32], 0) else { panic!("it is the first") };
        first.done(answer(MOST_BYTES, 0));
        let kept = all.0.lock();
        assert_eq!((kept.known.len(), kept.order.len(), kept.bytes), (1, 1, MOST_BYTES));
    }
}
