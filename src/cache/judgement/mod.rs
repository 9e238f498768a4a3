//! The judgement: which of the near entries may be served, if any.
//!
//! - `threshold`: a fixed similarity and the veto, for those who want nothing learned
//! - `learner`: the learned judgement of one cache: decides, learns from labels, keeps to an error budget; `settings`: its own
//! - `question`, `words`: what is read out of a question, once; `pair`: features of two
//! - `case`: what a decision says, and what of it a label is about
//! - `judges`: whether two answers say the same
//! - `scope`, `logistic`: labels and calibration of one scope; `budget`: λ; `shadow`: which hits are checked
//! - `clusters`: entries with the same answer, and what is remembered of each
//! - `trees`: the trap score; `weights`: all that was learned before the first request; `training`, `boost`: how
//! - `state`, `bytes`: what outlives the process

mod boost;
mod budget;
mod bytes;
mod case;
mod clusters;
pub mod judges;
mod learner;
mod logistic;
mod pair;
mod question;
mod scope;
mod settings;
mod shadow;
mod state;
mod threshold;
mod training;
mod trees;
mod weights;
mod words;

pub use boost::{Growth, Rows, grow};
pub use budget::Control;
pub use bytes::StateError;
pub use case::{Case, Change, Decision, Reason, Source, Terms, Weighed};
pub use learner::Learner;
pub use logistic::Prior;
pub use pair::FEATURE_NAMES;
pub use question::Question;
pub use settings::{Asked, ScopeReport, Seen, Settings, Strictness};
pub use shadow::Sampling;
pub use threshold::{Candidate, Judgement, StaticThreshold, Verdict};
pub use training::{LabelledCase, LabelledPair};
pub use trees::Forest;
pub use weights::Weights;
