//! Which of several lanes that all would take a request gets it. Pure choices.

use super::{Form, Lane, Moment};
use crate::config::Strategy;
use std::sync::Arc;

/// What a lane counts for of which nothing is known while its first request is under way.
const UNKNOWN_US: f64 = 1e6;

/// One that would take the request.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'l> {
    /// Its place in the route.
    pub at: usize,
    /// The lane.
    pub lane: &'l Arc<Lane>,
    /// Its target's place in the route.
    pub target: usize,
    /// Its weight, less what it should not get just now. Above zero.
    pub weight: f64,
    /// What a typical request costs there, in micro-dollars per million tokens; `None` where that is not known.
    pub cost: Option<u64>,
}

/// What a choice may depend on beside the candidates.
#[derive(Clone, Copy, Debug)]
pub struct Circumstance {
    /// The time.
    pub now: Moment,
    /// Counts the requests of the route.
    pub turn: u64,
    /// What a sticky choice sticks to.
    pub stick_to: u64,
    /// What is asked for.
    pub form: Form,
}

/// The chosen candidate's place among `candidates`; `None` only if there are none.
pub fn choose(
    strategy: Strategy,
    candidates: &[Candidate<'_>],
    around: Circumstance,
    random: &mut Random,
) -> Option<usize> {
    if candidates.len() <= 1 {
        return candidates.len().checked_sub(1);
    }
    Some(match strategy {
        // The keys of a target share what it gets.
        Strategy::Ordered => among(candidates, |one| one.target == candidates[0].target, random),
        Strategy::Weighted => by_weight(candidates, random),
        Strategy::RoundRobin => {
            let mut targets: Vec<usize> = candidates.iter().map(|one| one.target).collect();
            targets.dedup();
            let turn = targets[(around.turn % targets.len() as u64) as usize];
            among(candidates, |one| one.target == turn, random)
        }
        Strategy::LeastLatency => {
            let (one, other) = two(candidates, random);
            let wait = |at: usize| {
                let candidate = &candidates[at];
                let lane = candidate.lane;
                let known = lane.mean_us(around.form, around.now);
                // Of which nothing is known is asked, but not by everybody at once.
                let us = if known > 0.0 || lane.in_flight() == 0 { known + 1.0 } else { UNKNOWN_US };
                us * f64::from(lane.in_flight() + 1) / candidate.weight
            };
            if wait(other) < wait(one) { other } else { one }
        }
        Strategy::LeastBusy => {
            let busy = |candidate: &Candidate<'_>| f64::from(candidate.lane.in_flight() + 1) / candidate.weight;
            least(candidates, busy, random)
        }
        Strategy::LeastCost => {
            let cost = |candidate: &Candidate<'_>| candidate.cost.map_or(f64::INFINITY, |cost| cost as f64);
            least(candidates, cost, random)
        }
        Strategy::Sticky => {
            // Rendezvous hashing by weight (Thaler and Ravishankar 1998): one that goes or comes moves its own share only.
            let score = |candidate: &Candidate<'_>| {
                -candidate.weight / unit(mixed(candidate.lane.hash ^ around.stick_to)).max(f64::MIN_POSITIVE).ln()
            };
            let best = candidates.iter().map(score).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
            best.map_or(0, |(at, _)| at)
        }
    })
}

fn by_weight(candidates: &[Candidate<'_>], random: &mut Random) -> usize {
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut left = random.unit() * total;
    for (at, candidate) in candidates.iter().enumerate() {
        left -= candidate.weight;
        if left < 0.0 {
            return at;
        }
    }
    // What rounding left over belongs to the last.
    candidates.len() - 1
}

/// Two different ones, by their weights.
fn two(candidates: &[Candidate<'_>], random: &mut Random) -> (usize, usize) {
    let one = by_weight(candidates, random);
    if candidates.len() == 2 {
        return (one, 1 - one);
    }
    let rest: f64 = candidates.iter().map(|candidate| candidate.weight).sum::<f64>() - candidates[one].weight;
    let mut left = random.unit() * rest;
    let mut other = if one == 0 { 1 } else { 0 };
    for (at, candidate) in candidates.iter().enumerate().filter(|(at, _)| *at != one) {
        other = at;
        left -= candidate.weight;
        if left < 0.0 {
            break;
        }
    }
    (one, other)
}

/// The one with the least of `what`; among equals by their weights.
fn least(candidates: &[Candidate<'_>], what: impl Fn(&Candidate<'_>) -> f64, random: &mut Random) -> usize {
    let least = candidates.iter().map(&what).fold(f64::INFINITY, f64::min);
    among(candidates, |candidate| what(candidate) <= least, random)
}

/// One of those that are `meant`, by their weights.
fn among(candidates: &[Candidate<'_>], meant: impl Fn(&Candidate<'_>) -> bool, random: &mut Random) -> usize {
    let total: f64 = candidates.iter().filter(|candidate| meant(candidate)).map(|candidate| candidate.weight).sum();
    let mut left = random.unit() * total;
    let mut chosen = 0;
    for (at, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| meant(candidate)) {
        chosen = at;
        left -= candidate.weight;
        if left < 0.0 {
            break;
        }
    }
    chosen
}

/// Random numbers from a seed (SplitMix64, Steele et al. 2014): the same seed, the same choices.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        unit(mixed(self.0))
    }
}

/// `word`, and hardly anything of it to be seen.
pub(super) fn mixed(mut word: u64) -> u64 {
    word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

/// The number in [0, 1) that `word` begins with.
pub(super) fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}
