//! Streams of the Responses wire ↔ `Delta`s (<https://platform.openai.com/docs/api-reference/responses-streaming>).

mod decode;
mod encode;
mod events;
mod fill;

#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::Encoder;
pub(super) use events::Events;
