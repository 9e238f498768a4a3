//! What the tests share: a small random model on disk, and a hub on loopback.

pub mod hub;
pub mod tiny;
