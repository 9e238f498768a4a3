//! The judgement: which of the near entries may be served, if any.
//!
//! - `threshold`: a fixed similarity and the veto, for those who want nothing learned
//! - `learner`: the learned judgement of one cache: decides, learns from labels, keeps to an error budget; `settings`: its own
//! - `question`, `words`: what is read out of a question, once; `pair`, `places`: features of two
//! - `case`: what a decision says, and what of it a label is about
//! - `judges`: whether two answers say the same
//! - `weighing`: the probability of each candidate
//! - `scope`, `logistic`: labels and calibration of one scope; `budget`, `budgets`: λ; `shadow`: which hits are checked
//! - `clusters`: entries with the same answer; `rows`: what is remembered of each
//! - `trees`: the trap score; `usual`: usual traffic; `weights`: all that was learned before the first request; `training`, `boost`: how
//! - `report`: what it tells of itself; `state`, `bytes`: what outlives the process

mod boost;
mod budget;
mod budgets;
mod bytes;
mod case;
mod clusters;
pub mod judges;
mod learner;
mod logistic;
mod pair;
mod places;
mod question;
mod report;
mod rows;
mod scope;
mod settings;
mod shadow;
mod state;
mod threshold;
mod training;
mod trees;
mod usual;
mod weighing;
mod weights;
mod words;

pub use boost::{Growth, Rows, grow};
pub use budget::Control;
pub use bytes::StateError;
pub use case::{Case, Change, Decision, MOST_COMPARED, Reason, Source, Terms, WORTH_COMPARING, Weighed};
pub use learner::Learner;
pub use logistic::Prior;
pub use pair::FEATURE_NAMES;
pub use question::Question;
pub use report::{Memory, Overview, ScopeReport};
pub use settings::{Asked, Seen, Settings, Strictness};
pub use shadow::Sampling;
pub use state::Snapshot;
pub use threshold::{Refused, nearest};
pub use training::{LabelledCase, LabelledPair};
pub use trees::Forest;
pub use weights::Weights;
