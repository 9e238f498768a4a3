//! Floor 4: one request, one pass.
//!
//! `serve` reads as the steps stand: decode, look up, fetch on a miss, respond, settle. Each has its file:
//!
//! - `serve`: the pass itself, and `Pipeline`, which holds what it needs
//! - `decode`: bytes → request, digests, policy
//! - `memo`: what was worked out of a body, for the next request that is the same
//! - `admit`: whether a request may be asked, and what it may cost at most; `tokens`: of its prompt; `limits`: what is left, in headers
//! - `facts`: what the conditions of targets may ask about a request
//! - `insight`: what the embedding of a question tells, and the conditions that ask about that
//! - `tags`: labels of a request, from its header and its metadata
//! - `dispatch`: a conversation sent to one target after the other, as its course says; `attempts`: how that is gone about
//! - `queue`: where requests wait for a busy target
//! - `invoke`: requests that go out in the bodies of a provider's models, perhaps several to each
//! - `fetch`: the task that carries an answer from its provider into a flight and the cache
//! - `guard`: what guardrails do to a request and its answer
//! - `respond`: readers of a flight, and playback of stored answers, as replies
//! - `label`: whether a fresh answer says what a stored one does, for the judgement to learn; `judge`: a model that is asked
//! - `feedback`, `explain`: what callers say of answers; what would happen to a request
//! - `warm_up`: answers of the operator's own, by way of the same decoding
//! - `shadow`: requests that are sent to another target, too, once they were answered, and how the answers compare
//! - `recording`: requests and answers as a trace, where that is asked for
//! - `responses`: responses that later requests go on from
//! - `places`: how much may go on that no caller waits for
//! - `relay`: requests that are passed on as they are, and never cached
//! - `tail`: what a streamed reply tells at its end
//! - `settle`: what is counted and logged when a reply ends

mod admit;
mod attempts;
mod decode;
mod dispatch;
mod explain;
mod facts;
mod feedback;
mod fetch;
mod guard;
mod insight;
mod invoke;
mod judge;
mod label;
mod limits;
mod memo;
mod places;
mod queue;
mod recording;
pub mod relay;
mod respond;
pub mod responses;
mod serve;
mod settle;
mod shadow;
mod tags;
mod tail;
mod tokens;
mod warm_up;

pub use attempts::{RouterClock, of_lane, turned};
pub use explain::Explanation;
pub use guard::Guardrails;
pub use insight::{Insight, Told};
pub use queue::Queue;
pub use recording::Recorder;
pub use serve::{Pipeline, Setup};
pub use shadow::{Counts, Quantiles, ShadowReport, Sums};
pub use tail::Tail;
pub use warm_up::Known;

use crate::types::caller::Caller;
use crate::types::directives::Directives;
use crate::types::error::Error;
use crate::types::surface::Surface;
use crate::wire::request::InPath;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderValue};
use std::time::Instant;

/// A request as the doors hand it in.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The door.
    pub surface: Surface,
    /// What its path says, where the wire tells it there.
    pub path: InPath,
    /// The body, whole.
    pub body: Bytes,
    /// Who asks.
    pub caller: Caller,
    /// What they asked of the cache.
    pub directives: Directives,
    /// Headers that go on to the provider.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Headers that conditions of targets may ask about.
    pub told: Vec<(http::HeaderName, http::HeaderValue)>,
    /// For the log.
    pub request_id: String,
    /// When it arrived.
    pub arrived: Instant,
}

/// A reply, ready for the door to send.
pub struct Reply {
    /// `content-type`.
    pub content_type: HeaderValue,
    /// Further headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: ReplyBody,
    /// What it tells when a streamed body has ended.
    pub tail: Option<Tail>,
}

impl Reply {
    fn whole(content_type: HeaderValue, headers: HeaderMap, body: Bytes) -> Reply {
        Reply { content_type, headers, body: ReplyBody::Full(body), tail: None }
    }
}

/// A reply's body.
pub enum ReplyBody {
    /// Whole.
    Full(Bytes),
    /// Piece by piece. Ends with an error when it breaks off.
    Stream(BoxStream<'static, Result<Bytes, Error>>),
}
