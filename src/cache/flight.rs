//! Flights: identical misses share one upstream call.
//!
//! The first to miss takes the lead: it (or the task it hands the `Lead` to) fetches, and every piece goes into the
//! flight's log. All callers, the first included, are readers of that log; so none waits for another's slow connection,
//! and the fetch does not end with any one of them. A lead dropped without an end frees its followers to try again.

use super::aloft::Listed;
use super::lookup::Hit;
use crate::types::answer::Answer;
use crate::types::error::Error;
use crate::types::ids::Digest;
use crate::types::lost::Lost;
use crate::types::money::MicroUsd;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;

/// Bytes of an uncached reply that may wait for its slowest reader.
const WINDOW_BYTES: usize = 256 * 1024;

/// All flights of one cache, by key.
#[derive(Debug, Default)]
pub struct Flights {
    open: Mutex<HashMap<Digest, Arc<Flight>>>,
}

/// What joining gave.
#[derive(Debug)]
pub enum Joined {
    /// Nobody is fetching this: fetch it.
    Lead(Lead),
    /// Somebody is: read along.
    Follow(Reader),
}

/// What is known when the upstream's head has come.
#[derive(Clone, PartialEq, Debug)]
pub struct Head {
    /// The surface in whose wire the bytes are.
    pub surface: Surface,
    /// What the answer cost, where that is known before its first byte.
    pub cost: Option<MicroUsd>,
    /// `content-type` of the reply.
    pub content_type: HeaderValue,
    /// The reply is a stream of events.
    pub stream: bool,
    /// The stream carries usage.
    pub include_usage: bool,
    /// Who answered.
    pub provider: Arc<str>,
    /// Reply headers worth passing on.
    pub headers: HeaderMap,
    /// The answer's id, in a stream.
    pub id: Option<String>,
    /// Names of what was lost so far.
    pub lost: Lost,
    /// It is a translation of a stream: what that loses is known at its end.
    pub translated: bool,
    /// What its tokens cost is known.
    pub priced: bool,
    /// Guardrails look at it while it comes: what they find is known at its end.
    pub guarded: bool,
}

/// What is known when the upstream has ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tail {
    /// What the answer cost.
    pub cost: Option<MicroUsd>,
    /// What it took.
    pub usage: Option<Usage>,
    /// Names of what was lost that the head does not tell.
    pub lost: Lost,
    /// Names of guardrails that found something.
    pub guardrails: Option<String>,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub enum End {
    /// The lead found a stored answer by meaning before it fetched anything.
    Found(Hit),
    /// The reply came whole, and this is what it says.
    Whole(Arc<Answer>),
    /// The reply came whole, but is too large or too strange to be shared later.
    Opaque,
    /// It failed; before the head, nothing of it has reached a caller.
    Failed(Error),
    /// The lead is gone without a word.
    Lost,
}

#[derive(Debug, Default)]
struct State {
    head: Option<Arc<Head>>,
    /// Pieces from number `base` on.
    pieces: VecDeque<Bytes>,
    base: usize,
    bytes: usize,
    /// All pieces are kept, for readers yet to come.
    keep: bool,
    tail: Tail,
    end: Option<End>,
    /// Next piece of each reader; `None` for one that left.
    readers: Vec<Option<usize>>,
}

impl State {
    fn has_readers(&self) -> bool {
        self.readers.iter().any(Option::is_some)
    }

    /// Drops what every reader has had, once nobody new can come.
    fn trim(&mut self) {
        if self.keep {
            return;
        }
        let slowest = self.readers.iter().flatten().copied().min().unwrap_or(usize::MAX);
        while self.base < slowest {
            let Some(piece) = self.pieces.pop_front() else { break };
            self.base += 1;
            self.bytes -= piece.len();
        }
    }
}

/// One upstream call and who reads it.
#[derive(Debug)]
struct Flight {
    state: Mutex<State>,
    changed: Notify,
}

impl Flight {
    fn new() -> Arc<Flight> {
        let state = State { keep: true, ..State::default() };
        Arc::new(Flight { state: Mutex::new(state), changed: Notify::new() })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let out = change(&mut self.state.lock());
        self.changed.notify_waiters();
        out
    }

    /// Waits until `ready` says something. Safe to drop.
    async fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before looking, so that no change in between is lost.
            changed.as_mut().enable();
            if let Some(out) = ready(&mut self.state.lock()) {
                return out;
            }
            changed.await;
        }
    }
}

impl Flights {
    /// Joins the flight of `key`, or opens one and takes its lead.
    pub fn join(self: &Arc<Flights>, key: Digest) -> Joined {
        let mut open = self.open.lock();
        if let Some(flight) = open.get(&key)
            && let Some(reader) = Reader::join(flight)
        {
            return Joined::Follow(reader);
        }
        let flight = Flight::new();
        open.insert(key, flight.clone());
        Joined::Lead(Lead { flight, listed: Mutex::new(Some((self.clone(), key))), aloft: None, ended: false })
    }

