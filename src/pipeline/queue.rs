//! `Queue`: where requests wait while every target that would take them is busy. Who is next is `routing`'s to say (`Line`); here
//! it is waited for.
//!
//! Who gives a place back hands it over to whose turn it is, under one lock and before anybody else can take it. A caller who has
//! left is out of the line at once; if it was being handed a place at that moment, the place goes on to the next.

use super::attempts::RouterClock;
use crate::config;
use crate::routing::{Bounds, Cap, Course, Full, Lane, Line, Moment, Pass, Step, Usher};
use crate::telemetry::metrics;
use crate::types::caller::Tenant;
use crate::types::error::{Error, ErrorKind};
use parking_lot::{Mutex, RwLock};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How often who waits looks whether a target has come back by itself: because a limit has ended, or it is well again.
const LOOK: Duration = Duration::from_millis(50);

/// A place: the lane's place in the route, and the request's on the lane.
type Handed = (usize, Pass);

/// All requests that wait.
#[derive(Debug)]
pub struct Queue {
    settings: RwLock<config::Queue>,
    clock: RouterClock,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    line: Line<Waiter>,
    /// When it was last looked for targets that have come back.
    looked: Moment,
}

/// One request in line.
#[derive(Debug)]
struct Waiter {
    lanes: Vec<(usize, Arc<Lane>)>,
    /// What bounds them, each once.
    caps: Vec<Arc<Cap>>,
    hand: oneshot::Sender<Handed>,
}

impl Waiter {
    /// Takes a place on the first of its lanes that has one; there is hardly ever more than one that has.
    fn go(&self, now: Moment) -> Option<(Handed, Vec<u64>)> {
        self.lanes.iter().find_map(|(at, lane)| {
            let pass = lane.begin_from_line(now)?;
            Some(((*at, pass), lane.caps().iter().map(|cap| cap.number()).collect()))
        })
    }

    /// It waits no more.
    fn left(&self) {
        self.caps.iter().for_each(|cap| cap.waited());
    }
}

impl Queue {
    /// An empty line.
    pub fn new(settings: config::Queue, clock: RouterClock) -> Arc<Queue> {
        let settings = RwLock::new(settings);
        Arc::new(Queue { settings, clock, held: Mutex::new(Held { line: Line::default(), looked: Moment::default() }) })
    }

    /// Puts new settings in force; who waits goes on as it began.
    pub fn reconfigure(&self, settings: config::Queue) {
        *self.settings.write() = settings;
    }

    /// Waits until there is something for `course` to do: until it is handed a place, or another way is open. Fails where there is no
    /// room in line, or the wait is too long, or nobody wants the answer any more, which `gone` tells.
    pub(super) async fn wait(
        self: &Arc<Self>,
        course: &mut Course,
        tenant: &Tenant,
        gone: impl Future<Output = ()>,
    ) -> Result<Step, Error> {
        let timeout = self.settings.read().timeout;
        let left = course.deadline().since(self.clock.now());
        let mut place = self.join(tenant.tag(), course.waits_for(), timeout.min(left))?;
        let until = Instant::now() + timeout;
        let mut pause = LOOK;
        tokio::pin!(gone);
        loop {
            let look = (Instant::now() + pause.min(LOOK)).min(until);
            tokio::select! {
                biased;
                handed = &mut place.handed => {
                    place.end = "served";
                    // Whoever hands nothing over is gone: the course begins anew.
                    let sending = handed.ok().and_then(|(at, pass)| course.take(at, pass));
                    return Ok(sending.map_or(Step::Wait(Duration::ZERO), Step::Send));
                }
                () = &mut gone => return Err(unwanted()),
                () = tokio::time::sleep_until(look) => {
                    if look == until {
                        place.end = "timeout";
                        return Err(too_long(timeout));
                    }
                    let now = self.clock.now();
                    self.look(now);
                    if place.is_served() {
                        continue;
                    }
                    pause = match course.next(now) {
                        Step::Queue => LOOK,
                        // It keeps its turn, for it will hardly be longer.
                        Step::Wait(pause) if pause <= LOOK => pause,
                        step => return Ok(step),
                    };
                }
            }
        }
    }

