//! The Converse wire of AWS Bedrock (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>),
//! and the bodies of InvokeModel.
//!
//! - `request`: request bodies ↔ `Chat`
//! - `answer`: whole answers ↔ `Completion`
//! - `stream`: streams ↔ `Delta`s
//! - `content`, `media`: blocks of turns ↔ `Part`s, in requests and answers alike
//! - `error`: errors ↔ `Error`
//! - `invoke`: what stands in bodies of InvokeModel, by the family of the model
//! - `auth`: which key a signed request shows

pub mod answer;
pub mod auth;
mod content;
pub mod error;
pub mod invoke;
mod media;
pub mod request;
pub mod stream;
