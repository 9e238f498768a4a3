//! `Meter`: how much of something may be used in a time, and how much is: used, and held for requests that are under way.
//!
//! Nothing is used before it is held. So what is used and held together is never more than the most, but for what a request used
//! beyond what was held for it.

use super::period::Calendar;

/// How much, in what time.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    /// The most that may be used in the window, in the unit of what is measured.
    pub most: u64,
    /// The time.
    pub window: Window,
}

/// In what time.
#[derive(Clone, PartialEq, Debug)]
pub enum Window {
    /// In a period of the calendar.
    Calendar(Calendar),
    /// In the last so many milliseconds. It is counted in sixty parts: what is older by less than one of them still counts.
    Rolling(u64),
    /// As a bucket that is full after so many milliseconds: all at once after a pause, and evenly from then on.
    Bucket(u64),
    /// At all.
    Ever,
    /// At a time: what is held, and nothing that was used.
    AtOnce,
}

/// There is not enough left. When there may be, in milliseconds from now; `None`: never, or when others have ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Over {
    /// What is left.
    pub left: u64,
    /// When it is worth coming back.
    pub after_ms: Option<u64>,
}

/// How much of something is used, and may be.
#[derive(Clone, PartialEq, Debug)]
pub struct Meter {
    rule: Rule,
    used: Used,
    held: u64,
}

/// What was used, as far as it still counts.
#[derive(Clone, PartialEq, Debug)]
enum Used {
    /// In the period that ends then.
    Period {
        from_ms: u64,
        to_ms: u64,
        sum: u64,
    },
    /// By the number of the part of time, the oldest first; and together.
    Parts {
        parts: Vec<(u64, u64)>,
        sum: u64,
    },
    /// When the bucket will be full again, in milliseconds times the most: exact where a unit fills in no whole millisecond.
    Full(u128),
    /// For ever.
    Sum(u64),
    Nothing,
}

/// A rolling window is counted in so many parts.
const PARTS: u64 = 60;

