//! `Tally`: what a shadow was asked and how it compares, in a few numbers. `Spent`: what it cost today. Both are plain counting;
//! whoever holds them locks them for that long and no longer.

use crate::types::money::MicroUsd;
use crate::types::usage::Usage;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of so many pairs the times are remembered.
const PAIRS: usize = 512;
/// Kinds of failures that are told apart.
const KINDS: usize = 32;
const DAY_MS: u64 = 86_400_000;

/// Why a request that was drawn is not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dropped {
    /// As many are under way as may be.
    Full,
    /// It has cost today what it may.
    OverBudget,
    /// Its lanes are left alone, limited or busy.
    LeftAlone,
}

impl Dropped {
    /// Its word in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Dropped::Full => "full",
            Dropped::OverBudget => "over_budget",
            Dropped::LeftAlone => "left_alone",
        }
    }
}

/// What one side of a pair took and gave.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Side {
    /// From sending to the end.
    pub(super) took: Duration,
    /// From sending to the first words, of a stream.
    pub(super) first: Option<Duration>,
    /// It did not end by itself: a limit, a filter.
    pub(super) is_cut_off: bool,
    pub(super) usage: Option<Usage>,
    pub(super) cost: Option<MicroUsd>,
}

/// Two answers to one request, compared.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Pair {
    pub(super) real: Side,
    pub(super) shadow: Side,
    /// Whether they say the same; `None` where nobody can tell.
    pub(super) same: Option<bool>,
    /// The cosine of their vectors, where it was asked for.
    pub(super) cosine: Option<f32>,
}

/// What a shadow has cost on one day, in UTC.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    day: u64,
    micro_usd: u64,
}

impl Spent {
    /// What it has cost on the day of `now_ms`, in millionths of a dollar.
    pub(super) fn today(&self, now_ms: u64) -> u64 {
        if self.day == now_ms / DAY_MS { self.micro_usd } else { 0 }
    }

    /// May it cost more?
    pub(super) fn may(&self, usd_per_day: Option<f64>, now_ms: u64) -> bool {
        usd_per_day.is_none_or(|most| (self.today(now_ms) as f64) < most * 1e6)
    }

    /// It has cost so much more.
    pub(super) fn pay(&mut self, cost: MicroUsd, now_ms: u64) {
        let before = self.today(now_ms);
        (self.day, self.micro_usd) = (now_ms / DAY_MS, before.saturating_add(cost.0));
    }
}

/// Times of one pair in microseconds: whole and first words, of the real answer and of the shadow's.
#[derive(Clone, Copy, Debug)]
struct Times {
    took: [u64; 2],
    first: Option<[u64; 2]>,
}

/// All that was counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Counts,
    times: Vec<Times>,
    /// The oldest of them, once there are as many as are remembered.
    oldest: usize,
    cosines: (f64, u64),
}

/// Counts that are shown as they are.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Counts {
    /// Requests that were drawn, and not sent: as many were under way as may be; it had cost what it may; it was left alone.
    pub dropped: [u64; 3],
    /// Requests that were sent.
    pub asked: u64,
    /// Of these, answered.
    pub answered: u64,
    /// Of these, failed, by kind.
    pub failed: BTreeMap<String, u64>,
    /// Answers whose cost is not known.
    pub unpriced: u64,
    /// What all answers of the shadow cost, in millionths of a dollar.
    pub spent_micro_usd: u64,
    /// Pairs that were compared; that say the same, that do not, and of which nobody can tell.
    pub compared: u64,
    /// See `compared`.
    pub same: u64,
    /// See `compared`.
    pub different: u64,
    /// See `compared`.
    pub undecided: u64,
    /// Answers among the pairs that did not end by themselves: real, shadow.
    pub cut_off: [u64; 2],
    /// Pairs whose tokens are both known, and these: input and output; real, shadow.
    pub counted: u64,
    /// See `counted`.
    pub tokens: [[u64; 2]; 2],
    /// Pairs whose costs are both known, and these in millionths of a dollar: real, shadow.
    pub priced: u64,
    /// See `priced`.
    pub micro_usd: [u64; 2],
}

/// Times within which half and 95 in 100 of some answers came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quantiles {
    /// Of half.
    pub p50: Duration,
    /// Of 95 in 100.
    pub p95: Duration,
}

