//! The OpenAI wire, after the vendor's API reference (<https://platform.openai.com/docs/api-reference>).
//!
//! - `decode`: request bodies → `Request`
//! - `answer`: complete reply bodies → `Answer`
//! - `alike`: chunks that differ from the last one in their words alone
//! - `fold`: a stream of chunks → the body it amounts to
//! - `playback`: an `Answer` → a body or a stream, with a new id
//! - `quirks`: fields that a provider refuses, and the name it has for another
//! - `stream_usage`: asking for the usage of a stream where the caller did not
//! - `request`, `completion`, `stream`: the hub's side of chat completions: ↔ `Chat`, `Completion`, `Delta`s
//! - `habits`: what servers that speak this wire want beyond the reference, by a model's name
//! - `media`, `thoughts`, `ending`: bytes, thoughts and finish reasons, of requests and answers alike
//! - `error`: `Error` → OpenAI's error object

mod alike;
pub mod answer;
pub mod completion;
pub mod decode;
pub mod ending;
pub mod error;
pub mod fold;
pub mod habits;
pub mod media;
pub mod playback;
pub mod quirks;
pub mod request;
pub mod stream;
pub mod stream_usage;
pub mod thoughts;
