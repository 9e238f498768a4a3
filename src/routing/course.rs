//! `Course`: one request's way from target to target, until one answers or none is left.
//!
//! A course only decides. Whoever sends asks it for the [`Step`] to take, takes it, and tells it how that went. It holds no clock and
//! no socket, so that the same choices are made in a test by the thousand.
//!
//! What is asked first, of the tiers in their order: a lane that this request has not tried and that takes requests, chosen by the
//! route's strategy. Where there is none: in line, if all that is wrong is that they are busy; else once more where it failed,
//! after a pause and within the retry budget; or where it was failing before, ahead of its time, for want of others.

use super::Moment;
use super::canary::Canary;
use super::fault::Fault;
use super::lane::{Lane, Look, Pass};
use super::latency::Form;
use super::route::{Leg, Route};
use super::strategy::{Candidate, Circumstance, Random, choose, mixed, unit};
use crate::config;
use crate::config::Strategy;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for what another request finds out about a lane.
const FIND_OUT: Duration = Duration::from_millis(20);

/// How long a limited target is left alone that does not say for how long.
const LIMITED: Duration = Duration::from_secs(1);

/// Those who wait for the same limit come back within this time.
const JITTER: Duration = Duration::from_millis(50);

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send it here.
    Send(Sending),
    /// Ask again after this.
    Wait(Duration),
    /// Every lane that would take it has as many requests as it takes: it has to wait for its turn at one of [`Course::waits_for`].
    Queue,
    /// There is nobody left to ask.
    GiveUp(Refusal),
}

/// An attempt to make.
#[derive(Debug)]
pub struct Sending {
    /// The lane's place in the route.
    pub at: usize,
    /// The request's place on the lane.
    pub pass: Pass,
    /// The lane has failed this request before.
    pub again: bool,
}

/// Why nobody is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What stands in the way, where no attempt tells.
    pub why: Why,
    /// When it is worth coming back.
    pub after: Option<Duration>,
}

/// What stands in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// All that may be tried has been.
    Tried,
    /// The time is up.
    TooLate,
    /// Rate limits are reached.
    Limited,
}

/// One request's way.
#[derive(Debug)]
pub struct Course {
    route: Arc<Route>,
    settings: config::Retry,
    began: Moment,
    random: Random,
    stick_to: u64,
    turn: u64,
    /// Lanes that this request has been sent on.
    tried: Vec<bool>,
    /// Lanes that cannot help this request.
    out: Vec<bool>,
    /// How often each target has failed this request in passing.
    failures: Vec<u32>,
    /// How often each lane has refused this request for a limit.
    refusals: Vec<u32>,
    /// Until when each lane is to be left alone by this request, because it said so.
    rests: Vec<Moment>,
    /// Attempts so far.
    attempts: u32,
    /// Kinds of failures after which further targets are asked.
    seen: Seen,
    /// Since when it waits for what others find out.
    waits_since: Option<Moment>,
    /// The lane to ask once more, and when.
    again: Option<(usize, Moment)>,
    over: bool,
    /// The caller's own key goes along.
    callers_key: bool,
    /// What is asked for.
    form: Form,
    trial: Trial,
}

/// What a request has to do with a target on trial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trial {
    /// Nothing.
    Not,
    /// It is drawn for it.
    Drawn,
    /// It was refused there as wrong, which it may be or not.
    Suspect,
}

/// Kinds of failures after which further targets may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// The request was too long for a model.
    pub context_length: bool,
    /// A provider's filter took offence.
    pub content_filter: bool,
}

/// What a course is begun with.
#[derive(Clone, Debug)]
pub struct Start {
    /// The time.
    pub now: Moment,
    /// For the choices that are left to chance.
    pub seed: u64,
    /// What a sticky choice sticks to.
    pub stick_to: u64,
}

impl Course {
    /// The way of one request through `route`.
    pub fn begin(route: Arc<Route>, settings: config::Retry, start: Start) -> Course {
        let lanes = route.legs.len();
        route.hedges().earn();
        let mut random = Random::new(start.seed);
        let trial = draw(&route, start.stick_to, &mut random);
        Course {
            settings,
            began: start.now,
            random,
            stick_to: start.stick_to,
            turn: route.next_turn(),
            tried: vec![false; lanes],
            out: vec![false; lanes],
            failures: vec![0; route.targets.len()],
            refusals: vec![0; lanes],
            rests: vec![Moment::default(); lanes],
            attempts: 0,
            seen: Seen::default(),
            waits_since: None,
            again: None,
            callers_key: false,
            form: Form::default(),
            trial,
            over: false,
            route,
        }
    }

