//! Attempts: a request is sent to one target after the other, as its course says, until one answers; and to a second one beside the
//! first, where that is slow and the route hedges.
//!
//! Whose attempt is not needed any more is dropped, and with it its request upstream. What an attempt is does not matter here: a
//! conversation, a file; in a test, a story with a clock of its own.

use super::queue::Queue;
use crate::routing::{Canary, Course, Fault, Lane, Moment, Pass, Refusal, Sending, Step, Turn, Why};
use crate::telemetry::metrics::{self, OfLane};
use crate::types::caller::Tenant;
use crate::types::error::{Error, ErrorKind};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What the attempts of one request are made with.
pub(super) trait Sender: Sync {
    /// What an attempt that was answered gives.
    type Answer: Send;

    /// Makes an attempt, of which there may be two at a time, on the lane at `at` of the route.
    fn attempt<'s>(&'s self, at: usize, lane: &'s Lane) -> BoxFuture<'s, Result<Self::Answer, Error>>;

    /// The headers of an answer.
    fn headers<'a>(&self, answer: &'a Self::Answer) -> &'a HeaderMap;

    /// An attempt on `lane` failed after `took`.
    fn failed(&self, lane: &Lane, error: &Error, took: Duration);

    /// Whose request it is: in line, tenants have turns.
    fn tenant(&self) -> &Tenant;

    /// Resolves when nobody wants the answer any more that is still waited for in line.
    fn gone(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// May it be sent twice at a time?
    fn may_hedge(&self) -> bool {
        true
    }

    /// May it be sent again after `error`?
    fn may_repeat(&self, error: &Error) -> bool {
        let _ = error;
        true
    }
}

/// One attempt, for who wants to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tried {
    /// The provider.
    pub(super) provider: String,
    /// The key's name, where the provider has keys.
    pub(super) key: Option<String>,
    /// How it ended: `ok`, or the error's word.
    pub(super) outcome: String,
    /// What it took.
    pub(super) took: Duration,
}

/// A request that was answered.
pub(super) struct Answered<A> {
    /// What was answered.
    pub(super) answer: A,
    /// The lane's place in the route.
    pub(super) at: usize,
    /// The request's place on its lane; to be held until the answer has ended.
    pub(super) pass: Pass,
    /// All attempts.
    pub(super) tried: Vec<Tried>,
}

/// The router's clock.
#[derive(Clone, Copy, Debug)]
pub struct RouterClock {
    start: Instant,
}

impl RouterClock {
    /// A clock that begins now.
    pub fn begin() -> RouterClock {
        // Not at nothing: moments of 0 are the past of everything.
        RouterClock { start: Instant::now() - Duration::from_millis(1) }
    }

    /// The time.
    pub fn now(&self) -> Moment {
        Moment::since_start(self.start.elapsed())
    }
}

/// What is under way.
struct UnderWay {
    at: usize,
    /// Until it has ended.
    pass: Option<Pass>,
    began: Instant,
    clock: RouterClock,
}

impl Drop for UnderWay {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        let Some(pass) = &mut self.pass else { return };
        let (turn, rolled_back) = pass.left(self.clock.now(), chance());
        if let Some(turn) = turn {
            turned(pass.lane(), turn);
        }
        roll_back(rolled_back.as_ref());
    }
}

/// Goes the course, and waits in line where it has to. The error is that of the last attempt, or says why there was none.
pub(super) async fn go<S: Sender>(
    sender: &S,
    mut course: Course,
    queue: &Arc<Queue>,
    clock: RouterClock,
) -> Result<Answered<S::Answer>, (Error, Vec<Tried>)> {
    let total = course.deadline().since(clock.now());
    let deadline = Instant::now() + total;
    let mut tried = Vec::new();
    let mut last: Option<Error> = None;
    loop {
        let step = match course.next(clock.now()) {
            Step::Queue => match queue.wait(&mut course, sender.tenant(), sender.gone()).await {
                Ok(step) => step,
                Err(error) => return Err((last.unwrap_or(error), tried)),
            },
            step => step,
        };
        match step {
            Step::Send(sending) => {
                count(&sending, last.is_some());
                match race(sender, &mut course, sending, clock, deadline, &mut tried).await {
                    Ok((answer, at, pass)) => return Ok(Answered { answer, at, pass, tried }),
                    Err(error) if !sender.may_repeat(&error) => return Err((error, tried)),
                    Err(error) => last = Some(error),
                }
            }
            Step::Wait(pause) => tokio::time::sleep(pause).await,
            Step::Queue => {}
            Step::GiveUp(refusal) => return Err((last.unwrap_or_else(|| refused(refusal, total)), tried)),
        }
    }
}

