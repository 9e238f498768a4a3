//! Google's Gemini wire (<https://ai.google.dev/api/generate-content>).
//!
//! - `request`: request bodies ↔ `Chat`
//! - `answer`: whole answers ↔ `Completion`
//! - `stream`: streams ↔ `Delta`s; `array`: a stream as one JSON list, for callers that do not ask for events
//! - `part`: the pieces of a turn; `own`: those that only this wire knows
//! - `fields`, `schema`, `generation`: names of fields in both spellings, schemas, what a model's name says
//! - `embed`, `count`: embeddings and the counting of tokens
//! - `error`: errors ↔ `Error`

pub mod answer;
pub mod array;
pub mod count;
pub mod embed;
pub mod error;
mod fields;
mod generation;
mod own;
mod part;
pub mod request;
mod schema;
pub mod stream;
