//! `Lane`: one way to a model, under one key of one provider, and how it is. `Pass`: one request on it.
//!
//! Lanes are shared by all requests and changed without a lock. A pass tells its lane how the request went; one whose
//! caller left before it could tell says that its place is free, and that the lane failed only where the wait was out of all
//! proportion.

use super::Moment;
use super::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use super::breaker::{Admission, Breaker, Phase};
use super::canary::Canary;
use super::cap::Cap;
use super::fault::Fault;
use super::headroom::{Headroom, Room, of_headers};
use super::latency::{Form, Latency, Spread};
use super::retry_budget::RetryBudget;
use crate::config;
use http::HeaderMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long a limited target is left alone that does not say for how long.
const LIMITED: Duration = Duration::from_secs(1);

/// Whose caller leaves sooner has told nothing of the target.
const SOON: Duration = Duration::from_secs(1);

/// Whose lane it is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LaneId {
    /// The provider's name.
    pub provider: String,
    /// What the provider calls the model; `None` for all that no configuration names.
    pub model: Option<String>,
    /// The name of the provider's key, where it has keys.
    pub key: Option<String>,
}

/// A key that was refused is refused on every lane that uses it.
#[derive(Debug, Default)]
pub struct KeyState {
    dead: AtomicBool,
}

/// What a lane is made with.
#[derive(Clone, Debug)]
pub struct LaneSettings {
    /// When it is left alone, and for how long.
    pub breaker: config::Breaker,
    /// How long the one request that finds out whether it is well again keeps others from doing so.
    pub probe_lease: Duration,
    /// Retries as a share of its requests.
    pub retry_percent: u32,
    /// What bounds its requests under way.
    pub caps: Vec<Arc<Cap>>,
    /// Its key, where that is one of ours.
    pub key: Option<Arc<KeyState>>,
}

/// One way to a model.
#[derive(Debug)]
pub struct Lane {
    /// Whose it is.
    pub id: LaneId,
    /// For sticky choices: a number of its own that stays.
    pub hash: u64,
    settings: LaneSettings,
    breaker: Breaker,
    /// By form.
    pace: [Pace; 2],
    headroom: Headroom,
    /// Until when the key is taken not to be for this model, in milliseconds.
    forbidden_ms: AtomicU64,
    in_flight: AtomicU32,
    /// Requests sent, answered and failed, for the operator to see.
    sent: AtomicU64,
    failed: AtomicU64,
    /// Retries on this lane as a share of its requests.
    pub retries: RetryBudget,
}

/// How long it takes.
#[derive(Debug, Default)]
struct Pace {
    mean: Latency,
    spread: Spread,
}

/// What a lane says of a request that would be sent on it now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Look {
    /// It takes requests; it should get this share of its weight.
    Ready(f64),
    /// It was failing, and one request may find out whether it still is.
    Due,
    /// It was failing, and is left alone until then.
    Resting(Moment),
    /// Its rate limit is reached until then.
    Limited(Moment),
    /// As many requests are under way as it takes.
    Full,
    /// Its key is refused: it is asked for want of others only.
    Dead,
}

/// What a request did to the breaker of its lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It opened: the lane is left alone for a while.
    Opened,
    /// It closed: the lane is well again.
    Closed,
}

/// What answers of one form take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Taking {
    /// The mean in microseconds; 0 while nothing is known.
    pub mean_us: f64,
    /// Within this time 95 % came; `None` while too few are known.
    pub p95: Option<Duration>,
}

/// How a lane is, for the operator.
#[derive(Clone, PartialEq, Debug)]
pub struct Health {
    /// The breaker's phase.
    pub phase: Phase,
    /// The share of failures among the last requests.
    pub failing: f64,
    /// What answers take to the first piece of a stream.
    pub first_token: Taking,
    /// What answers take that do not stream.
    pub answer: Taking,
    /// Requests under way.
    pub in_flight: u32,
    /// Requests sent since the start.
    pub sent: u64,
    /// Of these, failed.
    pub failed: u64,
    /// What it takes now.
    pub look: Look,
}