/// Counts an attempt that is not a request's first.
fn count(sending: &Sending, failed_before: bool) {
    let provider = &sending.pass.lane().id.provider;
    match (sending.again, failed_before) {
        (true, _) => metrics::retried(provider),
        (false, true) => metrics::fell_back(provider),
        (false, false) => {}
    }
}

/// Makes an attempt, and a second one beside it where it is slow. Fails when all that were begun have failed.
async fn race<S: Sender>(
    sender: &S,
    course: &mut Course,
    first: Sending,
    clock: RouterClock,
    deadline: Instant,
    tried: &mut Vec<Tried>,
) -> Result<(S::Answer, usize, Pass), Error> {
    let route = course.route().clone();
    let mut running = FuturesUnordered::new();
    let mut under_way: Vec<UnderWay> = Vec::with_capacity(2);
    let first_at = first.at;
    let mut hedge = course.hedge_after(first.at).filter(|_| sender.may_hedge()).map(|after| Instant::now() + after);
    let begin = |sending: Sending, under_way: &mut Vec<UnderWay>| {
        let Sending { at, pass, .. } = sending;
        under_way.push(UnderWay { at, pass: Some(pass), began: Instant::now(), clock });
        let attempt = sender.attempt(at, &route.legs[at].lane);
        async move { (at, attempt.await) }
    };
    running.push(begin(first, &mut under_way));
    // Where one says that the request is wrong, that is told unless the other answers.
    let mut wrong: Option<Error> = None;
    loop {
        let wake = hedge.map_or(deadline, |at| at.min(deadline));
        tokio::select! {
            biased;
            Some((at, outcome)) = running.next() => {
                let Some(place) = under_way.iter().position(|one| one.at == at) else { continue };
                let mut ended = under_way.swap_remove(place);
                let Some(mut pass) = ended.pass.take() else { continue };
                let (took, now) = (ended.began.elapsed(), clock.now());
                let word = outcome.as_ref().err().map_or_else(|| "ok".to_owned(), |error| error.word().into_owned());
                tried.push(told(pass.lane(), word, took));
                match outcome {
                    Ok(answer) => {
                        if pass.answered(now, sender.headers(&answer)) {
                            turned(pass.lane(), Turn::Closed);
                        }
                        roll_back(course.ended(at, None));
                        if at != first_at {
                            metrics::hedged(&pass.lane().id.provider, "won");
                        }
                        for one in &mut under_way {
                            let Some(outrun) = &mut one.pass else { continue };
                            outrun.outrun(now);
                            if one.at != first_at {
                                metrics::hedged(&outrun.lane().id.provider, "lost");
                            }
                            tried.push(told(outrun.lane(), "outrun".to_owned(), one.began.elapsed()));
                        }
                        return Ok((answer, at, pass));
                    }
                    Err(error) => {
                        let fault = Fault::of(&error);
                        fail(&mut pass, fault, now);
                        roll_back(course.ended(at, Some(fault)));
                        course.failed(at, fault, error.retry_after, now);
                        if at != first_at {
                            metrics::hedged(&pass.lane().id.provider, "failed");
                        }
                        sender.failed(pass.lane(), &error, took);
                        let error = wrong.take().unwrap_or(error);
                        if under_way.is_empty() {
                            return Err(error);
                        }
                        wrong = Some(error).filter(|_| fault == Fault::Caller);
                    }
                }
            }
            () = tokio::time::sleep_until(wake) => {
                if wake >= deadline {
                    let error = Error::new(ErrorKind::UpstreamTimeout, "No provider answered in time (`retry.total_timeout_ms`).");
                    for one in &mut under_way {
                        let Some(mut pass) = one.pass.take() else { continue };
                        // Who was asked late has not been given its time.
                        if one.began.elapsed() >= pass.lane().probe_lease() {
                            fail(&mut pass, Fault::Passing, clock.now());
                            roll_back(course.ended(one.at, Some(Fault::Passing)));
                        }
                        sender.failed(pass.lane(), &error, one.began.elapsed());
                        tried.push(told(pass.lane(), error.word().into_owned(), one.began.elapsed()));
                    }
                    return Err(wrong.unwrap_or(error));
                }
                hedge = None;
                if let Some(second) = course.hedge(clock.now()) {
                    metrics::hedged(&second.pass.lane().id.provider, "begun");
                    running.push(begin(second, &mut under_way));
                }
            }
        }
    }
}

