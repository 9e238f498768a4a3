//! The front of a sweep: what nothing else beats, and the best under a bound on errors.

use serde::Serialize;

/// Bounds on wrong hits over requests that are reported on.
pub const BOUNDS: [f64; 4] = [0.005, 0.01, 0.02, 0.05];

/// Error and hit rate of one run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// Wrong hits over requests.
    pub error: f64,
    /// Hits over requests.
    pub hits: f64,
}

/// The best run under a bound.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Best {
    /// Wrong hits over requests that are allowed.
    pub bound: f64,
    /// Which run, by its place in `runs`; none keeps to the bound where there is none.
    pub run: Option<usize>,
}

/// The places of those points that no other beats, by error: no other has as many hits at no more errors.
pub fn front(points: &[Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|one, other| {
        let (one, other) = (&points[*one], &points[*other]);
        one.error.total_cmp(&other.error).then(other.hits.total_cmp(&one.hits))
    });
    let mut most = f64::NEG_INFINITY;
    order.retain(|at| {
        let better = points[*at].hits > most;
        most = most.max(points[*at].hits);
        better
    });
    order
}

/// The point with the most hits of those with at most `bound` errors.
pub fn best(points: &[Point], bound: f64) -> Option<usize> {
    let within = points.iter().enumerate().filter(|(_, point)| point.error <= bound);
    // Of equals the first.
    within
        .rev()
        .max_by(|(_, one), (_, other)| one.hits.total_cmp(&other.hits).then(other.error.total_cmp(&one.error)))
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(of: &[(f64, f64)]) -> Vec<Point> {
        of.iter().map(|&(error, hits)| Point { error, hits }).collect()
    }

    #[test]
    fn a_table() {
        let some = points(&[(0.02, 0.3), (0.01, 0.2), (0.02, 0.25), (0.03, 0.3), (0.0, 0.1), (0.04, 0.5)]);
        assert_eq!(front(&some), [4, 1, 0, 5]);
        let table = [(0.0, Some(4)), (0.005, Some(4)), (0.015, Some(1)), (0.03, Some(0)), (1.0, Some(5))];
        for (bound, expected) in table {
            assert_eq!(best(&some, bound), expected, "{bound}");
        }
        assert_eq!((front(&[]), best(&some[..1], 0.01)), (Vec::new(), None));
    }

    proptest! {
        /// Nothing beats what is on the front, and everything else is beaten by something on it.
        #[test]
        fn the_front_is_what_nothing_beats(of in proptest::collection::vec((0u8..9, 0u8..9), 1..30)) {
            let all: Vec<Point> =
                of.iter().map(|&(error, hits)| Point { error: error.into(), hits: hits.into() }).collect();
            let front = front(&all);
            let beats = |one: &Point, other: &Point| {
                one.error <= other.error && one.hits >= other.hits && one != other
            };
            for (at, point) in all.iter().enumerate() {
                let beaten = all.iter().any(|other| beats(other, point));
                let on_front = front.iter().any(|on| all[*on] == *point);
                prop_assert_eq!(on_front, !beaten, "{}", at);
            }
        }
    }
}
