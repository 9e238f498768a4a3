//! Ollama's own wire (<https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion>); what that page leaves
//! out is as `api/types.go` beside it has it.
//!
//! - `request`: request bodies ↔ `Chat`
//! - `answer`: whole answers ↔ `Completion`
//! - `stream`: streams ↔ `Delta`s
//! - `ending`: how an answer ended and what it cost, whole or streamed
//! - `error`: errors ↔ `Error`
//!
//! A stream is lines of JSON there. Here each line is the data of an event (`wire::ndjson`).
//!
//! Calls have no ids in older versions: some are made, and results find their call by the name of its tool. Newer versions
//! have both, and both are written.

pub mod answer;
mod ending;
pub mod error;
pub mod request;
pub mod stream;
