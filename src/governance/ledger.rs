//! `Ledger`: meters that are held and settled together, all or none, and what of them is written down.
//!
//! A request holds what it may use of every meter that it counts for, in one step. When it has ended it settles: what it used is used,
//! and the rest is free again. A hold that is dropped has used nothing.
//!
//! **What a crash may lose.** Meters of money are written down from time to time, not at each request. So that a crash lets nobody
//! spend twice, each has a *cover* on disk: so much may be held or used without being written down. It is made larger before it is
//! needed; a request for which it does not reach has to wait for that. Who starts after a crash takes the cover for held until a
//! lease has passed, for nobody knows what became of the requests that were under way:
//!
//! `used on disk + cover on disk >= used + held`, at every moment, but for what requests used beyond what was held for them.

use super::meter::{Meter, Over, Rule};
use parking_lot::Mutex;
use std::sync::Arc;

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
    /// What may have been held or used beside that.
    pub cover: u64,
}

/// What of a meter is to be written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Writing {
    /// Whose it is.
    pub id: MeterId,
    /// What is to be added to what was used, by time.
    pub used: Vec<(u64, u64)>,
    /// The cover from then on.
    pub cover: u64,
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
    /// How long after a crash what may have been under way is taken for held.
    lease_ms: u64,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<Line>,
    /// The latest time that was told.
    now_ms: u64,
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
    /// The least to be covered ahead.
    ahead: u64,
    cover: u64,
    /// Used, and not written; by time.
    unsaved: Vec<(u64, u64)>,
    /// On its way to the disk, and the cover that goes with it.
    saving: Option<(Vec<(u64, u64)>, u64)>,
    /// What was held since it was last written.
    demand: u64,
    /// What somebody would have needed.
    wish: u64,
    /// Taken for held since a crash, until then.
    ghost: Option<(u64, u64)>,
}

impl Disk {
    fn ghost(&self) -> u64 {
        self.ghost.map_or(0, |(amount, _)| amount)
    }

    /// May `more` be held, where `held` is?
    fn covers(&self, held: u64, more: u64) -> bool {
        let open = held.saturating_add(self.ghost()).saturating_add(sum(&self.unsaved)).saturating_add(more);
        let before = self.saving.as_ref().map_or(0, |(used, _)| sum(used));
        let then = self.saving.as_ref().is_none_or(|(_, cover)| open <= *cover);
        then && open.saturating_add(before) <= self.cover
    }
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
    /// There may be something to write of the line at `at`.
    fn touch(&mut self, at: usize) {
        if let Some(line) = self.lines.get_mut(at).filter(|line| line.disk.is_some() && !line.is_dirty) {
            line.is_dirty = true;
            self.dirty.push(at);
        }
    }
}

impl Line {
    /// What counts as held: since a crash, too, until the lease has passed.
    fn forget_ghost(&mut self, now_ms: u64) {
        if let Some(disk) = &mut self.disk
            && let Some((amount, _)) = disk.ghost.take_if(|(_, until)| *until <= now_ms)
        {
            self.meter.settle(now_ms, amount, 0);
        }
    }

    fn hold(&mut self, at: At, now_ms: u64, amount: u64) -> Result<(), Refused> {
        self.forget_ghost(now_ms);
        let own = self.held_by_requests();
        if let Some(disk) = &mut self.disk
            && !disk.covers(own, amount)
        {
            // Who has nothing left need not wait.
            self.meter.clone().hold(now_ms, amount).map_err(|over| Refused::Over(at, over))?;
            disk.wish = disk.wish.max(own.saturating_add(amount));
            return Err(Refused::Uncovered(at));
        }
        self.meter.hold(now_ms, amount).map_err(|over| Refused::Over(at, over))?;
        if let Some(disk) = &mut self.disk {
            disk.demand = disk.demand.saturating_add(amount);
        }
        Ok(())
    }

    fn held_by_requests(&self) -> u64 {
        self.meter.held() - self.disk.as_ref().map_or(0, Disk::ghost)
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

    /// What is to be written; `last`: for the last time, so that nothing more is covered than is held.
    fn write(&mut self, now_ms: u64, last: bool) -> Option<Writing> {
        self.forget_ghost(now_ms);
        let held = self.meter.held();
        let own = self.held_by_requests();
        let disk = self.disk.as_mut()?;
        if disk.saving.is_some() {
            return None;
        }
        // As much again as was asked for since the last time, so that hardly anybody ever waits.
        let ahead = disk.ahead.max(disk.demand.saturating_mul(2)).max(disk.wish.saturating_sub(own));
        let ahead = if last { 0 } else { ahead };
        let cover = held.saturating_add(ahead);
        let enough = if last {
            disk.cover == cover
        } else {
            disk.cover >= held.saturating_add(sum(&disk.unsaved)).saturating_add(ahead / 2)
        };
        if disk.unsaved.is_empty() && enough && disk.wish == 0 && disk.cover / 4 <= cover {
            return None;
        }
        (disk.demand, disk.wish) = (0, 0);
        let used = std::mem::take(&mut disk.unsaved);
        disk.saving = Some((used.clone(), cover));
        Some(Writing { id: self.id, used, cover })
    }

    fn written(&mut self, well: bool) {
        let Some(disk) = &mut self.disk else { return };
        let Some((used, cover)) = disk.saving.take() else { return };
        match well {
            true => disk.cover = cover,
            false => used.into_iter().for_each(|(at_ms, amount)| add(&mut disk.unsaved, at_ms, amount)),
        }
    }
}

impl Ledger {
    /// One without meters.
    pub fn new(lease_ms: u64) -> Arc<Ledger> {
        Arc::new(Ledger { lease_ms, lines: Mutex::default() })
    }