/// What is shown of a shadow's comparisons.
#[derive(Clone, PartialEq, Debug)]
pub struct Sums {
    /// What was counted.
    pub counts: Counts,
    /// The mean cosine of the answers that were compared by their vectors.
    pub mean_cosine: Option<f64>,
    /// Of how many pairs the times are: at most the last 512.
    pub timed: usize,
    /// Of how many of them both answers were streams with words.
    pub streamed: usize,
    /// Times of whole answers, over the same requests: real, shadow.
    pub took: Option<[Quantiles; 2]>,
    /// Times to the first words of streams, over the same requests: real, shadow.
    pub first: Option<[Quantiles; 2]>,
}

impl Tally {
    pub(super) fn dropped(&mut self, why: Dropped) {
        self.counts.dropped[why as usize] += 1;
    }

    pub(super) fn asked(&mut self) {
        self.counts.asked += 1;
    }

    pub(super) fn answered(&mut self, cost: Option<MicroUsd>) {
        self.counts.answered += 1;
        match cost {
            Some(cost) => self.counts.spent_micro_usd = self.counts.spent_micro_usd.saturating_add(cost.0),
            None => self.counts.unpriced += 1,
        }
    }

    pub(super) fn failed(&mut self, kind: &str) {
        let failed = &mut self.counts.failed;
        let known = failed.contains_key(kind) || failed.len() < KINDS;
        *failed.entry(if known { kind } else { "other" }.to_owned()).or_default() += 1;
    }

    pub(super) fn compared(&mut self, pair: &Pair) {
        let Pair { real, shadow, same, cosine } = pair;
        let counts = &mut self.counts;
        counts.compared += 1;
        *match same {
            Some(true) => &mut counts.same,
            Some(false) => &mut counts.different,
            None => &mut counts.undecided,
        } += 1;
        for (at, side) in [real, shadow].into_iter().enumerate() {
            counts.cut_off[at] += u64::from(side.is_cut_off);
        }
        if let (Some(one), Some(other)) = (real.usage, shadow.usage) {
            counts.counted += 1;
            for (sums, usage) in counts.tokens.iter_mut().zip([one, other]) {
                sums[0] = sums[0].saturating_add(usage.input_tokens);
                sums[1] = sums[1].saturating_add(usage.output_tokens);
            }
        }
        if let (Some(one), Some(other)) = (real.cost, shadow.cost) {
            counts.priced += 1;
            for (sum, cost) in counts.micro_usd.iter_mut().zip([one, other]) {
                *sum = sum.saturating_add(cost.0);
            }
        }
        if let Some(cosine) = cosine {
            self.cosines.0 += f64::from(*cosine);
            self.cosines.1 += 1;
        }
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let first = real.first.zip(shadow.first).map(|(one, other)| [us(one), us(other)]);
        self.time(Times { took: [us(real.took), us(shadow.took)], first });
    }

    fn time(&mut self, times: Times) {
        match self.times.get_mut(self.oldest) {
            Some(oldest) => *oldest = times,
            None => self.times.push(times),
        }
        self.oldest = (self.oldest + 1) % PAIRS;
    }

    /// What is needed to sum up, which takes longer than a lock is to be held.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { counts: self.counts.clone(), times: self.times.clone(), cosines: self.cosines }
    }
}

/// A tally at one moment.
pub(super) struct Snapshot {
    counts: Counts,
    times: Vec<Times>,
    cosines: (f64, u64),
}

impl Snapshot {
    pub(super) fn sums(self) -> Sums {
        let took: Vec<[u64; 2]> = self.times.iter().map(|times| times.took).collect();
        let first: Vec<[u64; 2]> = self.times.iter().filter_map(|times| times.first).collect();
        let (sum, cosines) = self.cosines;
        Sums {
            counts: self.counts,
            mean_cosine: (cosines > 0).then(|| sum / cosines as f64),
            timed: took.len(),
            streamed: first.len(),
            took: of_both(&took),
            first: of_both(&first),
        }
    }
}

/// The quantiles of both sides.
fn of_both(pairs: &[[u64; 2]]) -> Option<[Quantiles; 2]> {
    let side = |at: usize| quantiles(pairs.iter().map(|pair| pair[at]).collect());
    Some([side(0)?, side(1)?])
}

