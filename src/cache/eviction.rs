//! Eviction: which entries go when there is no room. The least rank leaves first.
//!
//! | policy | rank of an entry | what it is |
//! |---|---|---|
//! | `cost` | floor + uses × √saved / bytes | GreedyDual-Size-Frequency (Cherkasova, HP Labs HPL-98-69), its cost damped |
//! | `lfu` | floor + uses | least frequently used, with dynamic ageing (Arlitt et al., SIGMETRICS PER 27(4), 2000) |
//! | `lru` | when it was last used | least recently used |
//!
//! The floor is the rank of what left last, so that what was once popular ages: a new entry begins above it. Of equal
//! ranks the one that was used longer ago goes.
//!
//! A use is two atomic writes and takes no lock. Ranks only ever rise, so an order that has not heard of a use yet holds
//! a rank that is too low: whatever comes to the front is ranked anew, and leaves only if it still belongs there. That
//! is exact, and costs O(log n) for an entry that leaves, and as much once for each that was used since it was last
//! ranked.

use crate::config::Eviction;
use crate::types::entry::{Entry, Source};
use crate::types::money::{MicroUsd, Price};
use crate::types::usage::Usage;
use std::cmp::Ordering as Order;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where an entry stands in the order of leaving.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Place {
    /// Floor and uses; 0 where only the time counts.
    rank: f64,
    /// When it was last used, counted in uses of all entries.
    used: u64,
    /// Tells apart what was used at the same time.
    id: u64,
}

impl Place {
    /// The entry's id.
    pub fn id(self) -> u64 {
        self.id
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Place) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Place) -> Order {
        self.rank.total_cmp(&other.rank).then(self.used.cmp(&other.used)).then(self.id.cmp(&other.id))
    }
}

/// What one entry's uses amount to.
#[derive(Debug)]
pub struct Standing {
    /// What a use of it counts for each of its bytes.
    worth: f64,
    uses: AtomicU64,
    rank: AtomicU64,
    used: AtomicU64,
}

/// Ranks the entries of one table.
#[derive(Debug)]
pub struct Ranking {
    policy: Eviction,
    /// Uses so far: the clock of `used`.
    clock: AtomicU64,
    /// The rank of what left last.
    floor: AtomicU64,
}

impl Ranking {
    /// The ranking of an empty table.
    pub fn new(policy: Eviction) -> Ranking {
        Ranking { policy, clock: AtomicU64::new(0), floor: AtomicU64::new(0f64.to_bits()) }
    }

    /// The standing of a new entry that saves `worth` a byte at each use. One that takes another's place has been used
    /// as often as that, `before`.
    pub fn begin(&self, worth: f64, before: u64) -> Standing {
        let worth = if worth.is_finite() { worth.max(0.0) } else { 0.0 };
        let standing =
            Standing { worth, uses: AtomicU64::new(before), rank: AtomicU64::new(0), used: AtomicU64::new(0) };
        self.used(&standing);
        standing
    }

    /// Counts a use.
    pub fn used(&self, standing: &Standing) {
        let uses = standing.uses.fetch_add(1, Ordering::Relaxed) + 1;
        standing.used.fetch_max(self.clock.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let floor = f64::from_bits(self.floor.load(Ordering::Relaxed));
        let rank = match self.policy {
            Eviction::Lru => return,
            Eviction::Lfu => floor + uses as f64,
            Eviction::Cost => floor + uses as f64 * standing.worth,
        };
        // Of floats that are not negative the bits are in the order of the numbers.
        standing.rank.fetch_max(rank.to_bits(), Ordering::Relaxed);
    }

    /// Where the entry `id` belongs now.
    pub fn place(&self, standing: &Standing, id: u64) -> Place {
        Place {
            rank: f64::from_bits(standing.rank.load(Ordering::Relaxed)),
            used: standing.used.load(Ordering::Relaxed),
            id,
        }
    }

    /// An entry left for room from `place`: what comes from now on begins above it.
    pub fn raise_floor(&self, place: Place) {
        self.floor.fetch_max(place.rank.to_bits(), Ordering::Relaxed);
    }
}

impl Standing {
    /// How often it was used, its making included.
    pub fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }
}

/// What tokens count where no price is known.
const NOMINAL: Price = Price::new(1_000_000, 4_000_000);
/// Bytes of a token, about, where nobody has counted.
const TOKEN_BYTES: usize = 4;
/// Milliseconds that a token of an answer takes, about, where nobody has waited for it.
const TOKEN_MS: u64 = 20;

/// What one call took: what is saved when its answer is used again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spent {
    /// Its tokens, counted or estimated.
    pub usage: Usage,
    /// Its price; nominal where it is not known.
    pub cost: Option<MicroUsd>,
    /// How long its caller waited, in milliseconds.
    pub waited_ms: u64,
}

impl Spent {
    /// Tokens of texts of so many bytes, where nobody has counted.
    pub fn estimate(question_bytes: usize, answer_bytes: usize) -> Usage {
        let tokens = |bytes: usize| (bytes / TOKEN_BYTES) as u64;
        Usage::new(tokens(question_bytes), tokens(answer_bytes))
    }

    /// What it is worth to keep the answer for each of its `bytes`: the square root of micro-dollars, of its price and of
    /// the time that its caller waited. Where no price is known, tokens count as if they cost a dollar a million, four for
    /// those of answers.
    ///
    /// The root, since what a question cost once says only so much of what it will cost next, while its bytes are known:
    /// a price that is taken at its word keeps dear answers that nobody asks for again.
    pub fn worth(&self, bytes: usize, wait_usd_per_hour: f64) -> f64 {
        let cost = self.cost.unwrap_or_else(|| NOMINAL.of(self.usage));
        let waited = self.waited_ms as f64 / 3_600_000.0 * wait_usd_per_hour * 1e6;
        (cost.0 as f64 + waited).sqrt() / bytes.max(1) as f64
    }
}

/// What an entry is worth for each of its bytes. Tokens that were not counted are taken for four bytes each.
pub(super) fn worth(entry: &Entry, bytes: usize, wait_usd_per_hour: f64) -> f64 {
    let usage = entry
        .answer
        .usage
        .unwrap_or_else(|| Spent::estimate(entry.question.as_ref().map_or(0, String::len), entry.answer.body.len()));
    let waited_ms = match entry.source {
        Source::Fetched => entry.latency_ms,
        Source::WarmUp => usage.output_tokens.saturating_mul(TOKEN_MS),
    };
    Spent { usage, cost: entry.cost, waited_ms }.worth(bytes, wait_usd_per_hour)
}