    /// Adds a meter of which so much is `written`, where it is one that is written down.
    pub fn add(&self, now_ms: u64, entry: Entry, written: &Written) -> At {
        let mut meter = Meter::new(entry.rule);
        let disk = entry.cover.map(|ahead| {
            written.used.iter().for_each(|(at_ms, amount)| meter.recall(now_ms, *at_ms, *amount));
            meter.hold_anyway(now_ms, written.cover);
            let ghost = (written.cover > 0).then(|| (written.cover, now_ms.saturating_add(self.lease_ms)));
            Disk { ahead, cover: written.cover, ghost, ..Disk::default() }
        });
        let mut lines = self.lines.lock();
        lines.lines.push(Line { id: entry.id, meter, soft: entry.soft, told_at_ms: None, disk, is_dirty: false });
        let at = lines.lines.len() - 1;
        lines.touch(at);
        At(at)
    }

    /// Another rule for the meter at `at`; what was used stays where the window is the same.
    pub fn set_rule(&self, at: At, rule: Rule, soft: Option<u64>) {
        if let Some(line) = self.lines.lock().lines.get_mut(at.0) {
            line.meter.set_rule(rule);
            line.soft = soft;
        }
    }

    /// Holds all of `amounts`, or none.
    pub fn hold(self: &Arc<Ledger>, now_ms: u64, amounts: &[Amount]) -> Result<Hold, Refused> {
        let mut lines = self.lines.lock();
        lines.now_ms = lines.now_ms.max(now_ms);
        for (done, Amount { at, amount }) in amounts.iter().enumerate() {
            lines.touch(at.0);
            let Some(line) = lines.lines.get_mut(at.0) else { continue };
            if let Err(refused) = line.hold(*at, now_ms, *amount) {
                for Amount { at, amount } in &amounts[..done] {
                    lines.lines[at.0].meter.settle(now_ms, *amount, 0);
                }
                return Err(refused);
            }
        }
        Ok(Hold { ledger: self.clone(), amounts: amounts.into() })
    }

    /// What is left of the meter at `at`, of how much, and in how many milliseconds all of it may be used again.
    pub fn left(&self, at: At, now_ms: u64) -> Option<(u64, u64, u64)> {
        let mut lines = self.lines.lock();
        let line = lines.lines.get_mut(at.0)?;
        line.forget_ghost(now_ms);
        Some((line.meter.left(now_ms), line.meter.rule().most, line.meter.resets_in_ms(now_ms)))
    }

    /// What of the meter at `at` was used, and is held.
    pub fn used(&self, at: At, now_ms: u64) -> Option<(u64, u64)> {
        let mut lines = self.lines.lock();
        let line = lines.lines.get_mut(at.0)?;
        line.forget_ghost(now_ms);
        Some((line.meter.used(now_ms), line.meter.held()))
    }

    /// What is to be written down now. It has to be written as a whole, and [`Ledger::written`] has to be told how that went,
    /// before this is asked again.
    pub fn to_write(&self, now_ms: u64) -> Vec<Writing> {
        self.writing(now_ms, false)
    }

    /// What is to be written for the last time, of all meters: what was used, and what is still held.
    pub fn to_write_last(&self, now_ms: u64) -> Vec<Writing> {
        {
            let mut lines = self.lines.lock();
            (0..lines.lines.len()).for_each(|at| lines.touch(at));
        }
        self.writing(now_ms, true)
    }

    fn writing(&self, now_ms: u64, last: bool) -> Vec<Writing> {
        let mut lines = self.lines.lock();
        let lines = &mut *lines;
        let mut writing = Vec::new();
        // One of which nothing is to be written now has nothing to say until it is touched again.
        lines.dirty.retain(|at| {
            let Some(line) = lines.lines.get_mut(*at) else { return false };
            let written = line.write(now_ms, last);
            line.is_dirty = written.is_some();
            writing.extend(written);
            line.is_dirty
        });
        writing
    }

    /// What was to be written is on disk, or not one bit of it.
    pub fn written(&self, well: bool) {
        let mut lines = self.lines.lock();
        let lines = &mut *lines;
        // They stay to be looked at once more: what they need next time may be less.
        for at in &lines.dirty {
            if let Some(line) = lines.lines.get_mut(*at) {
                line.written(well);
            }
        }
    }

    /// Is there something to be written, perhaps?
    pub fn is_dirty(&self) -> bool {
        !self.lines.lock().dirty.is_empty()
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
        let mut reached = Vec::new();
        for Amount { at, amount } in &amounts {
            lines.touch(at.0);
            let Some(line) = lines.lines.get_mut(at.0) else { continue };
            if line.settle(now_ms, *amount, used(*at)) {
                reached.push(*at);
            }
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
        for Amount { at, amount } in &self.amounts {
            if let Some(line) = lines.lines.get_mut(at.0) {
                line.meter.settle(now_ms, *amount, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests;
