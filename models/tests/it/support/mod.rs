//! What the tests share: a small random model on disk, another implementation to hold it against, and a hub on loopback.

pub mod hub;
pub mod oracle;
pub mod tiny;
