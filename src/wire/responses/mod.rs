//! OpenAI's Responses wire (<https://platform.openai.com/docs/api-reference/responses>).
//!
//! - `request`: request bodies ↔ `Chat`
//! - `answer`: whole answers ↔ `Completion`
//! - `stream`: streams ↔ `Delta`s
//! - `echo`: the fields of a request that its answer repeats
//! - `item`: one output item, as answers and streams write it
//! - `sealed`: what a `reasoning` item keeps for the way back
//! - `playback`: the body that a stream ends with, and a stored body as a stream, with nothing lost
//! - `history`: the earlier turns of a conversation, put before a request that names them
//! - `error`: errors ↔ `Error`

pub mod answer;
mod echo;
pub mod error;
pub mod history;
mod item;
pub mod playback;
pub mod request;
mod sealed;
pub mod stream;
