//! Settle: what is counted and logged, exactly once, when a reply ends: well, with an error, or with a hang-up.

use super::respond::Found;
use super::{Reply, ReplyBody, Tail};
use crate::cache::flight::Later;
use crate::governance::Place;
use crate::governance::records::{Ended, GONE, Slip};
use crate::telemetry::metrics::{self, About};
use crate::types::error::{Error, ErrorKind};
use crate::types::header;
use crate::types::money::{MicroUsd, Price};
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Rides along with one request and settles it when it is dropped, if not before.
pub(super) struct Settlement {
    surface: Surface,
    arrived: Instant,
    request_id: String,
    model: Option<String>,
    provider: String,
    cache: &'static str,
    /// What the caller pays, in dollars, once that is known.
    cost: Option<String>,
    /// Its place among those of its key that are under way.
    place: Place,
    /// What is kept of it; let go when it is settled.
    slip: Option<Arc<Slip>>,
    /// The flight that it reads along with.
    follows: Option<Later>,
    hung_up: bool,
    settled: bool,
}

impl Settlement {
    pub(super) fn new(surface: Surface, arrived: Instant, request_id: &str, slip: Arc<Slip>) -> Settlement {
        metrics::in_flight(1);
        Settlement {
            surface,
            arrived,
            request_id: request_id.to_owned(),
            model: None,
            provider: String::new(),
            cache: "none",
            cost: None,
            place: Place::default(),
            slip: Some(slip),
            follows: None,
            hung_up: false,
            settled: false,
        }
    }

    /// The request's id, as its caller sees it.
    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The model, if there was a plan for it.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The model, once there is a plan for it.
    pub(super) fn of_model(&mut self, model: &str) {
        self.model = Some(model.to_owned());
    }

    /// It is held until the reply has ended.
    pub(super) fn holds(&mut self, place: Place) {
        self.place = place;
    }

    /// What is kept of it, for its fetch to write on.
    pub(super) fn slip(&self) -> Option<Arc<Slip>> {
        self.slip.clone()
    }

    /// What was asked, and its tags.
    pub(super) fn asks(&self, body: &Bytes, tags: &[String]) {
        self.slip.iter().for_each(|slip| slip.asked(body, tags.to_vec()));
    }

    /// It reads along with another's fetch, which tells in the end what was saved.
    pub(super) fn follows(&mut self, later: Later) {
        self.follows = Some(later);
    }

    /// How the cache took part.
    pub(super) fn outcome(&mut self, word: &'static str) {
        self.cache = word;
    }

    /// A stored answer spared a call, and cost its caller something in its place.
    pub(super) fn saved(&mut self, found: &Found, price: Option<Price>, cost: MicroUsd) {
        let spared = found.spared(price, cost);
        metrics::saved(found.usage(), spared);
        self.provider = found.provider().unwrap_or_default().to_owned();
        self.follows = None;
        if let Some(slip) = &self.slip {
            slip.paid(Usage::default(), cost);
            slip.saved(found.usage(), spared);
            slip.answered(&found.answer().body);
        }
    }

    /// The request failed before a reply began.
    pub(super) fn failed(&mut self, error: &Error) {
        self.settle(Some(error));
    }

    /// Rides on the reply: settled when its body has ended.
    pub(super) fn ride(mut self, reply: Reply) -> Reply {
        let told = |name| header::text(&reply.headers, &name).map(str::to_owned);
        self.provider = told(header::PROVIDER).unwrap_or_default();
        self.cost = told(header::COST);
        let left = length(&reply.headers);
        let streamed = header::is_events(&reply.content_type);
        match reply.body {
            ReplyBody::Full(body) => {
                if streamed {
                    metrics::first_token(self.about(), self.arrived.elapsed(), self.cache);
                }
                self.settle(None);
                Reply { body: ReplyBody::Full(body), ..reply }
            }
            ReplyBody::Stream(pieces) => {
                let riding = Riding { pieces, left, tail: reply.tail.clone(), settlement: self };
                Reply { body: ReplyBody::Stream(riding.boxed()), ..reply }
            }
        }
    }

    fn about(&self) -> About<'_> {
        About { surface: self.surface, model: self.model.as_deref().unwrap_or("unknown"), provider: &self.provider }
    }

    fn settle(&mut self, error: Option<&Error>) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        self.place = Place::default();
        let took = self.arrived.elapsed();
        self.hand_in(took, error);
        metrics::in_flight(-1);
        metrics::request_ended(self.about(), took, self.cache, error);
        let took_ms = took.as_secs_f64() * 1000.0;
        let about = self.about();
        match error {
            None => tracing::info!(
                request_id = %self.request_id, surface = about.surface.as_str(), model = about.model,
                provider = about.provider, cache = self.cache, took_ms, cost_usd = self.cost.as_deref(), "served"
            ),
            Some(error) => tracing::warn!(
                request_id = %self.request_id, surface = about.surface.as_str(), model = about.model,
                provider = about.provider, cache = self.cache, took_ms, cost_usd = self.cost.as_deref(),
                status = error.status(), error = %error, "failed"
            ),
        }
    }
}

impl Settlement {
    /// What is kept of it is complete, as far as it is its caller's.
    fn hand_in(&mut self, took: Duration, error: Option<&Error>) {
        let Some(slip) = self.slip.take() else { return };
        // Who read along, and then had to fetch after all, saved nothing.
        if let Some(later) = self.follows.take().filter(|_| self.cache == "hit" && error.is_none()) {
            let (usage, cost) = later.taken();
            slip.saved(usage, cost);
        }
        let status = if self.hung_up { GONE } else { error.map_or(200, Error::status) };
        slip.ended(Ended {
            model: self.model.as_deref().unwrap_or_default(),
            provider: &self.provider,
            cache: self.cache,
            status,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            error: error.map(ToString::to_string),
        });
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if !self.settled {
            self.hung_up = true;
            let gone = Error::new(ErrorKind::RequestTimeout, "The caller hung up.");
            self.settle(Some(&gone));
        }
    }
}

/// The length of a reply's body, where its headers tell it.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    header::text(headers, &CONTENT_LENGTH)?.parse().ok()
}

/// What is left of a body of which `left` bytes were to come.
pub(super) fn left_after(left: Option<u64>, piece: &Bytes) -> Option<u64> {
    left.map(|left| left.saturating_sub(piece.len() as u64))
}

/// A body with its settlement.
struct Riding<S> {
    pieces: S,
    /// Bytes still to come, where that is known: who has them all asks for no end.
    left: Option<u64>,
    /// Tells what it cost.
    tail: Option<Tail>,
    settlement: Settlement,
}

impl<S> Riding<S> {
    fn settle(&mut self, error: Option<&Error>) {
        if let Some(cost) = self.tail.as_ref().and_then(Tail::cost) {
            self.settlement.cost = Some(cost.to_string());
        }
        self.settlement.settle(error);
    }
}

impl<S: Stream<Item = Result<Bytes, Error>> + Unpin> Stream for Riding<S> {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.poll_next_unpin(cx);
        match &polled {
            Poll::Ready(None) => self.settle(None),
            Poll::Ready(Some(Err(error))) => {
                let error = error.clone();
                self.settle(Some(&error));
            }
            Poll::Ready(Some(Ok(piece))) => {
                self.left = left_after(self.left, piece);
                if self.left == Some(0) {
                    self.settle(None);
                }
            }
            Poll::Pending => {}
        }
        polled
    }
}
