//! What a learner is told, and what it reports: settings, candidates, wishes of one request.

use super::budget::Control;
use super::question::Question;
use super::shadow::Sampling;
use super::weights::Weights;

/// How sure the trap score must be of a candidate that it is no trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strictness {
    /// The trap score is not asked.
    Off,
    /// Few traps, at little cost in hits.
    #[default]
    Balanced,
    /// Hardly any trap, at a cost in hits.
    Strict,
}

impl Strictness {
    /// What is more of a trap than this may not be served; 1 where the score is not asked.
    pub(super) fn cut(self, weights: &Weights) -> f32 {
        match self {
            Strictness::Off => 1.0,
            Strictness::Balanced => weights.trap_cuts[0],
            Strictness::Strict => weights.trap_cuts[1],
        }
    }
}

/// What the operator chooses, and how the scheme is set.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Wrong hits over all requests that are allowed.
    pub error_budget: f64,
    /// How the trap score is used.
    pub strictness: Strictness,
    /// Numbers, ids, dates and units must agree.
    pub veto: bool,
    /// Which hits are checked.
    pub sampling: Sampling,
    /// How λ is steered.
    pub control: Control,
    /// Labels that one scope keeps for its calibration; older ones go.
    pub labels: usize,
    /// Labels that all scopes keep together; beyond it scopes go as if there were too many.
    pub labels_of_all: usize,
    /// Requests between two calibrations of one scope.
    pub refit_every: u64,
    /// Candidates whose trap score is asked for, the most probable ones first.
    pub trap_most: usize,
    /// Scopes that are remembered; the one that was used longest ago goes.
    pub scopes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            error_budget: 0.01,
            strictness: Strictness::default(),
            veto: true,
            sampling: Sampling::default(),
            control: Control::default(),
            labels: 1500,
            labels_of_all: 1 << 18,
            refit_every: 200,
            trap_most: 4,
            scopes: 4096,
        }
    }
}

/// A candidate: an entry near the question.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The entry.
    pub entry: u64,
    /// Its question.
    pub question: &'a Question,
    /// Cosine of the two questions' vectors, in [-1, 1].
    pub similarity: f32,
}

/// What one request or scope wants otherwise than the settings.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Asked {
    /// Another error budget. Requests of one budget share one λ.
    pub error_budget: Option<f64>,
    /// Another strictness.
    pub strictness: Option<Strictness>,
    /// Another say on the veto.
    pub veto: Option<bool>,
    /// A hit may not be checked: no shadow call is chosen, nor counted.
    pub unchecked: bool,
    /// Decide, but count nothing, remember nothing and choose no shadow call: for explaining.
    pub dry: bool,
    /// The request was counted before; it waited, and looks again. Only a hit is counted, and may be checked.
    pub again: bool,
}
