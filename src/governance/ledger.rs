//! `Ledger`: meters that are held and settled together, all or none, and what of them is written down.
//!
//! A request holds what it may use of every meter that it counts for, in one step. When it has ended it settles: what it used is used,
//! and the rest is free again. A hold that is dropped has used nothing.
//!
//! **What a crash may lose.** Meters of money are written down from time to time, not at each request. So that nobody spends twice what
//! a crash lost, and no two nodes spend the same, a node has a *lease* of each: so much may be held or used without being written down.
//! It is made larger before it is needed; a request for which it does not reach has to wait for that. The lease of a node that is gone
//! counts until its time has passed, for nobody knows what became of the requests that were under way:
//!
//! `used on disk + leases of all nodes <= most`, and `lease >= held + used and not written`, at every moment, but for what requests used
//! beyond what was held for them.

use super::meter::{Meter, Over, Rule};
use crate::store::lease::Ask;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// What a node has and nobody needs it keeps so long.
const IDLE_MS: u64 = 500;
/// What was told of other nodes is believed so long where it would have a request refused.
const FRESH_MS: u64 = 1_000;

/// Tells a meter from all others, in memory and on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MeterId(pub u64);

/// Where a meter is in its ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct At(usize);

/// So much of a meter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Amount {
    /// The meter.
    pub at: At,
    /// In its unit.
    pub amount: u64,
}

/// A meter as it is made.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Whose it is.
    pub id: MeterId,
    /// How much, in what time.
    pub rule: Rule,
    /// To be told of once so much of it is used.
    pub soft: Option<u64>,
    /// It is written down: so much may be used or held before that, at least.
    pub cover: Option<u64>,
}

/// What of a meter is on disk.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// What was used, by the time that it is written under.
    pub used: Vec<(u64, u64)>,
    /// What other nodes have leases of, those among them that are gone.
    pub others: u64,
}

/// What of a meter is to be written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Writing {
    /// Whose it is.
    pub id: MeterId,
    /// The most that may be used.
    pub most: u64,
    /// What was used before that counts no more.
    pub since_ms: u64,
    /// What is to be added to what was used, by time.
    pub used: Vec<(u64, u64)>,
    /// What is to be granted.
    pub ask: Ask,
}

/// What of a meter is on disk after it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// Whose it is.
    pub id: MeterId,
    /// So much may be held or used from then on without being written.
    pub lease: u64,
    /// What all nodes have used, by time.
    pub used: Vec<(u64, u64)>,
    /// What requests of other nodes hold.
    pub others: u64,
    /// Another node needs what it does not have.
    pub wanted: bool,
}

/// Why nothing is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is not enough of a meter left.
    Over(At, Over),
    /// There is, but the cover on disk does not reach: the next time it is written, it will.
    Uncovered(At),
}

/// Meters that are held and settled together.
#[derive(Debug)]
pub struct Ledger {
    /// Other nodes may want what this one does not need.
    shared: bool,
    lines: Mutex<Lines>,
    /// There is something to write.
    wake: Arc<Notify>,
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<Line>,
    /// The latest time that was told.
    now_ms: u64,
    /// Until then what this node was granted is its own, and may be held anew.
    good_until_ms: u64,
    /// Those of which there may be something to write.
    dirty: Vec<usize>,
}

#[derive(Debug)]
struct Line {
    id: MeterId,
    meter: Meter,
    soft: Option<u64>,
    /// The time under which its soft limit was last told of.
    told_at_ms: Option<u64>,
    disk: Option<Disk>,
    /// It is among those of which there may be something to write.
    is_dirty: bool,
}

