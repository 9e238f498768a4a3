//! Requests of chat completions ↔ `Chat` (<https://platform.openai.com/docs/api-reference/chat/create>).
//!
//! - `decode`: the request's own fields; `tools`, `turns`, `parts`: what stands in them
//! - `encode`, `write_turns`: the way back

mod decode;
mod encode;
pub mod parts;
mod tools;
mod turns;
mod write_turns;

#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use parts::cache_mark;
pub use tools::{allow, word_of};
pub use turns::signature;
pub use write_turns::{address, image, sign};
