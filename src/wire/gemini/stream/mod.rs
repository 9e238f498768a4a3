//! Streams ↔ `Delta`s. Every event is a whole `GenerateContentResponse` with what came since the last one
//! (<https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>).

mod decoder;
mod encoder;

pub use decoder::Decoder;
pub use encoder::Encoder;

#[cfg(test)]
mod tests;
