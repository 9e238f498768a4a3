//! Requests of the Responses wire ↔ `Chat` (<https://platform.openai.com/docs/api-reference/responses/create>).
//!
//! - `inspect`: what the gateway itself reads
//! - `decode`: the request's own fields; `items`, `tools`: what stands in them
//! - `encode`, `write_items`: the way back

mod decode;
mod encode;
mod inspect;
mod items;
mod tools;
mod write_items;

#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use inspect::inspect;
pub(super) use items::thought_text;
pub(super) use tools::{Form, custom_arguments, custom_input, flat, forms};