/// The least time within which so many came: the nearest rank.
fn quantiles(mut times_us: Vec<u64>) -> Option<Quantiles> {
    times_us.sort_unstable();
    let at = |percent: usize| {
        let rank = (times_us.len() * percent).div_ceil(100);
        times_us.get(rank.saturating_sub(1)).map(|us| Duration::from_micros(*us))
    };
    Some(Quantiles { p50: at(50)?, p95: at(95)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(real_ms: u64, shadow_ms: u64) -> Pair {
        let side = |ms| Side { took: Duration::from_millis(ms), ..Side::default() };
        Pair { real: side(real_ms), shadow: side(shadow_ms), ..Pair::default() }
    }

    fn ms(quantiles: Quantiles) -> [u128; 2] {
        [quantiles.p50.as_millis(), quantiles.p95.as_millis()]
    }

    #[test]
    fn a_day_has_its_own_money() {
        let (mut spent, day) = (Spent::default(), 20_000 * DAY_MS);
        assert!(spent.may(Some(0.000_01), day) && spent.may(None, day));
        spent.pay(MicroUsd(7), day);
        assert!(spent.may(Some(0.000_01), day + DAY_MS - 1), "3 are left");
        spent.pay(MicroUsd(3), day + DAY_MS - 1);
        assert!(!spent.may(Some(0.000_01), day + DAY_MS - 1) && spent.may(None, day));
        assert!(spent.may(Some(0.000_01), day + DAY_MS), "it is another day");
        spent.pay(MicroUsd(4), day + DAY_MS);
        assert_eq!([spent.today(day + DAY_MS), spent.today(day)], [4, 0]);
    }

    #[test]
    fn times_are_of_the_last_pairs_and_by_nearest_rank() {
        let mut tally = Tally::default();
        assert_eq!(tally.snapshot().sums().took, None);
        tally.compared(&pair(7, 9));
        assert_eq!(tally.snapshot().sums().took.unwrap().map(ms), [[7, 7], [9, 9]]);
        for at in 1..=100 {
            tally.compared(&pair(at, 1_000 - at));
        }
        let sums = tally.snapshot().sums();
        assert_eq!((sums.took.unwrap().map(ms), sums.timed), ([[50, 95], [949, 994]], 101));
        // What is older than the last 512 pairs is not known any more; the counts are.
        for _ in 0..PAIRS {
            tally.compared(&pair(3, 4));
        }
        let sums = tally.snapshot().sums();
        assert_eq!((sums.took.unwrap().map(ms), sums.timed, sums.counts.compared), ([[3, 3], [4, 4]], PAIRS, 613));
        for _ in 0..20 {
            tally.compared(&pair(30, 40));
        }
        assert_eq!(tally.snapshot().sums().took.unwrap().map(ms), [[3, 3], [4, 4]]);
        (0..10).for_each(|_| tally.compared(&pair(30, 40)));
        assert_eq!(tally.snapshot().sums().took.unwrap().map(ms), [[3, 30], [4, 40]]);
    }

    #[test]
    fn only_what_is_known_of_both_is_summed() {
        let mut tally = Tally::default();
        let side = |tokens, cost, first| Side {
            usage: Some(Usage::new(tokens, tokens * 2)),
            cost: Some(MicroUsd(cost)),
            first,
            ..Side::default()
        };
        let second = Some(Duration::from_secs(1));
        let whole = Pair {
            real: side(10, 100, second),
            shadow: Side { is_cut_off: true, ..side(11, 25, second) },
            same: Some(true),
            cosine: Some(0.5),
        };
        tally.compared(&whole);
        let partly = Pair { shadow: Side { first: second, ..Side::default() }, same: Some(false), ..whole };
        tally.compared(&Pair { cosine: Some(1.0), ..partly });
        tally.compared(&Pair { same: None, cosine: None, real: Side::default(), ..partly });
        let sums = tally.snapshot().sums();
        let Counts { compared, same, different, undecided, counted, tokens, priced, micro_usd, cut_off, .. } =
            sums.counts;
        assert_eq!((compared, same, different, undecided), (3, 1, 1, 1));
        assert_eq!((counted, tokens, priced, micro_usd), (1, [[10, 20], [11, 22]], 1, [100, 25]));
        assert_eq!((cut_off, sums.mean_cosine, sums.timed, sums.streamed), ([0, 1], Some(0.75), 3, 2));
    }

    #[test]
    fn kinds_of_failures_are_bounded() {
        let mut tally = Tally::default();
        (0..100).for_each(|status| tally.failed(&(400 + status).to_string()));
        tally.failed("400");
        let failed = tally.snapshot().sums().counts.failed;
        assert_eq!((failed.len(), failed["400"], failed["other"]), (KINDS + 1, 2, 68));
        for why in [Dropped::Full, Dropped::LeftAlone, Dropped::LeftAlone] {
            tally.dropped(why);
        }
        assert_eq!(tally.snapshot().sums().counts.dropped, [1, 0, 2]);
    }
}
