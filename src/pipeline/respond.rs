//! Replies: readers of a flight, and playback of stored answers, each with headers that say what happened.

use super::decode::Decoded;
use super::recording::Given;
use super::{Reply, ReplyBody, Tail};
use crate::cache::flight::{End, Head, Reader};
use crate::cache::{Hit, Timing};
use crate::types::answer::Answer;
use crate::types::entry::Entry;
use crate::types::error::{Error, ErrorKind};
use crate::types::header::{self, Text, Writer};
use crate::types::lost::Lost;
use crate::types::money::{MicroUsd, Price};
use crate::types::outcome::{BypassReason, MissReason, StaleReason, Tier};
use crate::types::request::Request;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::hub::{self, ReplyFor};
use crate::wire::json::span_of;
use crate::wire::{answer, playback, sse};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use http::header::{AGE, HeaderMap, HeaderValue};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
/// So many headers have place without growing: the reply's own, those of limits, and those of the layers around.
const HEADERS: usize = 24;

/// How the cache took part in a reply that a fetch gives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Bypass(BypassReason),
    Miss {
        reason: MissReason,
        similarity: Option<f32>,
        p: Option<f32>,
        timing: Timing,
    },
    /// Reads along with an identical request.
    Flight,
}

impl Outcome {
    /// The value of `x-askonce-cache`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Bypass(_) => "bypass",
            Outcome::Miss { .. } => "miss",
            Outcome::Flight => "hit",
        }
    }
}

/// Makes the reply of one request out of a flight.
pub(super) struct Responder<'d> {
    decoded: &'d Decoded,
    outcome: Outcome,
}

impl<'d> Responder<'d> {
    pub(super) fn new(decoded: &'d Decoded, outcome: Outcome) -> Responder<'d> {
        Responder { decoded, outcome }
    }

    /// Can this request take the flight's bytes as they come?
    pub(super) fn can_read_live(&self, head: &Head) -> bool {
        let request = &self.decoded.request;
        head.surface == request.surface && head.stream && request.stream && head.include_usage == request.include_usage
    }

    /// Can a request that waits for another's answer read its bytes as they come? Responses repeat parts of their request, and
    /// are kept under ids of their own: they are played when they are whole.
    pub(super) fn can_follow_live(&self, head: &Head) -> bool {
        self.can_read_live(head) && self.decoded.request.surface != Surface::Responses
    }

    /// The reply of a flight that has begun, and the reply's own id. A follower gives its request, and is given an id of
    /// its own.
    pub(super) async fn read(
        &self,
        reader: Reader,
        head: Arc<Head>,
        follower: Option<&Arc<Request>>,
    ) -> Result<(Reply, String), Error> {
        let request = &self.decoded.request;
        // Whoever waits for another's answer pays nothing for it.
        let cost = if follower.is_some() { Some(MicroUsd(0)) } else { head.cost };
        let mut headers = self.headers(&head, follower.is_some());
        if self.can_read_live(&head) {
            charged(&mut headers, cost, &head.lost);
            let priced = cost.is_none() && head.priced;
            let tail = Tail::of(reader.later(), priced, head.translated, head.guarded);
            let id = follower.map(|_| hub::new_id(request.surface));
            let own = id.clone().or_else(|| head.id.clone()).unwrap_or_default();
            let renaming = id.map(|new| Renaming { surface: request.surface, old: head.id.clone(), new });
            let body = ReplyBody::Stream(live(reader, request.surface, renaming).boxed());
            return Ok((Reply { content_type: head.content_type.clone(), headers, body, tail }, own));
        }
        if !head.stream && !request.stream && head.surface == request.surface {
            charged(&mut headers, cost, &head.lost);
            let body = whole(&reader).await;
            let id = head.id.clone().unwrap_or_else(|| id_of(request.surface, &body));
            return Ok((Reply::whole(head.content_type.clone(), headers, body), id));
        }
        // The provider answered in the other form: play what it said in the form that was asked.
        match reader.end().await {
            End::Whole(answer) => {
                let Played { content_type, body, id, lost } = played(&answer, self.decoded, now_s())?;
                charged(&mut headers, cost.or_else(|| reader.later().cost()), &lost);
                Ok((Reply::whole(content_type, headers, body), id))
            }
            other => Err(ended_without_answer(other)),
        }
    }

    /// A flight that ended before it began.
    pub(super) fn ended(&self, end: End) -> Result<Reply, Error> {
        Err(ended_without_answer(end))
    }

    fn headers(&self, head: &Head, follows: bool) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(HEADERS);
        let mut told = Writer::new(&mut headers);
        told.set_word(header::CACHE, self.outcome.word());
        let mut timing = Timing::default();
        match self.outcome {
            Outcome::Bypass(reason) => told.set_word(header::REASON, reason.as_str()),
            Outcome::Miss { reason, similarity, p, timing: took } => {
                timing = took;
                told.set_word(header::REASON, reason.as_str());
                near(&mut told, similarity, p);
            }
            Outcome::Flight => told.set_word(header::TIER, Tier::Flight.as_str()),
        }
        told.set(header::SERVER_TIMING, |text| server_timing(text, self.decoded.hash, timing));
        told.set_text(header::PROVIDER, &head.provider);
        // What the fetch went through is told to whose fetch it is.
        let may_know = head.headers.iter().filter(|(name, _)| !follows || **name != header::ATTEMPTS);
        may_know.for_each(|(name, value)| drop(headers.insert(name.clone(), value.clone())));
        headers
    }
}

