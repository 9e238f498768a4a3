//! The learner's state as bytes: what was learned outlives the process.

use super::budget::Budget;
use super::bytes::{In, Out, StateError};
use super::case::TERMS;
use super::clusters::Clusters;
use super::learner::Learner;
use super::logistic::Sample;
use super::rows::{Row, Rows};
use super::scope::{Checks, Scope};
use super::settings::Settings;
use super::shadow::Shadow;
use super::weights::{MODEL_MOST, Weights};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

const MARK: &[u8; 16] = b"askonce-learned ";
const VERSION: u32 = 2;

/// What of a learner outlives the process, as it was at one moment. Made in a millisecond, so that a lock may be held for it:
/// it shares labels and rows with the learner, which copies what it changes meanwhile. `to_bytes` takes long, and needs no lock.
#[derive(Clone, Debug)]
pub struct Snapshot {
    model: String,
    requests: u64,
    hits: u64,
    shadow: Shadow,
    budgets: Vec<Budget>,
    scopes: Vec<(u128, Arc<Scope>)>,
    rows: Rows,
}

impl Learner {
    /// Everything it has learned, to be written out elsewhere.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            model: self.weights.model().to_owned(),
            requests: self.requests,
            hits: self.hits,
            shadow: self.shadow,
            budgets: self.budgets.iter().cloned().collect(),
            scopes: self.scopes.iter().map(|(name, scope)| (*name, scope.clone())).collect(),
            rows: self.clusters.rows.clone(),
        }
    }

    /// Everything it has learned, as bytes. With a million entries this takes long: see `snapshot`.
    pub fn save(&self) -> Vec<u8> {
        self.snapshot().to_bytes()
    }

    /// A learner that goes on where another one was saved, with the weights that ship. Settings are those of today.
    /// Refuses damaged bytes.
    pub fn load(bytes: &[u8], settings: Settings) -> Result<Learner, StateError> {
        Learner::load_with_weights(bytes, settings, Weights::shipped())
    }

    /// One with other weights. Refuses what was learned with another sentence model: its cosines mean something else.
    pub fn load_with_weights(bytes: &[u8], settings: Settings, weights: Arc<Weights>) -> Result<Learner, StateError> {
        let mut input = In::new(bytes, MARK, VERSION)?;
        let model = input.text(MODEL_MOST)?;
        if model != weights.model() {
            let now = weights.model();
            return Err(StateError(format!(
                "it was learned with the sentence model `{model}`, and the weights are for `{now}`"
            )));
        }
        let mut learner = Learner::with_weights(settings, weights, 0);
        (learner.requests, learner.hits) = (input.u64()?, input.u64()?);
        learner.shadow = Shadow::read(&mut input)?;
        let count = input.count(36)?;
        let budgets = (0..count).map(|_| Budget::read(&mut input, &settings.control, &learner.weights.usual));
        learner.budgets.restore(budgets.collect::<Result<Vec<_>, StateError>>()?);
        let count = input.count(16)?;
        learner.scopes = (0..count)
            .map(|_| Ok((input.u128()?, Arc::new(Scope::read(&mut input)?))))
            .collect::<Result<HashMap<_, _>, StateError>>()?;
        learner.labels = learner.scopes.values().map(|scope| scope.samples.len()).sum();
        learner.clusters = Clusters::read(&mut input)?;
        input.end()?;
        learner.reconfigure(settings);
        learner.drop_scopes();
        Ok(learner)
    }
}

impl Snapshot {
    /// As bytes: the same state gives the same ones.
    pub fn to_bytes(mut self) -> Vec<u8> {
        self.scopes.sort_unstable_by_key(|(name, _)| *name);
        let mut rows: Vec<(u64, Row)> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(entry, _)| *entry);
        let mut out = Out::new(MARK, VERSION);
        out.text(&self.model);
        out.u64(self.requests);
        out.u64(self.hits);
        self.shadow.write(&mut out);
        out.u32(self.budgets.len() as u32);
        self.budgets.iter().for_each(|budget| budget.write(&mut out));
        out.u32(self.scopes.len() as u32);
        for (name, scope) in &self.scopes {
            out.u128(*name);
            scope.write(&mut out);
        }
        out.reserve(rows.len() * ROW + 8);
        out.u32(rows.len() as u32);
        rows.iter().for_each(|(entry, row)| row.write(*entry, &mut out));
        out.end()
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
        out.f32(self.budget);
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
        let (fallback, budget) = (input.u8()? != 0, input.f32()?);
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
        Ok(Scope {
            samples,
            weights,
            requests,
            hits,
            fitted_at,
            fresh_labels: false,
            checks,
            fallback,
            used_at,
            budget,
        })
    }
}

/// Bytes of a row.
const ROW: usize = 20;

impl Row {
    fn write(&self, entry: u64, out: &mut Out) {
        out.u64(entry);
        out.u32(self.cluster);
        out.u16(self.right);
        out.u16(self.wrong);
        out.f32(self.worst);
    }
}

impl Clusters {
    fn read(input: &mut In<'_>) -> Result<Clusters, StateError> {
        let mut clusters = Clusters::default();
        for _ in 0..input.count(ROW)? {
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
    fn what_another_sentence_model_taught_is_refused() {
        let mut weights = (*Weights::shipped()).clone();
        weights.set_model("another");
        let error = Learner::load_with_weights(&taught().save(), Settings::default(), Arc::new(weights)).unwrap_err();
        assert!(error.to_string().contains("`all-MiniLM-L6-v2`, and the weights are for `another`"), "{error}");
    }

    /// `cargo test --release --lib state::tests::a_full -- --ignored --nocapture`
    #[test]
    #[ignore = "measures; needs a release build and a quiet machine"]
    fn a_full_learner_is_copied_in_little_time() {
        let settings = Settings::default();
        let mut learner = Learner::new(settings, 1);
        let sample = Sample { terms: [0.5; TERMS], right: true, weight: 1.0 };
        for name in 0..4096u128 {
            let mut scope = Scope::new(&learner.weights.prior, 1, 0.01);
            (0..64).for_each(|_| _ = scope.label(sample, settings.labels));
            learner.scopes.insert(name.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835), Arc::new(scope));
        }
        (0..1u64 << 20).for_each(|at| _ = learner.clusters.cluster(at.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let timed = |what: &str, run: &mut dyn FnMut()| {
            let mut took: Vec<_> = (0..7)
                .map(|_| {
                    let start = std::time::Instant::now();
                    run();
                    start.elapsed()
                })
                .collect();
            took.sort_unstable();
            println!("{what}: median {:?}, longest {:?}", took[3], took[6]);
            took[3]
        };
        let mut bytes = Vec::new();
        let copied = timed("snapshot", &mut || _ = std::hint::black_box(learner.snapshot()));
        timed("save", &mut || bytes = learner.save());
        timed("load", &mut || _ = Learner::load(&bytes, settings).unwrap());
        println!("{} bytes", bytes.len());
        assert!(copied.as_millis() <= 5, "{copied:?}");
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        // A checksum that fits, and a count that does not.
        let mut out = Out::new(MARK, VERSION);
        out.text(Weights::shipped().model());
        out.u64(1);
        out.u64(0);
        [0.2, 0.0, 0.0].iter().for_each(|number| out.f64(*number));
        out.u64(1);
        out.u32(u32::MAX);
        let error = Learner::load(&out.end(), Settings::default()).unwrap_err();
        assert!(error.to_string().contains("only 0 bytes follow"), "{error}");
    }
}
