//! Engines that take turns: in each round every one is timed once at every shape, beside the memory's speed. A machine
//! that is busy for a while then slows all of them, and the ratios of a round stay true.

use std::time::Duration;

use serde::Serialize;

use super::{ReadBuffer, Shape, Timing, bytes_per_second};

/// Something whose passes can be timed.
pub trait Runner {
    /// In tables.
    fn name(&self) -> String;

    /// Times passes of this shape for about `time`; none when it cannot run the shape.
    ///
    /// # Errors
    /// Words for people; they end the measurement.
    fn time(&mut self, shape: Shape, time: Duration) -> Result<Option<Timing>, String>;
}

/// What was measured in one turn of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    /// Bytes a second that the core read.
    pub read_bytes_per_s: f64,
    /// By runner, then by shape.
    pub timings: Vec<Vec<Option<Timing>>>,
}

/// All rounds. Runners and shapes go by their numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rounds {
    /// One after the other.
    pub rounds: Vec<Round>,
}

/// Times every runner at every shape, `rounds` times over, each for about `time`.
///
/// # Errors
/// The first that a runner reports.
pub fn interleave(
    runners: &mut [Box<dyn Runner>],
    shapes: &[Shape],
    rounds: usize,
    time: Duration,
) -> Result<Rounds, String> {
    let buffer = ReadBuffer::default();
    let rounds = (0..rounds).map(|_| round(runners, shapes, time, &buffer)).collect::<Result<Vec<_>, _>>()?;
    Ok(Rounds { rounds })
}

fn round(
    runners: &mut [Box<dyn Runner>],
    shapes: &[Shape],
    time: Duration,
    buffer: &ReadBuffer,
) -> Result<Round, String> {
    let mut timings = vec![vec![None; shapes.len()]; runners.len()];
    let read_bytes_per_s = bytes_per_second(buffer);
    // Shape by shape: what is to be compared lies close together in time.
    for (index, &shape) in shapes.iter().enumerate() {
        for (runner, timings) in runners.iter_mut().zip(&mut timings) {
            timings[index] = runner.time(shape, time)?;
        }
    }
    Ok(Round { read_bytes_per_s, timings })
}

impl Rounds {
    /// Gigabytes (10⁹) a second that the core read: the median of the rounds; 0 without rounds.
    pub fn read_gb_s(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.read_bytes_per_s / 1e9)).unwrap_or(0.0)
    }

    /// The median of the rounds' medians, in microseconds a pass.
    pub fn median_us(&self, runner: usize, shape: usize) -> Option<f64> {
        median(self.timings(runner, shape).map(|timing| timing.median_us))
    }

    /// The shortest pass in microseconds.
    pub fn best_us(&self, runner: usize, shape: usize) -> Option<f64> {
        self.timings(runner, shape).map(|timing| timing.best_us).min_by(f64::total_cmp)
    }

    /// How many times as long as `other` the runner took: the median of the rounds' ratios.
    pub fn ratio(&self, runner: usize, other: usize, shape: usize) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| {
            let of = |number: usize| round.timings.get(number)?.get(shape).copied().flatten();
            Some(of(runner)?.median_us / of(other)?.median_us)
        }))
    }

    /// How many times as long the runner took as reading `bytes` takes: the median of the rounds' ratios. None without
    /// bytes.
    pub fn times_floor(&self, runner: usize, shape: usize, bytes: usize) -> Option<f64> {
        let ratios = self.rounds.iter().filter_map(|round| {
            let timing = round.timings.get(runner)?.get(shape).copied().flatten()?;
            Some(timing.median_us / 1e6 * round.read_bytes_per_s / bytes as f64)
        });
        if bytes == 0 { None } else { median(ratios) }
    }

    fn timings(&self, runner: usize, shape: usize) -> impl Iterator<Item = Timing> {
        self.rounds.iter().filter_map(move |round| round.timings.get(runner)?.get(shape).copied().flatten())
    }
}

/// The middle one, the upper of two; none of none.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes 1, 2, 3, … times its pace, and cannot run texts longer than 16 tokens.
    struct Slower {
        pace: f64,
        turn: f64,
    }

    impl Runner for Slower {
        fn name(&self) -> String {
            format!("{} us", self.pace)
        }

        fn time(&mut self, shape: Shape, _time: Duration) -> Result<Option<Timing>, String> {
            if shape.texts == 0 {
                return Err("no texts".into());
            }
            if shape.tokens > 16 {
                return Ok(None);
            }
            self.turn += 1.0;
            Ok(Some(Timing { median_us: self.pace * self.turn, best_us: self.pace }))
        }
    }

    fn slower() -> Vec<Box<dyn Runner>> {
        [10.0, 40.0].map(|pace| Box::new(Slower { pace, turn: 0.0 }) as Box<dyn Runner>).into()
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let shapes = [16, 32].map(|tokens| Shape { texts: 1, tokens });
        let rounds = interleave(&mut slower(), &shapes, 3, Duration::ZERO).unwrap();
        assert_eq!(rounds.median_us(0, 0), Some(20.0));
        assert_eq!(rounds.best_us(1, 0), Some(40.0));
        assert_eq!((rounds.ratio(0, 1, 0), rounds.ratio(1, 0, 0)), (Some(0.25), Some(4.0)));
        assert_eq!((rounds.median_us(0, 1), rounds.ratio(0, 1, 1), rounds.ratio(0, 2, 0)), (None, None, None));
        assert!(rounds.read_gb_s() > 0.0);
    }

    #[test]
    fn the_floor_is_the_time_of_reading_so_many_bytes() {
        let timings = |median_us| vec![vec![Some(Timing { median_us, best_us: 1.0 })]];
        let rounds = [(1e9, 30.0), (2e9, 20.0), (4e9, 5.0)]
            .map(|(read_bytes_per_s, us)| Round { read_bytes_per_s, timings: timings(us) });
        let rounds = Rounds { rounds: rounds.into() };
        // 10 kB take 10, 5 and 2.5 us.
        assert_eq!(rounds.times_floor(0, 0, 10_000), Some(3.0));
        assert_eq!((rounds.times_floor(0, 0, 0), rounds.times_floor(1, 0, 10)), (None, None));
    }

    #[test]
    fn a_failing_runner_ends_it_and_no_rounds_are_no_answer() {
        let none = [Shape { texts: 0, tokens: 8 }];
        assert_eq!(interleave(&mut slower(), &none, 1, Duration::ZERO), Err("no texts".into()));
        let empty = Rounds { rounds: Vec::new() };
        assert_eq!((empty.read_gb_s(), empty.median_us(0, 0)), (0.0, None));
        assert_eq!(median([3.0, 1.0, 2.0, 9.0].into_iter()), Some(3.0));
    }
}