    /// Takes a place in line, for whichever of `lanes` has one first.
    fn join(self: &Arc<Self>, tenant: u64, lanes: Vec<(usize, Arc<Lane>)>, patience: Duration) -> Result<Place, Error> {
        let mut caps: Vec<Arc<Cap>> = lanes.iter().flat_map(|(_, lane)| lane.caps()).cloned().collect();
        caps.sort_unstable_by_key(|cap| cap.number());
        caps.dedup_by_key(|cap| cap.number());
        let numbers: Vec<u64> = caps.iter().map(|cap| cap.number()).collect();
        let (hand, handed) = oneshot::channel();
        let config::Queue { most, most_per_tenant, .. } = *self.settings.read();
        let bounds = Bounds { most, most_per_tenant };
        let ticket = {
            let now = self.clock.now();
            let mut held = self.held.lock();
            let wait = held.line.would_wait(tenant, &numbers, now);
            held.line.room(tenant, bounds).map_err(|full| no_room(full, bounds, wait))?;
            if let Some(wait) = wait.filter(|wait| *wait > patience) {
                return Err(too_late(wait, patience));
            }
            let waiter = Waiter { lanes, caps: caps.clone(), hand };
            let joined = held.line.join(tenant, &numbers, waiter, bounds, now);
            let ticket = joined.map_err(|full| no_room(full, bounds, wait))?;
            let usher: Weak<Queue> = Arc::downgrade(self);
            caps.iter().for_each(|cap| cap.wait(usher.clone()));
            ticket
        };
        metrics::queued();
        let place = Place { queue: self.clone(), ticket, handed, since: Instant::now(), end: "left" };
        // A place that got free before it was said that somebody waits.
        for cap in &caps {
            self.serve(cap.number(), || !cap.is_full(), false);
        }
        Ok(place)
    }

    /// Hands places of `cap` over to whose turn it is, while there are `more`; `freed`: one of them has just got free.
    fn serve(&self, cap: u64, more: impl Fn() -> bool, freed: bool) {
        let now = self.clock.now();
        let mut served = Vec::new();
        {
            let mut held = self.held.lock();
            if freed {
                held.line.freed(cap, now);
            }
            while more() {
                let Some((waiter, handed)) = held.line.serve(cap, |waiter| waiter.go(now)) else { break };
                waiter.left();
                served.push((waiter.hand, handed));
            }
        }
        for (hand, handed) in served {
            // Who has left in this moment does not take it. Then it is dropped, out of the lock, and so handed on.
            drop(hand.send(handed));
        }
    }

    /// Looks whether targets have come back without anybody's place getting free; often enough for all that wait together.
    fn look(&self, now: Moment) {
        let caps = {
            let mut held = self.held.lock();
            if now.since(held.looked) < LOOK {
                return;
            }
            held.looked = now;
            held.line.caps()
        };
        caps.into_iter().for_each(|cap| self.serve(cap, || true, false));
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.held.lock().line.len()
    }
}

impl Usher for Queue {
    fn freed(&self, cap: &Cap) {
        self.serve(cap.number(), || !cap.is_full(), true);
    }
}

/// A place in line; out of it when dropped.
struct Place {
    queue: Arc<Queue>,
    ticket: u64,
    /// What it waits for. Dropped after it has left: what is handed over until then goes on to the next.
    handed: oneshot::Receiver<Handed>,
    since: Instant,
    /// How it ends, for the metrics.
    end: &'static str,
}

impl Place {
    /// Has it been handed something that it has not taken yet?
    fn is_served(&self) -> bool {
        !self.handed.is_empty()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.queue.held.lock().line.leave(self.ticket);
        if let Some(waiter) = left {
            waiter.left();
        }
        metrics::queue_left(self.end, self.since.elapsed());
    }
}

/// When it is worth coming back: when the wait is likely to be over, or in a second.
fn come_back(wait: Option<Duration>) -> Option<Duration> {
    Some(wait.unwrap_or_default().max(Duration::from_secs(1)))
}

fn no_room(full: Full, bounds: Bounds, wait: Option<Duration>) -> Error {
    let error = match full {
        Full::Tenant => {
            metrics::queue_refused("tenant_full");
            let most = bounds.most_per_tenant;
            let message = format!(
                "Every target of this model is busy, and {most} of your requests wait already (`queue.most_per_tenant`)."
            );
            Error::new(ErrorKind::TooMany, message)
        }
        Full::Whole => {
            metrics::queue_refused("full");
            let most = bounds.most;
            let message =
                format!("Every target of this model is busy, and {most} requests wait already (`queue.most`).");
            Error::new(ErrorKind::Overloaded, message)
        }
    };
    Error { retry_after: come_back(wait), ..error.with_code("queue_full") }
}

fn too_late(wait: Duration, patience: Duration) -> Error {
    metrics::queue_refused("too_late");
    let message = format!(
        "Every target of this model is busy, and its turn would come in about {} ms, later than the {} ms that it may wait.",
        wait.as_millis(),
        patience.as_millis()
    );
    let error = Error::new(ErrorKind::Overloaded, message).with_code("queue_timeout");
    Error { retry_after: come_back(wait.checked_sub(patience)), ..error }
}

fn too_long(timeout: Duration) -> Error {
    let message = format!("Every target of this model was busy for {} ms (`queue.timeout_ms`).", timeout.as_millis());
    let error = Error::new(ErrorKind::Overloaded, message).with_code("queue_timeout");
    Error { retry_after: come_back(None), ..error }
}

/// For who comes to read just now: another try is worth its while.
fn unwanted() -> Error {
    Error::new(ErrorKind::UpstreamBroken, "Every caller hung up while the request waited for a target.")
}

#[cfg(test)]
mod tests;
