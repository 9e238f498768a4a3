//! Streams ↔ `Delta`s (<https://platform.claude.com/docs/en/build-with-claude/streaming>).
//!
//! - `decoder`: events → `Delta`s
//! - `encoder`: `Delta`s → events

mod decoder;
mod encoder;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use encoder::Encoder;