/// A stored answer on its way out.
pub(super) struct Found {
    answer: FoundAnswer,
    tier: Tier,
    similarity: Option<f32>,
    p: Option<f32>,
    timing: Timing,
    stale: Option<StaleReason>,
}

enum FoundAnswer {
    Stored(Arc<Entry>),
    Shared(Arc<Answer>),
}

impl Found {
    /// A hit.
    pub(super) fn entry(hit: Hit) -> Found {
        let Hit { entry, tier, similarity, p, timing, .. } = hit;
        Found { answer: FoundAnswer::Stored(entry), tier, similarity, p, timing, stale: None }
    }

    /// An entry past its time.
    pub(super) fn stale(hit: Hit, reason: StaleReason) -> Found {
        Found { stale: Some(reason), ..Found::entry(hit) }
    }

    /// The answer of an identical request that was in flight.
    pub(super) fn flight(answer: Arc<Answer>) -> Found {
        let timing = Timing::default();
        Found {
            answer: FoundAnswer::Shared(answer),
            tier: Tier::Flight,
            similarity: None,
            p: None,
            timing,
            stale: None,
        }
    }

    /// The value of `x-askonce-cache`.
    pub(super) fn word(&self) -> &'static str {
        if self.stale.is_some() { "stale" } else { "hit" }
    }

    /// What the recording says of it.
    pub(super) fn given(&self, took_ms: u64) -> Given {
        Given {
            cache: format!("{}/{}", self.word(), self.tier.as_str()),
            answer: Some(self.answer().body.clone()),
            usage: self.usage(),
            took_ms,
        }
    }

    /// What a provider would have counted for it.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.answer().usage
    }

    /// What it would have cost.
    pub(super) fn cost(&self, price: Option<Price>) -> Option<MicroUsd> {
        let stored = match &self.answer {
            FoundAnswer::Stored(entry) => entry.cost,
            FoundAnswer::Shared(_) => None,
        };
        stored.or_else(|| Some(price?.of(self.usage()?)))
    }

    /// What of that is saved, where it costs so much in its place.
    pub(super) fn spared(&self, price: Option<Price>, cost: MicroUsd) -> Option<MicroUsd> {
        self.cost(price).map(|whole| MicroUsd(whole.0.saturating_sub(cost.0)))
    }

    /// Who gave it.
    pub(super) fn provider(&self) -> Option<&str> {
        match &self.answer {
            FoundAnswer::Stored(entry) => Some(&entry.provider),
            FoundAnswer::Shared(_) => None,
        }
    }

    pub(super) fn answer(&self) -> &Answer {
        match &self.answer {
            FoundAnswer::Stored(entry) => &entry.answer,
            FoundAnswer::Shared(answer) => answer,
        }
    }

    /// The reply, in the form that the request asks for, and its own id.
    pub(super) fn reply(&self, decoded: &Decoded, cost: MicroUsd, now_ms: u64) -> Result<(Reply, String), Error> {
        let Played { content_type, body, id, lost } = played(self.answer(), decoded, now_ms / 1000)?;
        let mut headers = HeaderMap::with_capacity(HEADERS);
        let mut told = Writer::new(&mut headers);
        told.set_word(header::CACHE, self.word());
        told.set_word(header::TIER, self.tier.as_str());
        told.set(header::SERVER_TIMING, |text| server_timing(text, decoded.hash, self.timing));
        self.stale.iter().for_each(|reason| told.set_word(header::REASON, reason.as_str()));
        near(&mut told, self.similarity, self.p);
        self.provider().iter().for_each(|name| told.set_text(header::PROVIDER, name));
        let spared = self.spared(decoded.plan.price, cost);
        spared.iter().for_each(|spared| told.set(header::SAVED, |text| dollars(text, *spared)));
        if let FoundAnswer::Stored(entry) = &self.answer {
            told.set(header::ENTRY, |text| text.display(entry.id));
            told.set_number(AGE, entry.age_s(now_ms));
        }
        charged(&mut headers, Some(cost), &lost);
        Ok((Reply::whole(content_type, headers, body), id))
    }
}

