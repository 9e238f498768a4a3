//! Floor 3: secrets by reference. They are read together, kept, and read again; a store that is down keeps what it told last.
//!
//! - `keeper`: what is kept of each reference, and when it is read again
//! - `stores`: the stores of one configuration, and a round of reading
//! - `document`: what a store gives, and a field of it
//! - `ask`: one request to a store over HTTP, and what its refusals mean
//! - `local`: the environment and files
//! - `vault`, `aws`, `gcp`, `azure`: the other stores
//!
//! No error, log line or report holds a value: what a store answers is never quoted, but for the short words of its errors.

mod ask;
mod aws;
mod azure;
mod document;
mod gcp;
mod keeper;
mod local;
mod stores;
#[cfg(test)]
mod tests;
mod vault;

pub use keeper::{Kept, Secrets, SecretsError};
