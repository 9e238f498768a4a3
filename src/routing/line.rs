//! `Line`: requests that wait for a place, and whose turn it is when one is free. It holds no lock, no clock and no task.
//!
//! Every cap has turns of its own, tenant by tenant, and first come, first served within a tenant. So nobody's next request waits
//! for more places of a cap than there are tenants in line for it, however many requests the others have there; and what a tenant
//! asks of one cap costs it no turn at another. Who would take a place of several caps stands in the line of each.
//!
//! A request that needs places of two caps at once is passed over while one of them is full: a place is not kept empty for it.

use super::Moment;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The latest pauses between places are averaged over so many.
const WINDOW: u32 = 16;
/// Fewer say nothing.
const ENOUGH: u32 = 4;
/// What was seen longer ago says nothing.
const RECENT: Duration = Duration::from_secs(120);

/// How many may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Requests together.
    pub most: usize,
    /// Requests of one tenant.
    pub most_per_tenant: usize,
}

/// Why a request may not wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// Its tenant has as many waiting as it may.
    Tenant,
    /// As many wait as may together.
    Whole,
}

/// All requests that wait.
#[derive(Debug)]
pub struct Line<T> {
    /// By ticket; who came later has a higher one.
    waiting: HashMap<u64, Waiting<T>>,
    /// By cap.
    turns: HashMap<u64, Turns>,
    /// How many each tenant has waiting; never 0.
    tenants: HashMap<u64, usize>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    tenant: u64,
    /// In whose lines it stands, each once.
    caps: Vec<u64>,
    item: T,
}

/// Whose turn it is at one cap.
#[derive(Debug, Default)]
struct Turns {
    /// Each tenant's tickets, the oldest first; never empty.
    lines: HashMap<u64, VecDeque<u64>>,
    /// Tenants with a line, the next one first.
    ring: VecDeque<u64>,
    pace: Pace,
}

/// How fast places get free while somebody waits for them.
#[derive(Debug, Default)]
struct Pace {
    /// When the last one did, or the first began to wait for it; `None` while nobody waits.
    last: Option<Moment>,
    /// The mean pause between two, and of how many, and when the last of these was seen.
    mean_us: f64,
    seen: u32,
    at: Moment,
}

impl<T> Default for Line<T> {
    fn default() -> Line<T> {
        Line { waiting: HashMap::new(), turns: HashMap::new(), tenants: HashMap::new(), next_ticket: 0 }
    }
}