/// An answer in the form and the wire that were asked.
struct Played {
    content_type: HeaderValue,
    body: Bytes,
    /// A new one.
    id: String,
    /// Names of what it lacks: what its own request lost, and what that form and wire cannot carry.
    lost: Lost,
}

fn played(answer: &Answer, decoded: &Decoded, created_s: u64) -> Result<Played, Error> {
    let request = &decoded.request;
    let reply = ReplyFor {
        id: hub::new_id(request.surface),
        model: request.model.clone(),
        created_s,
        include_usage: request.include_usage,
        request: request.body.clone(),
        calls_tools: answer.tool_calls,
        no_store: decoded.no_store,
    };
    let unreadable = |why: String| Error::new(ErrorKind::Internal, format!("A stored answer cannot be read: {why}."));
    let mut lost = answer.lost.clone();
    let own;
    let answer = if answer.surface == request.surface {
        answer
    } else {
        let names;
        (own, names) = answer::translated(answer, request.surface, &reply).map_err(unreadable)?;
        lost.extend(&names);
        &own
    };
    if request.stream {
        let (body, more) = playback::as_stream(answer, &reply).map_err(unreadable)?;
        lost.extend(&more);
        return Ok(Played { content_type: EVENT_STREAM, body, id: reply.id, lost });
    }
    Ok(Played { content_type: header::JSON, body: playback::whole(answer, &reply), id: reply.id, lost })
}

/// The id that stands in a reply's body, if there is one.
fn id_of(surface: Surface, body: &[u8]) -> String {
    let span = answer::id_key(surface).and_then(|key| span_of(body, key));
    let id = span.and_then(|span| serde_json::from_slice(&body[span]).ok());
    id.unwrap_or_default()
}

/// All pieces of a plain reply.
async fn whole(reader: &Reader) -> Bytes {
    let mut body = reader.next().await.unwrap_or_default();
    while let Some(piece) = reader.next().await {
        let mut joined = BytesMut::from(body);
        joined.extend_from_slice(&piece);
        body = joined.freeze();
    }
    body
}

/// The flight's pieces as they come; a failure in the middle becomes the dialect's error event.
fn live(
    reader: Reader,
    surface: Surface,
    renaming: Option<Renaming>,
) -> impl futures_util::Stream<Item = Result<Bytes, Error>> {
    stream::unfold((Some(reader), renaming), move |(reader, renaming)| async move {
        let reader = reader?;
        if let Some(piece) = reader.next().await {
            let piece = match &renaming {
                Some(renaming) => renaming.of(&piece),
                None => piece,
            };
            return Some((Ok(piece), (Some(reader), renaming)));
        }
        match reader.end().await {
            End::Whole(_) | End::Opaque | End::Found(_) => None,
            end @ (End::Failed(_) | End::Lost) => {
                let mut failure = ended_without_answer(end);
                failure.reply = Some(crate::types::error::UpstreamReply {
                    status: failure.status(),
                    content_type: None,
                    body: hub::error_event(surface, &failure).into(),
                });
                Some((Err(failure), (None, renaming)))
            }
        }
    })
}

/// An id of its own for who reads another's stream along.
struct Renaming {
    surface: Surface,
    /// The id that stands in the stream.
    old: Option<String>,
    new: String,
}

