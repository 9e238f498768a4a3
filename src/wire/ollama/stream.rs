//! Streams ↔ `Delta`s (<https://docs.ollama.com/api/streaming>).
//!
//! - `decode`: events → `Delta`s
//! - `encode`: `Delta`s → events

mod decode;
mod encode;

pub use decode::Decoder;
pub use encode::Encoder;

#[cfg(test)]
mod tests;
