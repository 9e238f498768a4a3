//! Cohere's wire, version 2 (<https://docs.cohere.com/reference/chat>, <https://docs.cohere.com/v2/docs/streaming>).
//!
//! - `request`: request bodies ↔ `Chat`
//! - `answer`: whole answers ↔ `Completion`
//! - `stream`: streams ↔ `Delta`s
//! - `ending`: how an answer ended and what it cost, whole or streamed
//! - `error`: errors ↔ `Error`
//!
//! What a model says before it calls tools is a field of its own here, `tool_plan`. In no vendor's words it is text that
//! stands before the calls.

pub mod answer;
mod ending;
pub mod error;
pub mod request;
pub mod stream;