impl Renaming {
    /// `piece` with the id of every event replaced. Pieces hold whole events.
    fn of(&self, piece: &Bytes) -> Bytes {
        match (self.surface, &self.old) {
            (Surface::ChatCompletions | Surface::Completions, _) => renamed(piece, &self.new),
            // Elsewhere the id stands in different places; it is long and random enough to be found by itself.
            (_, Some(old)) => replaced(piece, &format!("\"{old}\""), &format!("\"{}\"", self.new)),
            (_, None) => piece.clone(),
        }
    }
}

/// `piece` with every `old` in it replaced.
fn replaced(piece: &Bytes, old: &str, new: &str) -> Bytes {
    let mut out = Vec::with_capacity(piece.len() + new.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(piece, old) {
        out.extend_from_slice(&piece[from..at]);
        out.extend_from_slice(new.as_bytes());
        from = at + old.len();
    }
    out.extend_from_slice(&piece[from..]);
    out.into()
}

/// `piece` with the id of every event replaced. Pieces hold whole events.
fn renamed(piece: &Bytes, id: &str) -> Bytes {
    let mut splitter = sse::Splitter::default();
    splitter.push(piece);
    let mut out = Vec::with_capacity(piece.len() + 64);
    while let Some(event) = splitter.next_event() {
        let data = sse::data(&event);
        let at = data.as_deref().and_then(|data| span_of(data, "id").map(|span| (data, span)));
        match at {
            Some((data, span)) => {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(&data[..span.start]);
                out.extend_from_slice(format!("\"{id}\"").as_bytes());
                out.extend_from_slice(&data[span.end..]);
                out.extend_from_slice(b"\n\n");
            }
            None => out.extend_from_slice(&event),
        }
    }
    out.extend_from_slice(&splitter.rest());
    out.into()
}

fn ended_without_answer(end: End) -> Error {
    match end {
        End::Failed(error) => error,
        End::Opaque => Error::new(
            ErrorKind::UpstreamBroken,
            "The provider answered in another form than asked, and the answer is too large to be converted.",
        ),
        End::Lost | End::Found(_) | End::Whole(_) => {
            Error::new(ErrorKind::Internal, "The fetch of this answer ended without a word; please try again.")
        }
    }
}

/// Tells what an answer costs and what is not in it.
pub(super) fn charged(headers: &mut HeaderMap, cost: Option<MicroUsd>, lost: &Lost) {
    let mut told = Writer::new(headers);
    cost.iter().for_each(|cost| told.set(header::COST, |text| dollars(text, *cost)));
    if !lost.is_empty() {
        told.set(header::DROPPED, |text| text.display(lost));
    }
}

/// Tells how near a question was to one that was answered.
fn near(told: &mut Writer<'_>, similarity: Option<f32>, p: Option<f32>) {
    for (name, share) in [(header::SIMILARITY, similarity), (header::PROBABILITY, p)] {
        share.iter().for_each(|share| told.set(name.clone(), |text| text.display(format_args!("{share:.4}"))));
    }
}

/// Dollars with six decimals.
fn dollars(text: &mut Text, cost: MicroUsd) -> &mut Text {
    text.millionths(cost.0, 6)
}

/// The value of `Server-Timing` (<https://www.w3.org/TR/server-timing/>), in milliseconds.
fn server_timing(text: &mut Text, hash: Duration, timing: Timing) -> &mut Text {
    for (step, took) in [("hash", Some(hash)), (", embed", timing.embed), (", search", timing.search)] {
        if let Some(took) = took {
            let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            text.text(step).text(";dur=").millionths(ns, 3);
        }
    }
    text
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_each_event_is_replaced_and_nothing_else() {
        let piece = concat!(
            "data: {\"id\":\"\",\"model\":\"\",\"x\":{\"id\":\"keep\"}}\n\n",
            ": ping\n\n",
            "data:{\"x\":\"c1\",\"id\" : \"c1\"}\r\n\r\ndata: [DONE]\n\n",
        );
        let expected = concat!(
            "data: {\"id\":\"new\",\"model\":\"\",\"x\":{\"id\":\"keep\"}}\n\n",
            ": ping\n\n",
            "data: {\"x\":\"c1\",\"id\" : \"new\"}\n\ndata: [DONE]\n\n",
        );
        assert_eq!(renamed(&Bytes::from_static(piece.as_bytes()), "new"), expected.as_bytes());
    }
}
