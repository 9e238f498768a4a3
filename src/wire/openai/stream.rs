//! Streams of chat completions ↔ `Delta`s (<https://platform.openai.com/docs/api-reference/chat-streaming>).

mod decode;
mod encode;

#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::Encoder;