/// What is on disk of a meter, and what is not yet.
#[derive(Debug, Default)]
struct Disk {
    /// The least to be granted ahead.
    ahead: u64,
    lease: u64,
    /// Less was granted than was asked for.
    short: bool,
    /// Used, and not written; by time.
    unsaved: Vec<(u64, u64)>,
    /// On its way to the disk.
    saving: Option<Saving>,
    /// What was held since it was last written, and when some was last.
    demand: u64,
    held_at_ms: u64,
    /// What somebody would have needed: the least, and the most.
    wish: Option<(u64, u64)>,
    /// What requests of other nodes hold, which is held here as well; and when that was told.
    others: u64,
    told_ms: Option<u64>,
    /// Another node needs what it does not have.
    wanted: bool,
}

#[derive(Debug)]
struct Saving {
    /// The lease afterwards is at least that.
    sure: u64,
    ask: Ask,
}

impl Disk {
    /// May `more` be held, where `held` is?
    fn covers(&self, held: u64, more: u64) -> bool {
        let open = held.saturating_add(sum(&self.unsaved)).saturating_add(more);
        open <= self.saving.as_ref().map_or(self.lease, |saving| saving.sure)
    }

    fn is_fresh(&self, now_ms: u64) -> bool {
        self.told_ms.is_some_and(|told| now_ms.saturating_sub(told) < FRESH_MS)
    }
}

/// What a look at a line tells.
enum Look {
    Write(Writing),
    /// There may be something to write later, though nothing happens.
    Later,
    Nothing,
}

fn sum(used: &[(u64, u64)]) -> u64 {
    used.iter().map(|(_, amount)| amount).fold(0, |all, amount| all.saturating_add(*amount))
}

fn add(used: &mut Vec<(u64, u64)>, at_ms: u64, amount: u64) {
    match used.iter_mut().find(|(at, _)| *at == at_ms) {
        Some((_, known)) => *known = known.saturating_add(amount),
        None if amount > 0 => used.push((at_ms, amount)),
        None => {}
    }
}

impl Lines {
    /// There may be something to write of the line at `at`. True if it is one that is written down.
    fn touch(&mut self, at: usize) -> bool {
        let Some(line) = self.lines.get_mut(at).filter(|line| line.disk.is_some()) else { return false };
        if !line.is_dirty {
            line.is_dirty = true;
            self.dirty.push(at);
        }
        true
    }
}

impl Line {
    fn hold(&mut self, at: At, now_ms: u64, amount: u64, good: bool) -> Result<(), Refused> {
        let own = self.own();
        if let Some(disk) = &mut self.disk
            && amount > 0
        {
            disk.held_at_ms = now_ms;
            if !good || !disk.covers(own, amount) {
                // Who has nothing left need not wait: what other nodes hold is asked for anew before it counts against somebody.
                let mut without = self.meter.clone();
                if !disk.is_fresh(now_ms) {
                    without.settle(now_ms, disk.others, 0);
                }
                without.hold(now_ms, amount).map_err(|over| Refused::Over(at, over))?;
                let need = own.saturating_add(amount);
                let (least, most) = disk.wish.unwrap_or((need, need));
                disk.wish = Some((least.min(need), most.max(need)));
                return Err(Refused::Uncovered(at));
            }
        }
        self.meter.hold(now_ms, amount).map_err(|over| Refused::Over(at, over))?;
        if let Some(disk) = &mut self.disk {
            disk.demand = disk.demand.saturating_add(amount);
        }
        Ok(())
    }

    /// What requests of this node hold.
    fn own(&self) -> u64 {
        self.meter.held().saturating_sub(self.disk.as_ref().map_or(0, |disk| disk.others))
    }

    /// True if the soft limit is reached now, and was not before.
    fn settle(&mut self, now_ms: u64, held: u64, used: u64) -> bool {
        self.meter.settle(now_ms, held, used);
        let at_ms = self.meter.written_at_ms(now_ms);
        if let Some(disk) = &mut self.disk {
            add(&mut disk.unsaved, at_ms, used);
        }
        let reached = self.soft.is_some_and(|soft| used > 0 && self.meter.used(now_ms) >= soft);
        reached && self.told_at_ms.replace(at_ms) != Some(at_ms)
    }

