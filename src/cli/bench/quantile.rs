//! Exact quantiles of measured times, and medians over rounds.

/// Times of one phase, sorted.
#[derive(Debug, Default)]
pub struct Quantiles(Vec<u64>);

impl Quantiles {
    /// Takes times in nanoseconds, in any order.
    pub fn of(mut times_ns: Vec<u64>) -> Quantiles {
        times_ns.sort_unstable();
        Quantiles(times_ns)
    }

    /// The smallest time that at least `per_mille` of 1,000 times do not exceed, in microseconds. `None` where there
    /// are too few times to have one beyond it on average (p99.9 needs 1,000).
    pub fn at_us(&self, per_mille: usize) -> Option<f64> {
        let count = self.0.len();
        if count == 0 || count * (1000 - per_mille) < 1000 {
            return None;
        }
        let rank = (count * per_mille).div_ceil(1000).max(1);
        Some(self.0[rank - 1] as f64 / 1e3)
    }

    /// How many times there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The longest time in microseconds.
    pub fn max_us(&self) -> Option<f64> {
        self.0.last().map(|&time| time as f64 / 1e3)
    }
}

/// The median of the rounds that have a value; of an even number, the mean of the middle two.
pub fn median(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().flatten().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gives_the_nearest_rank() {
        let times = Quantiles::of((1..=1000).rev().map(|time| time * 1000).collect());
        assert_eq!(times.at_us(500), Some(500.0));
        assert_eq!(times.at_us(900), Some(900.0));
        assert_eq!(times.at_us(990), Some(990.0));
        assert_eq!(times.at_us(999), Some(999.0));
        assert_eq!(times.max_us(), Some(1000.0));
    }

    #[test]
    fn says_nothing_where_there_is_too_little() {
        let times = Quantiles::of(vec![1000; 99]);
        assert_eq!(times.at_us(900), Some(1.0));
        assert_eq!(times.at_us(990), None);
        assert_eq!(Quantiles::of(vec![1000; 100]).at_us(990), Some(1.0));
        assert_eq!(Quantiles::of(vec![1000; 999]).at_us(999), None);
        assert_eq!(Quantiles::of(vec![]).at_us(500), None);
        assert_eq!(Quantiles::of(vec![]).max_us(), None);
    }

    #[test]
    fn medians_skip_what_is_missing() {
        assert_eq!(median([Some(3.0), None, Some(1.0), Some(2.0)]), Some(2.0));
        assert_eq!(median([Some(4.0), Some(1.0)]), Some(2.5));
        assert_eq!(median([None, None]), None);
    }

    proptest! {
        #[test]
        fn is_a_quantile_by_definition(times in proptest::collection::vec(0u64..50, 10..400), per_mille in 1usize..900) {
            let value = Quantiles::of(times.clone()).at_us(per_mille).unwrap() * 1e3;
            let share = |count: usize| count * 1000;
            let up_to = times.iter().filter(|&&time| time as f64 <= value + 0.5).count();
            let below = times.iter().filter(|&&time| (time as f64) < value - 0.5).count();
            prop_assert!(share(up_to) >= per_mille * times.len());
            prop_assert!(share(below) < per_mille * times.len());
        }
    }
}