    /// The route.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// When the request has to be answered, or given up.
    pub fn deadline(&self) -> Moment {
        self.began.after(self.settings.total_timeout)
    }

    /// The caller's own key goes along, to providers that the gateway has none for.
    pub fn with_callers_key(self, callers_key: bool) -> Course {
        Course { callers_key, ..self }
    }

    /// What is asked for.
    pub fn asks_for(self, form: Form) -> Course {
        Course { form, ..self }
    }

    /// It has nothing to do with a target on trial: what that fails could not be asked of another.
    pub fn off_trial(self) -> Course {
        Course { trial: Trial::Not, ..self }
    }

    /// The lane at `at` is not asked: it does not serve such requests.
    pub fn leave_out(&mut self, at: usize) {
        if let Some(out) = self.out.get_mut(at) {
            *out = true;
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Moment) -> Step {
        if now >= self.deadline() {
            return give_up(Why::TooLate, None);
        }
        if self.over {
            return give_up(Why::Tried, None);
        }
        if let Some((at, due)) = self.again {
            if now < due {
                return Step::Wait(due.since(now));
            }
            let leg = &self.route.legs[at];
            if self.may(at, leg) && self.look(at, leg, now) == Look::Full {
                return self.fresh(now, true).map_or(Step::Queue, Step::Send);
            }
            self.again = None;
            if let Some(sending) = self.send_again(at, now) {
                return Step::Send(sending);
            }
        }
        match self.fresh(now, true) {
            Some(sending) => Step::Send(sending),
            None => self.otherwise(now),
        }
    }

    /// The lanes whose next place it would take, once it was told to queue; those of lower tiers first.
    pub fn waits_for(&self) -> Vec<(usize, Arc<Lane>)> {
        let again = self.again.map(|(at, _)| at);
        let wanted = |at: usize, leg: &Leg| self.may(at, leg) && (!self.tried[at] || again == Some(at));
        let bounded = self.legs().filter(|(at, leg)| wanted(*at, leg) && !leg.lane.caps().is_empty());
        bounded.map(|(at, leg)| (at, leg.lane.clone())).collect()
    }

    /// It has got a place on the lane at `at` in its turn. `None`: it is not to be asked again.
    pub fn take(&mut self, at: usize, pass: Pass) -> Option<Sending> {
        if self.tried[at] && !pass.lane().retries.take() {
            self.out[at] = true;
            self.again = None;
            return None;
        }
        Some(self.sending(at, pass))
    }

    /// After which time a second attempt beside the one at `at` is worth its cost.
    pub fn hedge_after(&self, at: usize) -> Option<Duration> {
        let hedge = self.route.hedge.as_ref()?;
        let usual = self.route.legs.get(at)?.lane.within(self.form, hedge.share)?;
        Some(usual.max(hedge.at_least))
    }

    /// A second attempt beside the one under way, if there is a lane and the budget has it.
    pub fn hedge(&mut self, now: Moment) -> Option<Sending> {
        self.route.hedge.as_ref()?;
        if !self.any_fresh(now) || !self.route.hedges().take() {
            return None;
        }
        self.fresh(now, false)
    }

    /// The attempt at `at` failed; `after` is when its target wants to be asked again, where it said so.
    pub fn failed(&mut self, at: usize, fault: Fault, after: Option<Duration>, now: Moment) {
        let Some(target) = self.route.legs.get(at).map(|leg| leg.target) else { return };
        if self.is_on_trial(at) {
            // Whatever it says, the others are asked.
            self.trial = if is_about_the_request(fault) { Trial::Suspect } else { self.trial };
            return self.leave(target);
        }
        match fault {
            Fault::Caller => self.over = true,
            Fault::ContextLength => {
                self.seen.context_length = true;
                self.leave(target);
            }
            Fault::ContentFilter => {
                self.seen.content_filter = true;
                self.leave(target);
            }
            Fault::Unable => self.leave(target),
            Fault::Key | Fault::Forbidden => self.out[at] = true,
            Fault::Limited(after) => {
                self.refusals[at] += 1;
                self.rest(at, after.unwrap_or(LIMITED), now);
                self.out[at] |= self.refusals[at] >= self.settings.attempts;
            }
            Fault::Passing => {
                self.failures[target] += 1;
                if let Some(after) = after {
                    self.rest(at, after, now);
                }
                if self.failures[target] >= self.settings.attempts {
                    // With whatever key: five that each hang would leave the next target no time.
                    self.leave(target);
                } else if self.route.strategy == Strategy::Ordered {
                    self.again_in_order(at, target, after, now);
                }
            }
        }
    }

    /// The attempt at `at` ended: it was answered, or failed for `fault`. Tells whether a target on trial has failed once too often.
    ///
    /// That a request is wrong, too long or not to be had there is no failure, unless another target answers it.
    pub fn ended(&self, at: usize, fault: Option<Fault>) -> Option<&Arc<Canary>> {
        let (_, canary) = self.route.canary()?;
        let about_the_request = fault.is_some_and(is_about_the_request);
        let rolled_back = match self.is_on_trial(at) {
            true => !about_the_request && canary.ended(fault.is_some()),
            false => {
                canary.other_ended(fault.is_some() && !about_the_request);
                fault.is_none() && self.trial == Trial::Suspect && canary.ended(true)
            }
        };
        rolled_back.then_some(canary)
    }

    fn is_on_trial(&self, at: usize) -> bool {
        self.route.legs.get(at).is_some_and(|leg| self.route.is_on_trial(leg))
    }

    /// The lane at `at` wants to be left alone for a while: for too long a while, it cannot help this request.
    fn rest(&mut self, at: usize, after: Duration, now: Moment) {
        self.rests[at] = now.after(after);
        self.out[at] |= after > self.settings.retry_after_max;
    }

    /// Who is first in an order is asked again before the next, unless it wants to be left alone and there is another.
    fn again_in_order(&mut self, at: usize, target: usize, after: Option<Duration>, now: Moment) {
        let more = self.legs().any(|(one, leg)| leg.target == target && self.is_open(one, leg, now));
        let due = now.after(self.pause()).max(self.rests[at]);
        let well = matches!(self.route.legs[at].lane.look(now), Look::Ready(_) | Look::Full) && !self.out[at];
        if !more && well && due < self.deadline() && (after.is_none() || !self.any_fresh(now)) {
            self.again = Some((at, due));
        }
    }

    /// A target that cannot do this, or has failed too often, is not asked again.
    fn leave(&mut self, target: usize) {
        for (at, leg) in self.route.legs.iter().enumerate() {
            self.out[at] |= leg.target == target;
        }
    }

    /// What the lane at `at` takes of this request now.
    fn look(&self, at: usize, leg: &Leg, now: Moment) -> Look {
        if self.rests[at] > now { Look::Limited(self.rests[at]) } else { leg.lane.look(now) }
    }

    fn legs(&self) -> impl Iterator<Item = (usize, &Leg)> {
        self.route.legs.iter().enumerate()
    }

    /// May this lane be asked at all?
    fn may(&self, at: usize, leg: &Leg) -> bool {
        let (after, seen) = (leg.after, self.seen);
        let called = if seen == Seen::default() {
            after == Seen::default()
        } else {
            (after.context_length && seen.context_length) || (after.content_filter && seen.content_filter)
        };
        called && !self.out[at] && (self.trial == Trial::Drawn && self.is_trial_on() || !self.route.is_on_trial(leg))
    }

    fn is_trial_on(&self) -> bool {
        self.route.canary().is_some_and(|(_, canary)| canary.is_on())
    }

    /// Is it one that has not been tried, and takes requests?
    fn is_open(&self, at: usize, leg: &Leg, now: Moment) -> bool {
        self.may(at, leg) && !self.tried[at] && matches!(self.look(at, leg, now), Look::Ready(_))
    }

    fn any_fresh(&self, now: Moment) -> bool {
        self.legs().any(|(at, leg)| self.is_open(at, leg, now))
    }

    /// A lane that has not been tried, of the first tier that has one. With `probes`, one that was failing may be asked, too, to
    /// find out whether it still is.
    fn fresh(&mut self, now: Moment, probes: bool) -> Option<Sending> {
        let route = self.route.clone();
        let around = Circumstance { now, turn: self.turn, stick_to: self.stick_to, form: self.form };
        let mut from = 0;
        while let Some(first) = route.legs.get(from) {
            let same = |leg: &&Leg| leg.tier == first.tier && route.is_on_trial(leg) == route.is_on_trial(first);
            let tier = from..from + route.legs[from..].iter().take_while(same).count();
            from = tier.end;
            let mut candidates: Vec<Candidate<'_>> = Vec::with_capacity(tier.len());
            for at in tier {
                let leg = &route.legs[at];
                if self.tried[at] || !self.may(at, leg) {
                    continue;
                }
                match self.look(at, leg, now) {
                    Look::Ready(share) => {
                        let (lane, target, cost) = (&leg.lane, leg.target, leg.cost);
                        candidates.push(Candidate { at, lane, target, weight: leg.weight * share, cost });
                    }
                    // In an order, only one that comes before those that are well, or is another key of the same target.
                    Look::Due
                        if route.strategy != Strategy::Ordered
                            || candidates.first().is_none_or(|first| first.target == leg.target) =>
                    {
                        let probe = if probes { leg.lane.begin_probe(now, false) } else { None };
                        if let Some(pass) = probe {
                            return Some(self.sending(at, pass));
                        }
                    }
                    _ => {}
                }
            }
            // Whoever hangs or breaks rarely does so with one key only: where there is a choice, another target is asked first.
            let sound = |one: &Candidate<'_>| self.failures[one.target] == 0;
            if route.strategy != Strategy::Ordered && candidates.iter().any(sound) {
                candidates.retain(sound);
            }
            while let Some(chosen) = choose(route.strategy, &candidates, around, &mut self.random) {
                let at = candidates[chosen].at;
                if let Some(pass) = route.legs[at].lane.begin(now) {
                    return Some(self.sending(at, pass));
                }
                candidates.remove(chosen);
            }
        }
        None
    }

    fn sending(&mut self, at: usize, pass: Pass) -> Sending {
        let mut pass = pass;
        let again = std::mem::replace(&mut self.tried[at], true);
        if !again {
            pass.lane().retries.earn();
        }
        if self.callers_key {
            pass.with_callers_key();
        }
        pass.asks_for(self.form);
        if let Some((target, canary)) = self.route.canary() {
            let its = self.route.legs[at].target == target;
            pass.is_beside(canary, its);
            // From here on it is nobody's way out.
            self.trial = if its || self.trial == Trial::Suspect { self.trial } else { Trial::Not };
        }
        self.attempts += 1;
        self.again = None;
        Sending { at, pass, again }
    }

    /// Once more on a lane that failed this request, if it takes requests and the retry budget has one.
    fn send_again(&mut self, at: usize, now: Moment) -> Option<Sending> {
        let leg = &self.route.legs[at];
        let lane = leg.lane.clone();
        if !self.may(at, leg) {
            return None;
        }
        let pass = match self.look(at, leg, now) {
            Look::Ready(_) => lane.begin(now),
            Look::Due | Look::Resting(_) => lane.begin_probe(now, true),
            _ => None,
        }?;
        if !lane.retries.take() {
            self.out[at] = true;
            return None;
        }
        Some(self.sending(at, pass))
    }

    /// No lane is both untried and well.
    fn otherwise(&mut self, now: Moment) -> Step {
        // Nothing is waited for that is on trial.
        if self.trial == Trial::Drawn {
            self.trial = Trial::Not;
        }
        let is_full = |(at, leg): (usize, &Leg)| !self.tried[at] && self.look(at, leg, now) == Look::Full;
        if self.legs().filter(|(at, leg)| self.may(*at, leg)).any(is_full) {
            return Step::Queue;
        }
        // Where it failed least so far; whose limit ends first; one whose key is refused; one that another finds out about.
        let mut again: Option<(u32, usize)> = None;
        let mut limited: Option<(Moment, usize)> = None;
        let (mut dead, mut stuck) = (None, None);
        for at in 0..self.route.legs.len() {
            let leg = &self.route.legs[at];
            if !self.may(at, leg) {
                continue;
            }
            let lane = leg.lane.clone();
            match self.look(at, leg, now) {
                Look::Dead if !self.tried[at] => dead = dead.or(Some(at)),
                Look::Dead => {}
                Look::Limited(until) if limited.is_none_or(|(known, _)| until < known) => limited = Some((until, at)),
                Look::Limited(_) => {}
                Look::Due | Look::Resting(_) if !self.tried[at] => {
                    // Somebody has to be asked: ahead of its time, one at a time.
                    if let Some(pass) = lane.begin_probe(now, true) {
                        return Step::Send(self.sending(at, pass));
                    }
                    stuck = stuck.or(Some(at));
                }
                Look::Ready(_) | Look::Full | Look::Due | Look::Resting(_) => {
                    let failures = self.failures[leg.target];
                    if again.is_none_or(|(known, _)| failures < known) {
                        again = Some((failures, at));
                    }
                }
            }
        }
        if let Some(at) = stuck {
            return self.wait_for_another(at, now);
        }
        let again = again.map(|(_, at)| (now.after(self.pause()), at));
        // Not all at once who waited for the same limit.
        let limited = limited.map(|(until, at)| (until.after(JITTER.mul_f64(self.random.unit())), at));
        match (again, limited) {
            (Some((due, at)), limited) if limited.is_none_or(|(until, _)| due <= until) => self.later(at, due, now),
            (_, Some((until, at))) if until < self.deadline() && self.is_soon(until, now) => self.later(at, until, now),
            (Some((due, at)), _) => self.later(at, due, now),
            (None, Some((until, _))) => give_up(Why::Limited, Some(until.since(now))),
            (None, None) => match dead {
                Some(at) => self.send_anyway(at, now),
                None => give_up(Why::Tried, None),
            },
        }
    }

    fn is_soon(&self, until: Moment, now: Moment) -> bool {
        until.since(now) <= self.settings.retry_after_max + JITTER
    }

    /// Waits, and asks the lane at `at` again where it has been asked before.
    fn later(&mut self, at: usize, due: Moment, now: Moment) -> Step {
        if self.tried[at] {
            self.again = Some((at, due));
        }
        self.wait_until(due, now)
    }

    /// Another request finds out about the lane at `at`: its outcome is waited for, but not for ever.
    fn wait_for_another(&mut self, at: usize, now: Moment) -> Step {
        let since = *self.waits_since.get_or_insert(now);
        if now.since(since) < self.route.legs[at].lane.probe_lease() * 2 {
            return self.wait_until(now.after(FIND_OUT), now);
        }
        self.waits_since = None;
        self.send_anyway(at, now)
    }

    fn send_anyway(&mut self, at: usize, now: Moment) -> Step {
        match self.route.legs[at].lane.begin_anyway(now) {
            Some(pass) => Step::Send(self.sending(at, pass)),
            None => self.wait_until(now.after(FIND_OUT), now),
        }
    }

    fn wait_until(&self, due: Moment, now: Moment) -> Step {
        if due >= self.deadline() {
            return give_up(Why::TooLate, None);
        }
        Step::Wait(due.since(now))
    }

    /// The pause before a target is asked again: it doubles with each attempt; between half and all of it, so that callers do not
    /// come back in step.
    fn pause(&mut self) -> Duration {
        let times = self.attempts.saturating_sub(1);
        let doubled = self.settings.backoff.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX));
        doubled.min(self.settings.backoff_max).mul_f64(0.5 + 0.5 * self.random.unit())
    }
}

/// Does it say something of the request, and perhaps nothing of the target?
fn is_about_the_request(fault: Fault) -> bool {
    matches!(fault, Fault::Caller | Fault::ContextLength | Fault::ContentFilter | Fault::Unable)
}

/// Is a request drawn for the target on trial? Where choices stick, so does that.
fn draw(route: &Route, stick_to: u64, random: &mut Random) -> Trial {
    let Some((_, canary)) = route.canary().filter(|(_, canary)| canary.is_on()) else { return Trial::Not };
    let drawn = match route.strategy {
        Strategy::Sticky => unit(mixed(mixed(stick_to))),
        _ => random.unit(),
    };
    if drawn * 100.0 < canary.settings.percent { Trial::Drawn } else { Trial::Not }
}

fn give_up(why: Why, after: Option<Duration>) -> Step {
    Step::GiveUp(Refusal { why, after })
}
