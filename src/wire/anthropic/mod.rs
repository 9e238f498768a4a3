//! Anthropic's Messages wire (<https://platform.claude.com/docs/en/api/messages>).
//!
//! - `request`: request bodies ↔ `Chat`
//! - `answer`: whole answers ↔ `Completion`
//! - `stream`: streams ↔ `Delta`s
//! - `words`: how an answer ended and what it cost, in the words that answers and streams share
//! - `claude`: what a Claude model takes, by its name
//! - `count`: what the token counter answers
//! - `error`: errors ↔ `Error`

pub mod answer;
pub mod claude;
pub mod count;
pub mod error;
pub mod request;
pub mod stream;
mod words;