impl Lane {
    /// A lane about which nothing is known.
    pub fn new(id: LaneId, settings: LaneSettings) -> Lane {
        let hash = blake3::hash(format!("{:?}", (&id.provider, &id.model, &id.key)).as_bytes());
        let hash = hash.as_bytes().first_chunk().map_or(0, |head| u64::from_le_bytes(*head));
        Lane {
            id,
            hash,
            retries: RetryBudget::new(settings.retry_percent),
            settings,
            breaker: Breaker::default(),
            pace: Default::default(),
            headroom: Headroom::default(),
            forbidden_ms: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Would it take a request now?
    pub fn look(&self, now: Moment) -> Look {
        self.look_past(now, |cap| cap.is_full() || cap.waiting() > 0)
    }

    /// What it takes now, where caps that are `full` have no place.
    fn look_past(&self, now: Moment, full: impl Fn(&Cap) -> bool) -> Look {
        let forbidden = now.ms() < self.forbidden_ms.load(Ordering::Relaxed);
        if forbidden || self.settings.key.as_ref().is_some_and(|key| key.is_dead()) {
            return Look::Dead;
        }
        let ramp = match self.breaker.admission(now, &self.settings.breaker) {
            Admission::Free(ramp) => ramp,
            Admission::Due => return Look::Due,
            Admission::Until(until) => return Look::Resting(until),
        };
        let room = match self.headroom.room(now) {
            Room::Some(room) => room,
            Room::None(until) => return Look::Limited(until),
        };
        if self.settings.caps.iter().any(|cap| full(cap)) {
            return Look::Full;
        }
        Look::Ready(ramp * room)
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long the one request that finds out whether it is well again keeps others from doing so.
    pub fn probe_lease(&self) -> Duration {
        self.settings.probe_lease
    }

    /// The mean time that answers of `form` take in microseconds; 0 while nothing is known.
    pub fn mean_us(&self, form: Form, now: Moment) -> f64 {
        self.pace(form).mean.us(now)
    }

    /// Within this time `share` of the answers of `form` came; `None` while too few are known.
    pub fn within(&self, form: Form, share: f64) -> Option<Duration> {
        self.pace(form).spread.within(share)
    }

    fn pace(&self, form: Form) -> &Pace {
        let [plain, stream] = &self.pace;
        match form {
            Form::Plain => plain,
            Form::Stream => stream,
        }
    }

    fn taking(&self, form: Form, now: Moment) -> Taking {
        Taking { mean_us: self.mean_us(form, now), p95: self.within(form, 0.95) }
    }

    /// Keys may have been mended: what was refused is asked again.
    pub(super) fn forgive(&self) {
        self.forbidden_ms.store(0, Ordering::Relaxed);
        self.settings.key.iter().for_each(|key| key.dead.store(false, Ordering::Relaxed));
    }

    /// Would one that is made with `settings` be the same?
    pub(super) fn is_made_with(&self, settings: &LaneSettings) -> bool {
        let own = &self.settings;
        let key = match (&own.key, &settings.key) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let caps = own.caps.len() == settings.caps.len()
            && own.caps.iter().zip(&settings.caps).all(|(one, other)| Arc::ptr_eq(one, other));
        let rest = (own.breaker, own.probe_lease, own.retry_percent)
            == (settings.breaker, settings.probe_lease, settings.retry_percent);
        key && caps && rest
    }

    /// Begins a request on a lane that is [`Look::Ready`]. `None`: another took the last place.
    pub fn begin(self: &Arc<Lane>, now: Moment) -> Option<Pass> {
        if let Err(given_back) = self.take_places() {
            // While this held them, the line may have passed over somebody.
            given_back.iter().for_each(|cap| cap.tell());
            return None;
        }
        Some(self.pass(now, false))
    }

    /// Begins a request that has waited in line, if the lane takes one. For who has the line only: others have to wait.
    pub fn begin_from_line(self: &Arc<Lane>, now: Moment) -> Option<Pass> {
        if !matches!(self.look_past(now, Cap::is_full), Look::Ready(_)) {
            return None;
        }
        self.take_places().ok().map(|()| self.pass(now, false))
    }

    /// A place of each cap, or of none; then, those that were given back.
    fn take_places(&self) -> Result<(), &[Arc<Cap>]> {
        let caps = &self.settings.caps;
        match caps.iter().position(|cap| !cap.take()) {
            None => Ok(()),
            Some(full) => {
                let taken = &caps[..full];
                taken.iter().for_each(|cap| cap.give_back());
                Err(taken)
            }
        }
    }

    /// What bounds its requests under way.
    pub fn caps(&self) -> &[Arc<Cap>] {
        &self.settings.caps
    }

    /// Begins the request that finds out whether the lane is well again. `None`: another is finding out. With `early`, before its
    /// pause has passed. It is one more than the lane's caps allow, at worst.
    pub fn begin_probe(self: &Arc<Lane>, now: Moment, early: bool) -> Option<Pass> {
        self.breaker.take_probe(now, self.settings.probe_lease, early).then(|| {
            self.settings.caps.iter().for_each(|cap| cap.add());
            self.pass(now, true)
        })
    }

    /// Begins a request on a lane that does not look well, for want of others. `None`: as many are under way as it takes.
    pub fn begin_anyway(self: &Arc<Lane>, now: Moment) -> Option<Pass> {
        if let Err(given_back) = self.take_places() {
            given_back.iter().for_each(|cap| cap.tell());
            return None;
        }
        Some(self.pass(now, false))
    }

    fn pass(self: &Arc<Lane>, now: Moment, probe: bool) -> Pass {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.sent.fetch_add(1, Ordering::Relaxed);
        Pass { lane: self.clone(), began: now, probe, told: false, callers_key: false, form: Form::Plain, canary: None }
    }

    /// Its provider was found to be there, by something less than an answer. True if that brought the lane back.
    pub fn found_there(&self, now: Moment) -> bool {
        self.breaker.found_there(now)
    }

    /// Its breaker's phase.
    pub fn phase(&self) -> Phase {
        self.breaker.phase()
    }

    /// How it is.
    pub fn health(&self, now: Moment) -> Health {
        Health {
            phase: self.breaker.phase(),
            failing: self.breaker.failing(),
            first_token: self.taking(Form::Stream, now),
            answer: self.taking(Form::Plain, now),
            in_flight: self.in_flight(),
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            look: self.look(now),
        }
    }
}

/// One request on a lane. Its place is free again when this is dropped.
#[derive(Debug)]
pub struct Pass {
    lane: Arc<Lane>,
    began: Moment,
    /// It finds out whether the lane is well again.
    probe: bool,
    /// The lane knows how it went.
    told: bool,
    /// It goes with the caller's own key.
    callers_key: bool,
    /// What is asked for.
    form: Form,
    /// The canary of its route, and whether the lane is that one's.
    canary: Option<(Arc<Canary>, bool)>,
}

impl Pass {
    /// Its lane.
    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Does it find out whether the lane is well again?
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// It goes with the caller's own key, where the lane has none: its limits are those of nobody else.
    pub fn with_callers_key(&mut self) {
        self.callers_key = self.lane.settings.key.is_none();
    }

    /// What is asked for.
    pub(super) fn asks_for(&mut self, form: Form) {
        self.form = form;
    }

    /// Its route has this canary; the lane is `its`, or one of the others.
    pub(super) fn is_beside(&mut self, canary: &Arc<Canary>, its: bool) {
        self.canary = Some((canary.clone(), its));
    }

    /// Is it on the lane of a canary?
    pub fn is_canary(&self) -> bool {
        matches!(self.canary, Some((_, true)))
    }

    /// The answer has begun, with these headers. True if that brought the lane back.
    pub fn answered(&mut self, now: Moment, headers: &HeaderMap) -> bool {
        self.told = true;
        let took = now.since(self.began);
        if self.lane.look(now) == Look::Dead {
            self.lane.forbidden_ms.store(0, Ordering::Relaxed);
            self.lane.settings.key.iter().for_each(|key| key.dead.store(false, Ordering::Relaxed));
        }
        self.took(took, now);
        // Limits of a caller's own key are those of nobody else.
        let ours = !self.callers_key;
        if let Some((left, after)) = of_headers(headers, SystemTime::now()).filter(|_| ours) {
            self.lane.headroom.told(left, after, now);
        }
        self.lane.breaker.succeeded(now, self.probe, &self.lane.settings.breaker)
    }

    /// The attempt failed. `jitter` is in [0, 1). Tells what that did to the lane's breaker.
    pub fn failed(&mut self, fault: Fault, now: Moment, jitter: f64) -> Option<Turn> {
        self.told = true;
        let lane = &self.lane;
        match fault {
            Fault::Passing => {
                return self.fails(now, self.probe, jitter);
            }
            Fault::Limited(after) => {
                lane.failed.fetch_add(1, Ordering::Relaxed);
                if !self.callers_key {
                    lane.headroom.refused(after.unwrap_or(LIMITED), now);
                }
            }
            Fault::Key | Fault::Forbidden => {
                lane.failed.fetch_add(1, Ordering::Relaxed);
                // Where the key is the caller's, the next one has another.
                match &lane.settings.key {
                    Some(key) if fault == Fault::Key => key.dead.store(true, Ordering::Relaxed),
                    Some(_) => {
                        let until = now.after(lane.settings.breaker.open_max).ms();
                        lane.forbidden_ms.store(until, Ordering::Relaxed);
                    }
                    None => {}
                }
            }
            Fault::Caller | Fault::ContextLength | Fault::ContentFilter => {}
            Fault::Unable => {
                // Perhaps it was not even sent.
                self.told = false;
                return None;
            }
        }
        // It spoke: whatever it said, it is there.
        lane.breaker.succeeded(now, self.probe, &lane.settings.breaker).then_some(Turn::Closed)
    }

    /// An answer that had begun broke off. Tells what that did to the lane's breaker, and the canary that it made be rolled back.
    pub fn broke(&mut self, now: Moment, jitter: f64) -> (Option<Turn>, Option<Arc<Canary>>) {
        let rolled_back = self.tells_canary(Canary::broke, Canary::other_broke);
        (self.fails(now, false, jitter), rolled_back)
    }

    /// Counts a failure for the canary of its route, on its side or on that of the others. Gives it where it is rolled back.
    fn tells_canary(&self, own: impl Fn(&Canary) -> bool, other: impl Fn(&Canary)) -> Option<Arc<Canary>> {
        let (canary, its) = self.canary.as_ref()?;
        if *its {
            return own(canary).then(|| canary.clone());
        }
        other(canary);
        None
    }

    /// Another answered first: this one would have taken longer than it has.
    pub fn outrun(&mut self, now: Moment) {
        self.told = true;
        self.took(now.since(self.began), now);
        if self.probe {
            // Who was to find out and was given up has found out.
            self.lane.breaker.failed(now, self.finds_out_until(), 0.5, &self.lane.settings.breaker);
        }
    }

    /// The caller left before there was an answer. Who is much slower than ever, so that callers leave, fails. Tells what that did to
    /// the lane's breaker, and the canary that it made be rolled back.
    pub fn left(&mut self, now: Moment, jitter: f64) -> (Option<Turn>, Option<Arc<Canary>>) {
        if self.told || now.since(self.began) < self.patience() {
            return (None, None);
        }
        self.told = true;
        let rolled_back = self.tells_canary(|canary| canary.ended(true), |canary| canary.other_ended(true));
        (self.fails(now, self.probe, jitter), rolled_back)
    }

    /// Longer than a target takes that is well.
    fn patience(&self) -> Duration {
        let usual = self.lane.within(self.form, 0.99).map(|usual| usual * 2);
        usual.unwrap_or(self.lane.settings.probe_lease * 2).max(SOON)
    }

    fn took(&self, took: Duration, now: Moment) {
        let pace = self.lane.pace(self.form);
        pace.mean.observe(took, now);
        pace.spread.observe(took);
    }

    /// Until when it was to be heard of, if it finds out whether the lane is well again.
    fn finds_out_until(&self) -> Option<Moment> {
        self.probe.then(|| self.began.after(self.lane.settings.probe_lease))
    }

    fn fails(&self, now: Moment, probe: bool, jitter: f64) -> Option<Turn> {
        self.lane.failed.fetch_add(1, Ordering::Relaxed);
        let probe = self.finds_out_until().filter(|_| probe);
        opened(self.lane.breaker.failed(now, probe, jitter, &self.lane.settings.breaker))
    }
}

fn opened(opened: bool) -> Option<Turn> {
    opened.then_some(Turn::Opened)
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.lane.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.lane.settings.caps.iter().for_each(|cap| cap.give_back());
        if self.probe && !self.told {
            self.lane.breaker.give_probe_back(self.began, self.lane.settings.probe_lease);
        }
        self.lane.settings.caps.iter().for_each(|cap| cap.tell());
    }
}

impl KeyState {
    /// Is it refused?
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}