    /// Reads the flight of `key` along, if there is one that can be joined.
    pub fn follow(&self, key: Digest) -> Option<Reader> {
        self.open.lock().get(&key).and_then(Reader::join)
    }

    /// Flights that may be joined.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// No flight may be joined.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn close(&self, key: Digest, flight: &Arc<Flight>) {
        let mut open = self.open.lock();
        if open.get(&key).is_some_and(|listed| Arc::ptr_eq(listed, flight)) {
            open.remove(&key);
        }
    }
}

/// The right and duty to fetch.
#[derive(Debug)]
pub struct Lead {
    flight: Arc<Flight>,
    /// Where the flight can be joined, while it can.
    listed: Mutex<Option<(Arc<Flights>, Digest)>>,
    /// Its place among the questions that are being fetched; left at the end.
    pub(super) aloft: Option<Listed>,
    ended: bool,
}

impl Lead {
    /// A flight that nobody can join.
    pub fn alone() -> Lead {
        Lead { flight: Flight::new(), listed: Mutex::new(None), aloft: None, ended: false }
    }

    /// Can others join it?
    pub fn can_be_joined(&self) -> bool {
        self.listed.lock().is_some()
    }

    /// A reader from the first piece on.
    pub fn reader(&self) -> Reader {
        Reader::add(&self.flight, &mut self.flight.state.lock())
    }

    /// The upstream's head has come.
    pub fn begin(&self, head: Head) {
        self.flight.change(|state| state.head = Some(Arc::new(head)));
    }

    /// Nobody new may come from here on, and only what readers still need is kept.
    pub fn stop_keeping(&self) {
        self.unlist();
        self.flight.change(|state| {
            state.keep = false;
            state.trim();
        });
    }

    /// The next piece. Waits for room when pieces are not kept and a reader is slow.
    pub async fn push(&self, piece: Bytes) {
        self.flight.change(|state| {
            state.bytes += piece.len();
            state.pieces.push_back(piece);
        });
        self.flight
            .wait(|state| {
                state.trim();
                (state.keep || state.bytes <= WINDOW_BYTES || !state.has_readers()).then_some(())
            })
            .await;
    }

    /// What is known at the end; told before it.
    pub fn tell(&self, tail: Tail) {
        self.flight.state.lock().tail = tail;
    }

    /// Nobody reads it now.
    pub fn is_deserted(&self) -> bool {
        !self.flight.state.lock().has_readers()
    }

    /// Resolves when every reader has left.
    pub async fn deserted(&self) {
        self.flight.wait(|state| (!state.has_readers()).then_some(())).await;
    }

    /// The flight is over.
    pub fn end(mut self, end: End) {
        self.close(end);
    }

    fn unlist(&self) {
        if let Some((flights, key)) = self.listed.lock().take() {
            flights.close(key, &self.flight);
        }
    }

    fn close(&mut self, end: End) {
        self.ended = true;
        self.unlist();
        self.aloft = None;
        self.flight.change(|state| state.end = Some(end));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.ended {
            self.close(End::Lost);
        }
    }
}

/// Reads a flight from its first piece on.
#[derive(Debug)]
pub struct Reader {
    flight: Arc<Flight>,
    slot: usize,
}

/// What a reader meets first.
#[derive(Clone, Debug)]
pub enum Opening {
    /// The head; pieces follow.
    Begun(Arc<Head>),
    /// It ended without a head.
    Ended(End),
}

impl Reader {
    fn add(flight: &Arc<Flight>, state: &mut State) -> Reader {
        state.readers.push(Some(state.base));
        Reader { flight: flight.clone(), slot: state.readers.len() - 1 }
    }

    /// `None` when pieces are gone that this reader would need.
    fn join(flight: &Arc<Flight>) -> Option<Reader> {
        let mut state = flight.state.lock();
        (state.keep && state.end.is_none()).then(|| Reader::add(flight, &mut state))
    }

    /// Waits for the head, or an end without one.
    pub async fn opening(&self) -> Opening {
        self.flight
            .wait(|state| match (&state.head, &state.end) {
                (Some(head), _) => Some(Opening::Begun(head.clone())),
                (None, Some(end)) => Some(Opening::Ended(end.clone())),
                (None, None) => None,
            })
            .await
    }

    /// The next piece; `None` at the end.
    pub async fn next(&self) -> Option<Bytes> {
        let piece = self
            .flight
            .wait(|state| {
                let next = state.readers[self.slot].unwrap_or(state.base);
                match state.pieces.get(next - state.base) {
                    Some(piece) => {
                        let piece = piece.clone();
                        state.readers[self.slot] = Some(next + 1);
                        Some(Some(piece))
                    }
                    None => state.end.as_ref().map(|_| None),
                }
            })
            .await;
        // Room may have come for a lead that waits for this reader.
        if !self.flight.state.lock().keep {
            self.flight.changed.notify_waiters();
        }
        piece
    }

    /// Waits for the end.
    pub async fn end(&self) -> End {
        self.flight.wait(|state| state.end.clone()).await
    }

