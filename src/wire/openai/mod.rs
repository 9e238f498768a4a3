//! The OpenAI wire, after the vendor's API reference (<https://platform.openai.com/docs/api-reference>).
//!
//! - `decode`: request bodies → `Request`
//! - `answer`: complete reply bodies → `Answer`
//! - `fold`: a stream of chunks → the body it amounts to
//! - `playback`: an `Answer` → a body or a stream, with a new id
//! - `stream_usage`: asking for the usage of a stream where the caller did not
//! - `error`: `Error` → OpenAI's error object

pub mod answer;
pub mod decode;
pub mod error;
pub mod fold;
pub mod playback;
pub mod stream_usage;
