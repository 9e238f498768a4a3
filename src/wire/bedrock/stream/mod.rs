//! Streams ↔ `Delta`s. Inside the gateway a stream is one of server-sent events, named as the frames of AWS are typed.
//!
//! After <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::Encoder;