/// An attempt that has to be answered in `time`, the operator's for the first token.
pub(super) async fn in_time<A>(
    time: Duration,
    provider: &str,
    attempt: impl Future<Output = Result<A, Error>>,
) -> Result<A, Error> {
    tokio::time::timeout(time, attempt).await.unwrap_or_else(|_| {
        let ms = time.as_millis();
        let message =
            format!("Provider `{provider}` did not begin its answer within {ms} ms (`first_token_timeout_ms`).");
        Err(Error::new(ErrorKind::UpstreamTimeout, message))
    })
}

fn fail(pass: &mut Pass, fault: Fault, now: Moment) {
    if let Some(turn) = pass.failed(fault, now, chance()) {
        turned(pass.lane(), turn);
    }
}

/// An answer that had begun broke off.
pub(super) fn broke(pass: &mut Pass, clock: RouterClock) {
    let (turn, rolled_back) = pass.broke(clock.now(), chance());
    if let Some(turn) = turn {
        turned(pass.lane(), turn);
    }
    roll_back(rolled_back.as_ref());
}

/// A target on trial has failed too often, if one has.
fn roll_back(canary: Option<&Arc<Canary>>) {
    if let Some(canary) = canary {
        let (provider, model) = &canary.name;
        tracing::warn!(provider, model, "a canary fails too often: it gets no more requests (`canary`)");
        metrics::rolled_back(provider, model);
    }
}

/// What keeps the pauses of many gateways apart, in [0, 1).
#[cfg(not(test))]
fn chance() -> f64 {
    rand::random()
}

/// The same for stories, each of which can be told again.
#[cfg(test)]
use simulation::chance;

/// A lane is left alone, or taken back.
pub fn turned(lane: &Lane, turn: Turn) {
    let of_lane @ OfLane { provider, model, key } = of_lane(lane);
    let word = match turn {
        Turn::Opened => {
            tracing::warn!(provider, model, key, "a target keeps failing: it is left alone for a while");
            "opened"
        }
        Turn::Closed => {
            tracing::info!(provider, model, key, "a target is well again");
            "closed"
        }
    };
    metrics::breaker_turned(of_lane, word);
}

/// A lane's labels.
pub fn of_lane(lane: &Lane) -> OfLane<'_> {
    OfLane { provider: &lane.id.provider, model: lane.id.model.as_deref(), key: lane.id.key.as_deref() }
}

fn told(lane: &Arc<Lane>, outcome: String, took: Duration) -> Tried {
    Tried { provider: lane.id.provider.clone(), key: lane.id.key.clone(), outcome, took }
}

/// All attempts: the value of `x-askonce-attempts`.
pub(super) fn all(tried: &[Tried]) -> String {
    let one = |tried: &Tried| {
        let Tried { provider, key, outcome, took } = tried;
        let key = key.as_deref().map(|key| format!("/{key}")).unwrap_or_default();
        format!("{provider}{key};outcome={outcome};dur={}", took.as_millis())
    };
    tried.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The error, with all attempts that came before it.
pub(super) fn tell(error: Error, tried: &[Tried]) -> Error {
    let attempts = (!tried.is_empty()).then(|| all(tried).into());
    Error { attempts, ..error }
}

/// How many attempts an error tells of.
pub(super) fn made(error: &Error) -> usize {
    error.attempts.as_ref().map_or(0, |told| told.matches(";outcome=").count())
}

/// Why no attempt was made.
fn refused(refusal: Refusal, total: Duration) -> Error {
    let error = match refusal.why {
        Why::TooLate => {
            let message = format!("No provider answered within {} ms (`retry.total_timeout_ms`).", total.as_millis());
            Error::new(ErrorKind::UpstreamTimeout, message)
        }
        Why::Limited => {
            let message = "Every target of this model has reached a rate limit of its provider.";
            Error::new(ErrorKind::UpstreamStatus(429), message).with_code("targets_limited")
        }
        Why::Tried => {
            let message = "No target of this model takes requests at the moment.";
            Error::new(ErrorKind::Overloaded, message).with_code("no_target")
        }
    };
    Error { retry_after: refusal.after.or(Some(Duration::from_secs(1)).filter(|_| refusal.why == Why::Tried)), ..error }
}

#[cfg(test)]
#[path = "attempts/tests/simulation.rs"]
mod simulation;

#[cfg(test)]
#[path = "attempts/tests/crowd.rs"]
mod crowd;

#[cfg(test)]
#[path = "attempts/tests/variety.rs"]
mod variety;
