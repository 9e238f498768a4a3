//! The learner's state as bytes: what was learned outlives the process.

use super::budget::Budget;
use super::bytes::{In, Out, StateError};
use super::case::TERMS;
use super::clusters::{Clusters, Row};
use super::learner::Learner;
use super::logistic::Sample;
use super::scope::{Checks, Scope};
use super::settings::Settings;
use super::shadow::Shadow;
use super::weights::Weights;
use std::collections::{HashMap, VecDeque};

const MARK: &[u8; 16] = b"askonce-learned ";
const VERSION: u32 = 1;

impl Learner {
    /// Everything it has learned.
    pub fn save(&self) -> Vec<u8> {
        let mut out = Out::new(MARK, VERSION);
        out.u64(self.requests);
        self.shadow.write(&mut out);
        out.u32(self.budgets.len() as u32);
        self.budgets.iter().for_each(|budget| budget.write(&mut out));
        // In the order of their names, so that the same state gives the same bytes.
        let mut scopes: Vec<(&u128, &Scope)> = self.scopes.iter().collect();
        scopes.sort_unstable_by_key(|(name, _)| **name);
        out.u32(scopes.len() as u32);
        for (name, scope) in scopes {
            out.u128(*name);
            scope.write(&mut out);
        }
        self.clusters.write(&mut out);
        out.end()
    }

    /// A learner that goes on where another one was saved. Settings are those of today. Refuses damaged bytes.
    pub fn load(bytes: &[u8], settings: Settings) -> Result<Learner, StateError> {
        let mut input = In::new(bytes, MARK, VERSION)?;
        let mut learner = Learner::with_weights(settings, Weights::shipped(), 0);
        learner.requests = input.u64()?;
        learner.shadow = Shadow::read(&mut input)?;
        learner.budgets.clear();
        for _ in 0..input.count(28)? {
            learner.budgets.push(Budget::read(&mut input, &settings.control)?);
        }
        let count = input.count(16)?;
        learner.scopes = (0..count)
            .map(|_| Ok((input.u128()?, Scope::read(&mut input)?)))
            .collect::<Result<HashMap<_, _>, StateError>>()?;
        learner.labels = learner.scopes.values().map(|scope| scope.samples.len()).sum();
        learner.clusters = Clusters::read(&mut input)?;
        input.end()?;
        learner.reconfigure(settings);
        learner.drop_scopes();
        Ok(learner)
    }
}

impl Shadow {
    fn write(&self, out: &mut Out) {
        [self.kappa, self.hits, self.calls].iter().for_each(|number| out.f64(*number));
        out.u64(self.dice);
    }

    fn read(input: &mut In<'_>) -> Result<Shadow, StateError> {
        let (kappa, hits, calls) = (input.positive()?, input.positive()?, input.positive()?);
        Ok(Shadow { kappa, hits, calls, dice: input.u64()? })
    }
}

impl Scope {
    fn write(&self, out: &mut Out) {
        [self.requests, self.hits, self.fitted_at, self.used_at].iter().for_each(|number| out.u64(*number));
        out.u8(u8::from(self.fallback));
        let Checks { requests, hits, weight, squares, wrong } = self.checks;
        [requests, hits, weight, squares, wrong].iter().chain(&self.weights).for_each(|number| out.f64(*number));
        out.u32(self.samples.len() as u32);
        for sample in &self.samples {
            sample.terms.iter().for_each(|term| out.f32(*term));
            out.f32(sample.weight);
            out.u8(u8::from(sample.right));
        }
    }