    /// What the flight is yet to tell, for who asks when the reader is gone.
    pub fn later(&self) -> Later {
        Later(self.flight.clone())
    }
}

/// What a flight tells when it is over.
#[derive(Clone, Debug)]
pub struct Later(Arc<Flight>);

impl Later {
    /// What is known of an answer that came whole; `None` before its end, and of one that failed.
    pub fn tail(&self) -> Option<Tail> {
        let state = self.0.state.lock();
        matches!(state.end, Some(End::Whole(_) | End::Opaque)).then(|| state.tail.clone())
    }

    /// What it has cost as far as that is known, whole or not.
    pub fn cost(&self) -> Option<MicroUsd> {
        self.0.state.lock().tail.cost
    }

    /// What it has taken and cost as far as that is known, whole or not.
    pub fn taken(&self) -> (Option<Usage>, Option<MicroUsd>) {
        let state = self.0.state.lock();
        (state.tail.usage, state.tail.cost)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.flight.change(|state| {
            state.readers[self.slot] = None;
            state.trim();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::error::ErrorKind;
    use std::time::Duration;

    const KEY: Digest = Digest([7; 32]);

    fn head() -> Head {
        Head {
            surface: Surface::ChatCompletions,
            cost: None,
            content_type: HeaderValue::from_static("text/event-stream"),
            stream: true,
            include_usage: false,
            provider: "p".into(),
            headers: HeaderMap::new(),
            id: None,
            lost: Lost::default(),
            translated: false,
            priced: false,
            guarded: false,
        }
    }

    fn lead(joined: Joined) -> Lead {
        match joined {
            Joined::Lead(lead) => lead,
            Joined::Follow(_) => panic!("expected the lead"),
        }
    }

    async fn read_all(reader: Reader) -> (Vec<Bytes>, End) {
        let mut pieces = Vec::new();
        while let Some(piece) = reader.next().await {
            pieces.push(piece);
        }
        let end = reader.end().await;
        (pieces, end)
    }

    #[tokio::test]
    async fn late_readers_get_every_piece() {
        let flights = Arc::new(Flights::default());
        let lead = lead(flights.join(KEY));
        let first = tokio::spawn(read_all(lead.reader()));
        lead.begin(head());
        lead.push(Bytes::from_static(b"a")).await;
        lead.push(Bytes::from_static(b"b")).await;
        let Joined::Follow(follower) = flights.join(KEY) else { panic!("expected to follow") };
        assert!(matches!(follower.opening().await, Opening::Begun(_)));
        let second = tokio::spawn(read_all(follower));
        lead.push(Bytes::from_static(b"c")).await;
        lead.end(End::Opaque);
        for reader in [first, second] {
            let (pieces, end) = reader.await.unwrap();
            assert_eq!(pieces, ["a", "b", "c"]);
            assert!(matches!(end, End::Opaque));
        }
        assert!(flights.is_empty());
    }

    #[tokio::test]
    async fn a_tail_is_told_of_what_came_whole_only() {
        let lost = Lost::new(&["citations".to_owned()], 0);
        let tail = Tail { cost: Some(MicroUsd(7)), usage: None, lost, guardrails: None };
        let ends = [
            (End::Opaque, Some(tail.clone())),
            (End::Failed(Error::new(ErrorKind::Internal, "x")), None),
            (End::Lost, None),
        ];
        for (end, expected) in ends {
            let lead = Lead::alone();
            let later = lead.reader().later();
            assert!(lead.is_deserted());
            lead.begin(head());
            lead.tell(tail.clone());
            assert_eq!((later.tail(), later.cost()), (None, tail.cost), "before its end");
            lead.end(end);
            assert_eq!((later.tail(), later.cost()), (expected, tail.cost));
        }
    }

    #[tokio::test]
    async fn a_lost_lead_frees_its_followers() {
        let flights = Arc::new(Flights::default());
        let first = lead(flights.join(KEY));
        let Joined::Follow(follower) = flights.join(KEY) else { panic!("expected to follow") };
        let waiting = tokio::spawn(async move { follower.opening().await });
        drop(first);
        assert!(matches!(waiting.await.unwrap(), Opening::Ended(End::Lost)));
        lead(flights.join(KEY)).end(End::Failed(Error::new(ErrorKind::Internal, "x")));
        assert!(flights.is_empty());
    }

    #[tokio::test]
    async fn an_unkept_flight_waits_for_its_slowest_reader() {
        let flights = Arc::new(Flights::default());
        let lead = lead(flights.join(KEY));
        let reader = lead.reader();
        lead.stop_keeping();
        assert!(matches!(flights.join(KEY), Joined::Lead(_)));
        let piece = Bytes::from(vec![0; WINDOW_BYTES]);
        lead.push(piece.clone()).await;
        let mut blocked = Box::pin(lead.push(piece.clone()));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut blocked).await.is_err());
        assert_eq!(reader.next().await.unwrap().len(), WINDOW_BYTES);
        blocked.await;
        drop(reader);
        lead.push(piece).await;
        lead.deserted().await;
    }
}
