//! Pieces of a turn ↔ `Part` (<https://ai.google.dev/api/caching#Part>).

mod read;
mod write;

pub(super) use read::{Reader, at_google, is_result};
pub(super) use write::{guess, write};

#[cfg(test)]
mod tests;