impl<T> Line<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Caps that somebody has waited for.
    pub fn caps(&self) -> Vec<u64> {
        self.turns.iter().filter(|(_, turns)| !turns.ring.is_empty()).map(|(cap, _)| *cap).collect()
    }

    /// Is there room for a request of `tenant`?
    pub fn room(&self, tenant: u64, bounds: Bounds) -> Result<(), Full> {
        if self.tenants.get(&tenant).is_some_and(|waiting| *waiting >= bounds.most_per_tenant) {
            return Err(Full::Tenant);
        }
        if self.len() >= bounds.most { Err(Full::Whole) } else { Ok(()) }
    }

    /// Lets a request of `tenant` wait for a place of any of `caps`. The ticket is what it leaves with.
    pub fn join(&mut self, tenant: u64, caps: &[u64], item: T, bounds: Bounds, now: Moment) -> Result<u64, Full> {
        self.room(tenant, bounds)?;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let mut own: Vec<u64> = caps.to_vec();
        own.sort_unstable();
        own.dedup();
        for cap in &own {
            self.turns.entry(*cap).or_default().join(tenant, ticket, now);
        }
        *self.tenants.entry(tenant).or_default() += 1;
        self.waiting.insert(ticket, Waiting { tenant, caps: own, item });
        Ok(ticket)
    }

    /// Takes a request out of the line; `None` where it has had its turn.
    pub fn leave(&mut self, ticket: u64) -> Option<T> {
        let gone = self.waiting.remove(&ticket)?;
        for cap in &gone.caps {
            if let Some(turns) = self.turns.get_mut(cap) {
                turns.leave(gone.tenant, ticket);
            }
        }
        if let Some(waiting) = self.tenants.get_mut(&gone.tenant) {
            *waiting -= 1;
            if *waiting == 0 {
                self.tenants.remove(&gone.tenant);
            }
        }
        Some(gone.item)
    }

    /// Takes out the request whose turn it is at `cap`, of those that `go` lets go. It says, too, of which caps it has taken a place:
    /// there the turn of the tenant is over.
    pub fn serve<R>(&mut self, cap: u64, mut go: impl FnMut(&T) -> Option<(R, Vec<u64>)>) -> Option<(T, R)> {
        let turns = self.turns.get(&cap)?;
        let in_turn = turns.ring.iter().filter_map(|tenant| turns.lines.get(tenant)).flatten();
        let (ticket, (outcome, taken)) =
            in_turn.filter_map(|ticket| Some((*ticket, go(&self.waiting.get(ticket)?.item)?))).next()?;
        let tenant = self.waiting.get(&ticket)?.tenant;
        let item = self.leave(ticket)?;
        for cap in taken {
            if let Some(turns) = self.turns.get_mut(&cap) {
                turns.over(tenant);
            }
        }
        Some((item, outcome))
    }

    /// A place of `cap` got free.
    pub fn freed(&mut self, cap: u64, now: Moment) {
        if let Some(turns) = self.turns.get_mut(&cap) {
            turns.pace.freed(now);
        }
    }

    /// How long a request of `tenant` would wait for a place of any of `caps`: those before it, times the mean pause between places
    /// lately. `None` where that is not known, or where nobody is before it: whoever comes first always waits, or nothing would
    /// be learned of a line that has once been slow.
    pub fn would_wait(&self, tenant: u64, caps: &[u64], now: Moment) -> Option<Duration> {
        let (mut soonest, mut most, mut per_us) = (f64::INFINITY, 0, 0.0);
        for cap in caps {
            let turns = self.turns.get(cap)?;
            let (before, pause) = (turns.before(tenant), turns.pace.mean_us(now)?);
            soonest = soonest.min((before + 1) as f64 * pause);
            most = most.max(before);
            per_us += 1.0 / pause.max(1.0);
        }
        // Who stands in several lines is served by all of them.
        let us = soonest.min((most + 1) as f64 / per_us);
        (most > 0 && us.is_finite()).then(|| Duration::from_micros(us.round() as u64))
    }
}

impl Turns {
    fn join(&mut self, tenant: u64, ticket: u64, now: Moment) {
        self.pace.begin(now);
        let ring = &mut self.ring;
        let line = self.lines.entry(tenant).or_insert_with(|| {
            ring.push_back(tenant);
            VecDeque::new()
        });
        line.push_back(ticket);
    }

    fn leave(&mut self, tenant: u64, ticket: u64) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        if let Ok(at) = line.binary_search(&ticket) {
            line.remove(at);
        }
        if line.is_empty() {
            self.lines.remove(&tenant);
            self.ring.retain(|other| *other != tenant);
        }
        if self.ring.is_empty() {
            self.pace.last = None;
        }
    }

    /// The tenant has had its turn: all others come before it.
    fn over(&mut self, tenant: u64) {
        if let Some(at) = self.ring.iter().position(|other| *other == tenant) {
            self.ring.remove(at);
            self.ring.push_back(tenant);
        }
    }

    /// How many have their turn before a further request of `tenant`, if nobody else comes.
    fn before(&self, tenant: u64) -> usize {
        let waiting = |tenant: &u64| self.lines.get(tenant).map_or(0, VecDeque::len);
        let own = waiting(&tenant);
        let place = self.ring.iter().position(|other| *other == tenant).unwrap_or(self.ring.len());
        let others = self.ring.iter().enumerate().filter(|(_, other)| **other != tenant);
        own + others.map(|(at, other)| waiting(other).min(own + usize::from(at < place))).sum::<usize>()
    }
}

impl Pace {
    /// Somebody waits.
    fn begin(&mut self, now: Moment) {
        self.last.get_or_insert(now);
    }

    fn freed(&mut self, now: Moment) {
        let Some(last) = self.last else { return };
        self.last = Some(now);
        if now.since(self.at) > RECENT {
            self.seen = 0;
        }
        self.seen = (self.seen + 1).min(WINDOW);
        let us = now.since(last).as_micros() as f64;
        self.mean_us += (us - self.mean_us) / f64::from(self.seen);
        self.at = now;
    }

    fn mean_us(&self, now: Moment) -> Option<f64> {
        (self.seen >= ENOUGH && now.since(self.at) <= RECENT).then_some(self.mean_us)
    }
}

#[cfg(test)]
mod tests;