    fn read(input: &mut In<'_>) -> Result<Scope, StateError> {
        let (requests, hits, fitted_at, used_at) = (input.u64()?, input.u64()?, input.u64()?, input.u64()?);
        let fallback = input.u8()? != 0;
        let mut sums = [0.0; 5];
        for sum in &mut sums {
            *sum = input.positive()?;
        }
        let [all, served, weight, squares, wrong] = sums;
        let checks = Checks { requests: all, hits: served, weight, squares, wrong };
        let mut weights = [0.0; TERMS];
        for weight in &mut weights {
            *weight = input.f64()?;
        }
        let mut samples = VecDeque::new();
        for _ in 0..input.count(4 * TERMS + 5)? {
            let mut terms = [0.0; TERMS];
            for term in &mut terms {
                *term = input.f32()?;
            }
            let weight = input.f32()?.max(0.0);
            samples.push_back(Sample { terms, weight, right: input.u8()? != 0 });
        }
        Ok(Scope { samples, weights, requests, hits, fitted_at, fresh_labels: false, checks, fallback, used_at })
    }
}

impl Clusters {
    fn write(&self, out: &mut Out) {
        let mut rows: Vec<(&u64, &Row)> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(entry, _)| **entry);
        out.u32(rows.len() as u32);
        for (entry, row) in rows {
            out.u64(*entry);
            out.u32(row.cluster);
            out.u16(row.right);
            out.u16(row.wrong);
            out.f32(row.worst);
        }
    }

    fn read(input: &mut In<'_>) -> Result<Clusters, StateError> {
        let mut clusters = Clusters::default();
        for _ in 0..input.count(20)? {
            let entry = input.u64()?;
            let (cluster, right, wrong) = (input.u32()?, input.u16()?, input.u16()?);
            clusters.restore(entry, Row { cluster, right, wrong, worst: input.f32()? });
        }
        Ok(clusters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::judgement::{Asked, Question, Seen, Source};

    /// A learner that has seen some requests of two scopes.
    fn taught() -> Learner {
        let mut learner = Learner::new(Settings::default(), 5);
        let questions: Vec<Question> =
            (0..40).map(|i| Question::read(&format!("how do I change plan {}", i % 4))).collect();
        for (at, question) in questions.iter().enumerate().skip(1) {
            let scope = (at % 2) as u128;
            let seen = [Seen { entry: at as u64 - 1, question: &questions[at - 1], similarity: 0.9 }];
            let decision = learner.decide(scope, question, &seen, &Asked::default());
            for case in decision.cases(0.0, 2) {
                learner.learn(&case, at % 3 == 0, Source::Miss, Some(at as u64));
            }
        }
        learner
    }

    #[test]
    fn goes_on_where_it_was() {
        let learner = taught();
        let bytes = learner.save();
        let mut again = Learner::load(&bytes, Settings::default()).unwrap();
        assert_eq!(again.save(), bytes);
        let question = Question::read("how do I change plan 1");
        let seen = [Seen { entry: 7, question: &question, similarity: 0.93 }];
        let mut learner = learner;
        for _ in 0..50 {
            let [one, other] = [&mut learner, &mut again].map(|one| one.decide(0, &question, &seen, &Asked::default()));
            assert_eq!((one.serve, one.p, one.shadow), (other.serve, other.p, other.shadow));
        }
    }

    #[test]
    fn refuses_damage_and_never_panics() {
        let bytes = taught().save();
        assert!(Learner::load(&[], Settings::default()).is_err());
        for at in 0..bytes.len() {
            assert!(Learner::load(&bytes[..at], Settings::default()).is_err(), "cut at {at}");
            let mut other = bytes.clone();
            other[at] ^= 0x41;
            assert!(Learner::load(&other, Settings::default()).is_err(), "byte {at}");
        }
        let mut newer = bytes.clone();
        newer[16] = 9;
        assert!(Learner::load(&newer, Settings::default()).unwrap_err().to_string().contains("version 9"));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        // A checksum that fits, and a count that does not.
        let mut out = Out::new(MARK, VERSION);
        out.u64(1);
        [0.2, 0.0, 0.0].iter().for_each(|number| out.f64(*number));
        out.u64(1);
        out.u32(u32::MAX);
        let error = Learner::load(&out.end(), Settings::default()).unwrap_err();
        assert!(error.to_string().contains("only 0 bytes follow"), "{error}");
    }
}
