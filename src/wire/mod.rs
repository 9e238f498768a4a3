//! Floor 1a: wire formats. Bytes ↔ the words of `types`, and nothing else.
//!
//! - `json`: bytes → a borrowed tree, with clear errors
//! - `sse`: server-sent events, split and written
//! - `openai`: the OpenAI wire: requests, answers, streams, playback, errors

pub mod json;
pub mod openai;
pub mod sse;
