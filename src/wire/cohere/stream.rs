//! Streams ↔ `Delta`s (<https://docs.cohere.com/v2/docs/streaming>).
//!
//! - `decode`: events → `Delta`s
//! - `encode`: `Delta`s → events

mod decode;
mod encode;

pub use decode::Decoder;
pub use encode::Encoder;

#[cfg(test)]
mod tests;