    /// What is to be written; `last`: for the last time, so that nothing more is leased than is held.
    fn look(&mut self, now_ms: u64, shared: bool, last: bool) -> Look {
        let own = self.own();
        let (most, since_ms) = (self.meter.rule().most, self.meter.counts_since_ms(now_ms));
        let Some(disk) = &mut self.disk else { return Look::Nothing };
        if disk.saving.is_some() {
            return Look::Later;
        }
        let idle = shared && disk.wish.is_none() && now_ms.saturating_sub(disk.held_at_ms) >= IDLE_MS;
        // As much again as was asked for since the last time, so that hardly anybody ever waits.
        let ahead = if last || idle || disk.wanted { 0 } else { disk.ahead.max(disk.demand.saturating_mul(2)) };
        let (least, wish) = disk.wish.unwrap_or_default();
        let ask = Ask { firm: own, least, wish, ahead };
        let open = own.saturating_add(sum(&disk.unsaved));
        let enough = disk.short || disk.lease >= open.saturating_add(ahead / 2);
        let too_much = disk.lease / 4 > ask.total() || ((last || idle || disk.wanted) && disk.lease > own);
        if disk.unsaved.is_empty() && enough && disk.wish.is_none() && !too_much {
            return if shared && disk.lease > own { Look::Later } else { Look::Nothing };
        }
        (disk.demand, disk.wish) = (0, None);
        let used = std::mem::take(&mut disk.unsaved);
        let sure = ask.total().min(disk.lease.saturating_sub(sum(&used)));
        disk.saving = Some(Saving { sure, ask });
        Look::Write(Writing { id: self.id, most, since_ms, used, ask })
    }

    /// True if what somebody waits for was not granted.
    fn written(&mut self, now_ms: u64, granted: &Granted) -> bool {
        let Some(disk) = &mut self.disk else { return false };
        let Some(saving) = disk.saving.take() else { return false };
        self.meter.settle(now_ms, disk.others, 0);
        self.meter.hold_anyway(now_ms, granted.others);
        self.meter.forget_used();
        for (at_ms, amount) in granted.used.iter().chain(&disk.unsaved) {
            self.meter.recall(now_ms, *at_ms, *amount);
        }
        (disk.lease, disk.short) = (granted.lease, granted.lease < saving.ask.total());
        (disk.others, disk.wanted, disk.told_ms) = (granted.others, granted.wanted, Some(now_ms));
        granted.lease < saving.ask.least
    }
}

impl Ledger {
    /// One without meters; `shared`: other nodes have leases of the same.
    pub fn new(shared: bool) -> Arc<Ledger> {
        Arc::new(Ledger { shared, lines: Mutex::default(), wake: Arc::new(Notify::new()) })
    }

    /// Adds a meter of which so much is `written`, where it is one that is written down.
    pub fn add(&self, now_ms: u64, entry: Entry, written: &Written) -> At {
        let mut meter = Meter::new(entry.rule);
        let disk = entry.cover.map(|ahead| {
            written.used.iter().for_each(|(at_ms, amount)| meter.recall(now_ms, *at_ms, *amount));
            meter.hold_anyway(now_ms, written.others);
            Disk { ahead, others: written.others, held_at_ms: now_ms, ..Disk::default() }
        });
        let mut lines = self.lines.lock();
        lines.lines.push(Line { id: entry.id, meter, soft: entry.soft, told_at_ms: None, disk, is_dirty: false });
        let at = lines.lines.len() - 1;
        // What others may want as well is asked for when it is needed.
        if !self.shared {
            lines.touch(at);
        }
        At(at)
    }

    /// Another rule for the meter at `at`; what was used stays where the window is the same.
    pub fn set_rule(&self, now_ms: u64, at: At, rule: Rule, soft: Option<u64>) {
        if let Some(line) = self.lines.lock().lines.get_mut(at.0) {
            line.meter.set_rule(now_ms, rule);
            line.soft = soft;
        }
    }

