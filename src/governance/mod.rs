//! Floor 3: who may ask.
//!
//! - `keys`: a bearer token → a caller

mod keys;

pub use keys::Keys;
