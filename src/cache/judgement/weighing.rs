//! How candidates are weighed: their terms among each other, the trap score, and the probability that comes of both.

use super::case::{TERMS, Terms, Weighed};
use super::learner::Learner;
use super::logistic::{self, sigmoid};
use super::question::Question;
use super::settings::{Seen, Strictness};

impl Learner {
    /// Every candidate with its terms and probability. `clusters` are the candidates' own, in their order.
    pub(super) fn weigh(
        &self,
        question: &Question,
        seen: &[Seen<'_>],
        clusters: &[u32],
        veto: bool,
        weights: &logistic::Weights,
    ) -> Vec<Weighed> {
        let mut weighed: Vec<Weighed> = seen
            .iter()
            .zip(clusters)
            .map(|(one, cluster)| Weighed {
                entry: one.entry,
                similarity: one.similarity,
                stream: self.weights.stream(one.similarity),
                vetoed: veto && question.facts != one.question.facts,
                trap: None,
                cluster: *cluster,
                terms: [0.0; TERMS],
                p: 0.0,
            })
            .collect();
        for at in 0..weighed.len() {
            let terms = terms(&weighed, at);
            weighed[at].terms = terms;
            weighed[at].p = self.probability(weights, &terms);
        }
        weighed
    }

    /// Asks the trap score about the most probable candidates, and lowers their probability by what it says.
    pub(super) fn set_traps(
        &self,
        question: &Question,
        seen: &[Seen<'_>],
        weighed: &mut [Weighed],
        strictness: Strictness,
        weights: &logistic::Weights,
    ) {
        if strictness == Strictness::Off {
            return;
        }
        let allowed = logistic::logit(f64::from(strictness.cut(&self.weights))) as f32;
        let mut order: Vec<usize> = (0..weighed.len()).filter(|at| !weighed[*at].vetoed).collect();
        order.sort_by(|one, other| weighed[*other].p.total_cmp(&weighed[*one].p));
        for at in order.into_iter().take(self.settings.trap_most) {
            let one = &mut weighed[at];
            let features = super::pair::features(question, seen[at].question, one.similarity, &self.weights.idf);
            let trap = self.weights.trap.predict(&features).clamp(1e-4, 1.0 - 1e-4);
            one.trap = Some(trap);
            one.terms[5] = -((trap / (1.0 - trap)).ln() - allowed).max(0.0);
            one.p = self.probability(weights, &one.terms);
        }
    }

    /// The probability, had nobody looked for traps.
    pub(super) fn probability_untrapped(&self, weights: &logistic::Weights, terms: &Terms) -> f32 {
        let mut terms = *terms;
        terms[TERMS - 1] = 0.0;
        self.probability(weights, &terms)
    }

    fn probability(&self, weights: &logistic::Weights, terms: &Terms) -> f32 {
        (1.0 - self.settings.control.doubt) * sigmoid(logistic::dot(weights, terms)) as f32
    }
}

/// The terms of the candidate at `at` among all.
fn terms(all: &[Weighed], at: usize) -> Terms {
    let one = &all[at];
    let (mut other, mut fellows) = (0.0f32, 0.0f32);
    for (i, two) in all.iter().enumerate() {
        if two.vetoed || i == at {
            continue;
        }
        if two.cluster == one.cluster {
            fellows += two.stream;
        } else {
            other = other.max(two.stream);
        }
    }
    let logit = (one.stream / (1.0 - one.stream)).ln();
    let ahead = ((one.stream + 0.02) / (other + 0.02)).ln();
    [1.0, logit, ahead, fellows.ln_1p(), f32::from(u8::from(other > 0.3)), 0.0]
}