    /// Holds all of `amounts`, or none.
    pub fn hold(self: &Arc<Ledger>, now_ms: u64, amounts: &[Amount]) -> Result<Hold, Refused> {
        let mut lines = self.lines.lock();
        lines.now_ms = lines.now_ms.max(now_ms);
        let good = now_ms < lines.good_until_ms;
        let mut wake = false;
        for (done, Amount { at, amount }) in amounts.iter().enumerate() {
            wake |= lines.touch(at.0);
            let Some(line) = lines.lines.get_mut(at.0) else { continue };
            if let Err(refused) = line.hold(*at, now_ms, *amount, good) {
                for Amount { at, amount } in &amounts[..done] {
                    lines.lines[at.0].meter.settle(now_ms, *amount, 0);
                }
                drop(lines);
                self.wake.notify_one();
                return Err(refused);
            }
        }
        drop(lines);
        if wake {
            self.wake.notify_one();
        }
        Ok(Hold { ledger: self.clone(), amounts: amounts.into() })
    }

    /// What is left of the meter at `at`, of how much, and in how many milliseconds all of it may be used again.
    pub fn left(&self, at: At, now_ms: u64) -> Option<(u64, u64, u64)> {
        let mut lines = self.lines.lock();
        let line = lines.lines.get_mut(at.0)?;
        Some((line.meter.left(now_ms), line.meter.rule().most, line.meter.resets_in_ms(now_ms)))
    }

    /// What of the meter at `at` was used, and is held.
    pub fn used(&self, at: At, now_ms: u64) -> Option<(u64, u64)> {
        let mut lines = self.lines.lock();
        let line = lines.lines.get_mut(at.0)?;
        Some((line.meter.used(now_ms), line.meter.held()))
    }

    /// What is to be written down now. It has to be written as a whole, however often that has to be tried, and [`Ledger::written`] has
    /// to be told what came of it, before this is asked again.
    pub fn to_write(&self, now_ms: u64) -> Vec<Writing> {
        self.writing(now_ms, false)
    }

    /// What is to be written for the last time, of all meters: what was used, and what is still held.
    pub fn to_write_last(&self, now_ms: u64) -> Vec<Writing> {
        {
            let mut lines = self.lines.lock();
            (0..lines.lines.len()).for_each(|at| {
                lines.touch(at);
            });
        }
        self.writing(now_ms, true)
    }

    fn writing(&self, now_ms: u64, last: bool) -> Vec<Writing> {
        let mut lines = self.lines.lock();
        let lines = &mut *lines;
        let mut writing = Vec::new();
        // One of which nothing is to be written has nothing to say until it is touched again.
        lines.dirty.retain(|at| {
            let Some(line) = lines.lines.get_mut(*at) else { return false };
            match line.look(now_ms, self.shared, last) {
                Look::Write(written) => writing.push(written),
                Look::Later => {}
                Look::Nothing => line.is_dirty = false,
            }
            line.is_dirty
        });
        writing
    }

    /// What was to be written is on disk, and that was `granted`; it is this node's own until then. True if somebody still waits for more.
    pub fn written(&self, now_ms: u64, good_until_ms: u64, granted: &[Granted]) -> bool {
        let mut lines = self.lines.lock();
        let lines = &mut *lines;
        lines.good_until_ms = good_until_ms;
        let granted: HashMap<MeterId, &Granted> = granted.iter().map(|one| (one.id, one)).collect();
        let mut waits = false;
        // They stay to be looked at once more: what they need next time may be less.
        for at in &lines.dirty {
            let Some(line) = lines.lines.get_mut(*at) else { continue };
            if let Some(granted) = granted.get(&line.id) {
                waits |= line.written(now_ms, granted);
            }
        }
        waits
    }

    /// What this node has is its own until then.
    pub fn renewed(&self, good_until_ms: u64) {
        self.lines.lock().good_until_ms = good_until_ms;
    }

