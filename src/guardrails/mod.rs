//! Floor 3: guardrails. Text in, finds and edits out; nothing here waits for anybody.
//!
//! - `rules`: the guardrails of a configuration, compiled; which of them apply to a request
//! - `detectors`, `checks`: personal data and secrets by name; `injection`: signs of other instructions
//! - `scan`: what is found in a text, and what is done about it
//! - `vault`: placeholders, and what they stand for
//! - `window`: texts that come in pieces, held back as far as something may have begun
//! - `schema`: answers held against a JSON schema

mod checks;
mod detectors;
pub mod injection;
mod rules;
mod scan;
mod schema;
mod vault;
mod window;

pub use rules::{Guards, Rule, Whom};
pub use scan::{Hand, Looker, Seen};
pub use schema::Schema;
pub use vault::Vault;
pub use window::{Advance, MOST_HELD, Window};

#[cfg(test)]
mod tests;