impl Meter {
    /// One of which nothing is used.
    pub fn new(rule: Rule) -> Meter {
        let used = match &rule.window {
            Window::Calendar(_) => Used::Period { from_ms: 0, to_ms: 0, sum: 0 },
            Window::Rolling(_) => Used::Parts { parts: Vec::new(), sum: 0 },
            Window::Bucket(_) => Used::Full(0),
            Window::Ever => Used::Sum(0),
            Window::AtOnce => Used::Nothing,
        };
        Meter { rule, used, held: 0 }
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Another rule from now on. What was used stays where the window is the same, and begins anew where it is not.
    pub fn set_rule(&mut self, now_ms: u64, rule: Rule) {
        if rule == self.rule {
            return;
        }
        let held = self.held;
        match (&mut self.used, rule.window == self.rule.window) {
            // What is missing of a bucket stays missing: it takes another time to fill that by the new rule.
            (Used::Full(full), true) => {
                let now = u128::from(now_ms);
                let missing = full.saturating_sub(now.saturating_mul(u128::from(self.rule.most)));
                *full = now.saturating_mul(u128::from(rule.most)).saturating_add(missing);
                self.rule = rule;
            }
            (_, true) => self.rule = rule,
            (_, false) => *self = Meter { held, ..Meter::new(rule) },
        }
    }

    /// What was used before that counts no more.
    pub fn counts_since_ms(&mut self, now_ms: u64) -> u64 {
        self.forget(now_ms);
        match (&self.used, &self.rule.window) {
            (_, Window::Calendar(calendar)) => calendar.period(now_ms).0,
            (_, Window::Rolling(window)) => (now_ms / part_ms(*window)).saturating_sub(PARTS) * part_ms(*window),
            _ => 0,
        }
    }

    /// Nothing was used: what was is told anew.
    pub fn forget_used(&mut self) {
        match &mut self.used {
            Used::Period { sum, .. } | Used::Sum(sum) => *sum = 0,
            Used::Parts { parts, sum } => {
                parts.clear();
                *sum = 0;
            }
            Used::Full(_) | Used::Nothing => {}
        }
    }

    /// What is held for requests that are under way.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// What was used in the window, as far as that is known.
    pub fn used(&mut self, now_ms: u64) -> u64 {
        self.forget(now_ms);
        match &self.used {
            Used::Period { sum, .. } | Used::Parts { sum, .. } | Used::Sum(sum) => *sum,
            Used::Full(_) => self.rule.most.saturating_sub(self.level(now_ms)).saturating_sub(self.held),
            Used::Nothing => 0,
        }
    }

    /// What may still be held.
    pub fn left(&mut self, now_ms: u64) -> u64 {
        self.forget(now_ms);
        match self.used {
            Used::Full(_) => self.level(now_ms),
            _ => self.rule.most.saturating_sub(self.used(now_ms)).saturating_sub(self.held),
        }
    }

    /// In how many milliseconds all of it may be used again, if nobody uses any.
    pub fn resets_in_ms(&mut self, now_ms: u64) -> u64 {
        self.forget(now_ms);
        match (&self.used, &self.rule.window) {
            (Used::Period { to_ms, sum, .. }, _) if *sum > 0 => to_ms - now_ms,
            (Used::Parts { parts, .. }, Window::Rolling(window)) => {
                let last = parts.last().map(|(part, _)| (part + 1 + PARTS) * part_ms(*window));
                last.map_or(0, |gone| gone.saturating_sub(now_ms))
            }
            (Used::Full(full), _) => {
                let most = u128::from(self.rule.most.max(1));
                let at = u64::try_from(full.div_ceil(most)).unwrap_or(u64::MAX);
                at.saturating_sub(now_ms)
            }
            _ => 0,
        }
    }

    /// Holds `amount` for a request, if so much is left.
    pub fn hold(&mut self, now_ms: u64, amount: u64) -> Result<(), Over> {
        let left = self.left(now_ms);
        if amount > left {
            return Err(Over { left, after_ms: self.comes_back(now_ms, amount) });
        }
        self.held += amount;
        self.fill_later(now_ms, i128::from(amount));
        Ok(())
    }

    /// Holds `amount`, whatever is left: nobody knows what became of it.
    pub fn hold_anyway(&mut self, now_ms: u64, amount: u64) {
        self.held = self.held.saturating_add(amount);
        self.fill_later(now_ms, i128::from(amount));
    }

    /// A request for which `held` was held has used `used`.
    pub fn settle(&mut self, now_ms: u64, held: u64, used: u64) {
        self.forget(now_ms);
        self.held = self.held.saturating_sub(held);
        match (&mut self.used, &self.rule.window) {
            (Used::Period { sum, .. } | Used::Sum(sum), _) => *sum = sum.saturating_add(used),
            (Used::Parts { parts, sum }, Window::Rolling(window)) if used > 0 => {
                let part = now_ms / part_ms(*window);
                *sum = sum.saturating_add(used);
                match parts.last_mut() {
                    // A clock that was put back adds to what is latest.
                    Some((last, amount)) if *last >= part => *amount = amount.saturating_add(used),
                    _ => parts.push((part, used)),
                }
            }
            (Used::Full(_), _) => self.fill_later(now_ms, i128::from(used) - i128::from(held)),
            _ => {}
        }
    }

    /// What was used in a time past, as it was written down: where that still counts.
    pub fn recall(&mut self, now_ms: u64, at_ms: u64, amount: u64) {
        self.forget(now_ms);
        match (&mut self.used, &self.rule.window) {
            (Used::Period { from_ms, to_ms, sum }, _) if (*from_ms..*to_ms).contains(&at_ms) => {
                *sum = sum.saturating_add(amount);
            }
            (Used::Sum(sum), _) => *sum = sum.saturating_add(amount),
            (Used::Parts { parts, sum }, Window::Rolling(window)) => {
                let part = at_ms / part_ms(*window);
                let at = parts.partition_point(|(one, _)| *one < part);
                *sum = sum.saturating_add(amount);
                match parts.get_mut(at).filter(|(one, _)| *one == part) {
                    Some((_, known)) => *known = known.saturating_add(amount),
                    None => parts.insert(at, (part, amount)),
                }
                self.forget(now_ms);
            }
            _ => {}
        }
    }

    /// Under which time what is used now is written down: all that is written under one time counts as long.
    pub fn written_at_ms(&self, now_ms: u64) -> u64 {
        match (&self.used, &self.rule.window) {
            (Used::Period { from_ms, to_ms, .. }, _) if (*from_ms..*to_ms).contains(&now_ms) => *from_ms,
            (_, Window::Calendar(calendar)) => calendar.period(now_ms).0,
            (_, Window::Rolling(window)) => now_ms / part_ms(*window) * part_ms(*window),
            _ => 0,
        }
    }

    /// What does not count any more is no more.
    fn forget(&mut self, now_ms: u64) {
        match (&mut self.used, &self.rule.window) {
            (Used::Period { from_ms, to_ms, sum }, Window::Calendar(calendar)) if now_ms >= *to_ms => {
                (*from_ms, *to_ms) = calendar.period(now_ms);
                *sum = 0;
            }
            (Used::Parts { parts, sum }, Window::Rolling(window)) => {
                let oldest = (now_ms / part_ms(*window)).saturating_sub(PARTS);
                let gone = parts.iter().take_while(|(part, _)| *part < oldest).count();
                if gone > 0 {
                    let amounts = parts.drain(..gone).map(|(_, amount)| amount);
                    *sum = sum.saturating_sub(amounts.fold(0, u64::saturating_add));
                }
            }
            _ => {}
        }
    }

    /// What a bucket has.
    fn level(&self, now_ms: u64) -> u64 {
        let (Used::Full(full), Window::Bucket(window)) = (&self.used, &self.rule.window) else { return 0 };
        let (now, whole) =
            (u128::from(now_ms) * u128::from(self.rule.most), u128::from(*window) * u128::from(self.rule.most));
        let missing = full.saturating_sub(now);
        u64::try_from(whole.saturating_sub(missing) / u128::from((*window).max(1))).unwrap_or(u64::MAX)
    }

    /// A bucket is full later by what `amount` of it takes to fill, or earlier.
    fn fill_later(&mut self, now_ms: u64, amount: i128) {
        let (Used::Full(full), Window::Bucket(window)) = (&mut self.used, &self.rule.window) else { return };
        let now = u128::from(now_ms) * u128::from(self.rule.most);
        let takes = amount.unsigned_abs().saturating_mul(u128::from(*window));
        *full = if amount < 0 { full.saturating_sub(takes) } else { (*full).max(now).saturating_add(takes) };
    }

    /// When `amount` may be held, if nobody uses anything until then.
    fn comes_back(&self, now_ms: u64, amount: u64) -> Option<u64> {
        let most = self.rule.most;
        match (&self.used, &self.rule.window) {
            (Used::Period { to_ms, .. }, _) => (amount.saturating_add(self.held) <= most).then(|| to_ms - now_ms),
            (Used::Parts { parts, sum }, Window::Rolling(window)) => {
                let mut too_much = sum.saturating_add(self.held).saturating_add(amount).checked_sub(most)?;
                let gone = parts.iter().find(|(_, amount)| {
                    too_much = too_much.saturating_sub(*amount);
                    too_much == 0
                })?;
                Some(((gone.0 + 1 + PARTS) * part_ms(*window)).saturating_sub(now_ms))
            }
            (Used::Full(full), Window::Bucket(window)) if amount <= most => {
                let (whole, takes) = (u128::from(*window) * u128::from(most), u128::from(amount) * u128::from(*window));
                let at = full.saturating_add(takes).saturating_sub(whole).div_ceil(u128::from(most.max(1)));
                Some(u64::try_from(at).unwrap_or(u64::MAX).saturating_sub(now_ms).max(1))
            }
            _ => None,
        }
    }
}

fn part_ms(window: u64) -> u64 {
    window.div_ceil(PARTS).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::period::Span;
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    fn meter(most: u64, window: Window) -> Meter {
        Meter::new(Rule { most, window })
    }

    const DAY: u64 = 86_400_000;

    #[test]
    fn what_is_held_counts_and_what_is_not_used_comes_back() {
        for window in
            [Window::Calendar(Calendar { span: Span::Day, zone: TimeZone::UTC }), Window::Rolling(DAY), Window::Ever]
        {
            let mut meter = meter(100, window);
            assert_eq!(meter.hold(10, 60), Ok(()));
            assert_eq!(meter.hold(10, 60).unwrap_err().left, 40);
            meter.settle(11, 60, 25);
            assert_eq!((meter.used(11), meter.held(), meter.left(11)), (25, 0, 75));
            assert_eq!(meter.hold(12, 75), Ok(()));
            meter.settle(13, 75, 90);
            assert_eq!((meter.used(13), meter.left(13)), (115, 0), "more than was held, and told");
        }
    }

    #[test]
    fn periods_end_and_windows_roll() {
        let mut day = meter(10, Window::Calendar(Calendar { span: Span::Day, zone: TimeZone::UTC }));
        day.hold(DAY - 1, 10).unwrap();
        day.settle(DAY - 1, 6, 6);
        assert_eq!(day.hold(DAY - 1, 1).unwrap_err().after_ms, Some(1));
        assert_eq!((day.used(DAY), day.held(), day.left(DAY)), (0, 4, 6), "who is under way is held over midnight");
        day.settle(DAY + 5, 4, 4);
        assert_eq!((day.used(DAY + 5), day.resets_in_ms(DAY + 5)), (4, DAY - 5));

        let mut minute = meter(10, Window::Rolling(60_000));
        minute.hold(500, 4).unwrap();
        minute.settle(500, 4, 4);
        minute.hold(30_000, 6).unwrap();
        minute.settle(30_000, 6, 6);
        assert_eq!(minute.hold(59_000, 3), Err(Over { left: 0, after_ms: Some(2_000) }));
        assert_eq!((minute.left(60_999), minute.left(61_000), minute.left(91_000)), (0, 4, 10));
        assert_eq!(minute.hold(0, 11).unwrap_err().after_ms, None, "never");
    }

    #[test]
    fn a_bucket_fills_evenly() {
        let mut bucket = meter(60, Window::Bucket(60_000));
        assert_eq!(bucket.hold(0, 60), Ok(()));
        assert_eq!(bucket.hold(0, 1), Err(Over { left: 0, after_ms: Some(1_000) }));
        assert_eq!((bucket.left(999), bucket.left(1_000), bucket.left(30_000), bucket.left(1_000_000)), (0, 1, 30, 60));
        bucket.settle(1_000, 60, 10);
        assert_eq!(bucket.left(1_000), 51);
        // A third of a unit in a millisecond, and none is lost.
        let mut thirds = meter(1, Window::Bucket(3));
        assert_eq!([0, 1, 2, 3, 5, 6].map(|now| thirds.hold(now, 1).is_ok()), [true, false, false, true, false, true]);
        let mut slow = meter(10, Window::Bucket(60_000));
        slow.hold(0, 10).unwrap();
        slow.settle(0, 10, 30);
        assert_eq!(
            (slow.left(60_000), slow.left(120_000), slow.left(126_000)),
            (0, 0, 1),
            "what was used beyond is made up for"
        );
    }

    #[test]
    fn what_is_missing_of_a_bucket_stays_missing_when_its_most_changes() {
        let mut bucket = meter(60, Window::Bucket(60_000));
        bucket.hold(0, 50).unwrap();
        bucket.settle(0, 50, 50);
        assert_eq!(bucket.left(0), 10);
        bucket.set_rule(0, Rule { most: 120, window: Window::Bucket(60_000) });
        assert_eq!((bucket.left(0), bucket.left(1_000), bucket.left(25_000)), (70, 72, 120));
        bucket.set_rule(0, Rule { most: 30, window: Window::Bucket(60_000) });
        assert_eq!(
            (bucket.left(0), bucket.left(40_000), bucket.left(100_000)),
            (0, 0, 30),
            "more is missing than it holds"
        );
        bucket.set_rule(100_000, Rule { most: 30, window: Window::Bucket(30_000) });
        assert_eq!(bucket.left(100_000), 30, "another time begins anew");
    }

    #[test]
    fn at_a_time_counts_what_is_under_way() {
        let mut cap = meter(2, Window::AtOnce);
        assert!(cap.hold(0, 1).is_ok() && cap.hold(0, 1).is_ok());
        assert_eq!(cap.hold(0, 1), Err(Over { left: 0, after_ms: None }));
        cap.settle(5, 1, 1);
        assert_eq!((cap.left(5), cap.used(5)), (1, 0));
    }

    fn windows() -> impl Strategy<Value = Window> {
        prop_oneof![
            Just(Window::Ever),
            Just(Window::AtOnce),
            (1u64..5_000).prop_map(Window::Rolling),
            (1u64..5_000).prop_map(Window::Bucket),
            Just(Window::Calendar(Calendar { span: Span::Minute, zone: TimeZone::UTC })),
        ]
    }

    proptest! {
        /// Never more is used and held than may be; what is refused is not there; and what comes back after the time told is there.
        #[test]
        fn never_more_than_the_most(most in 1u64..100, window in windows(), steps in prop::collection::vec((0u64..3_000, 0u64..60, 0u64..=100), 1..60)) {
            let mut meter = meter(most, window.clone());
            let (mut now, mut open) = (1_000_000u64, Vec::new());
            let mut spent: Vec<(u64, u64)> = Vec::new();
            for (pause, amount, share) in steps {
                now += pause;
                let left = meter.left(now);
                prop_assert!(left <= most);
                match meter.hold(now, amount) {
                    Ok(()) => {
                        prop_assert!(amount <= left);
                        open.push((now, amount));
                    }
                    Err(over) => {
                        prop_assert!(amount > left && over.left == left);
                        if let Some(after) = over.after_ms.filter(|_| open.is_empty()) {
                            prop_assert!(meter.clone().hold(now + after, amount).is_ok(), "{over:?}");
                        }
                    }
                }
                if share % 2 == 0 && !open.is_empty() {
                    let (from, held) = open.swap_remove(share as usize % open.len());
                    let used = held * share / 100;
                    meter.settle(now, held, used);
                    // A bucket counts when it is held, a window when it is used.
                    spent.push((if matches!(window, Window::Bucket(_)) { from } else { now }, used));
                }
                prop_assert_eq!(meter.held(), open.iter().map(|(_, held)| held).sum::<u64>());
                let within = |from: u64| spent.iter().filter(|(at, _)| *at > from).map(|(_, used)| used).sum::<u64>();
                match &window {
                    Window::Rolling(length) => prop_assert!(within(now.saturating_sub(*length)) <= most),
                    Window::Ever => prop_assert!(within(0) + meter.held() <= most),
                    Window::Bucket(length) => prop_assert!(within(now.saturating_sub(*length)) <= 2 * most),
                    _ => {}
                }
            }
        }

        /// What was written down and is recalled counts as it did.
        #[test]
        fn recalled_as_it_was(window in windows(), steps in prop::collection::vec((0u64..2_000, 1u64..20), 1..40)) {
            if matches!(window, Window::Bucket(_) | Window::AtOnce) { return Ok(()); }
            let mut meter = meter(u64::MAX, window.clone());
            let (mut now, mut written) = (1_000_000u64, Vec::new());
            for (pause, used) in steps {
                now += pause;
                meter.hold(now, used).unwrap();
                meter.settle(now, used, used);
                written.push((meter.written_at_ms(now), used));
                let mut other = Meter::new(meter.rule().clone());
                written.iter().for_each(|(at, used)| other.recall(now, *at, *used));
                for later in [0, 1, 700, 5_000, 61_000] {
                    prop_assert_eq!(other.clone().used(now + later), meter.clone().used(now + later));
                }
            }
        }
    }
}