    /// What this node was granted is gone: it had let its time pass.
    pub fn fenced(&self) {
        let mut lines = self.lines.lock();
        lines.good_until_ms = 0;
        for disk in lines.lines.iter_mut().filter_map(|line| line.disk.as_mut()) {
            disk.lease = 0;
            if let Some(saving) = &mut disk.saving {
                saving.sure = 0;
            }
        }
    }

    /// Has this node leases of anything?
    pub fn has_leases(&self) -> bool {
        self.lines.lock().lines.iter().any(|line| line.disk.as_ref().is_some_and(|disk| disk.lease > 0))
    }

    /// Is there something to be written, perhaps?
    pub fn is_dirty(&self) -> bool {
        !self.lines.lock().dirty.is_empty()
    }

    /// What of each meter that is written down counts no more: what was used before.
    pub fn counts_since_ms(&self, now_ms: u64) -> Vec<(MeterId, u64)> {
        let mut lines = self.lines.lock();
        let written = lines.lines.iter_mut().filter(|line| line.disk.is_some());
        written.map(|line| (line.id, line.meter.counts_since_ms(now_ms))).collect()
    }

    /// Told when there is something to write, and when the ledger is gone.
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

/// What is held for one request. Dropped, it has used nothing.
#[derive(Debug)]
pub struct Hold {
    ledger: Arc<Ledger>,
    amounts: Box<[Amount]>,
}

impl Hold {
    /// What is held of the meter at `at`.
    pub fn of(&self, at: At) -> u64 {
        self.amounts.iter().find(|one| one.at == at).map_or(0, |one| one.amount)
    }

    /// All of it is used: nobody knows how much was.
    pub fn spend(self) {
        let now_ms = self.ledger.lines.lock().now_ms;
        let held: Vec<Amount> = self.amounts.to_vec();
        self.settle(now_ms, |at| held.iter().find(|one| one.at == at).map_or(0, |one| one.amount));
    }

    /// All of it is used as it is held, but for what is `lasting`: that stays held.
    pub fn settle_but(mut self, now_ms: u64, lasting: impl Fn(At) -> bool) -> Hold {
        let (stays, ends): (Vec<Amount>, Vec<Amount>) =
            std::mem::take(&mut self.amounts).into_iter().partition(|one| lasting(one.at));
        let ended = Hold { ledger: self.ledger.clone(), amounts: ends.into() };
        let held: Vec<Amount> = ended.amounts.to_vec();
        ended.settle(now_ms, |at| held.iter().find(|one| one.at == at).map_or(0, |one| one.amount));
        Hold { ledger: self.ledger.clone(), amounts: stays.into() }
    }

    /// The request has ended, and `used` tells what it used of each meter. Gives those whose soft limit that has reached.
    pub fn settle(mut self, now_ms: u64, used: impl Fn(At) -> u64) -> Vec<At> {
        let amounts = std::mem::take(&mut self.amounts);
        let mut lines = self.ledger.lines.lock();
        lines.now_ms = lines.now_ms.max(now_ms);
        let (mut reached, mut wake) = (Vec::new(), false);
        for Amount { at, amount } in &amounts {
            wake |= lines.touch(at.0);
            let Some(line) = lines.lines.get_mut(at.0) else { continue };
            if line.settle(now_ms, *amount, used(*at)) {
                reached.push(*at);
            }
        }
        drop(lines);
        if wake {
            self.ledger.wake.notify_one();
        }
        reached
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.amounts.is_empty() {
            return;
        }
        let mut lines = self.ledger.lines.lock();
        let now_ms = lines.now_ms;
        let mut wake = false;
        for Amount { at, amount } in &self.amounts {
            wake |= lines.touch(at.0);
            if let Some(line) = lines.lines.get_mut(at.0) {
                line.meter.settle(now_ms, *amount, 0);
            }
        }
        drop(lines);
        if wake {
            self.ledger.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
