//! The atomics that lanes stand on: those of the standard library. `tests/loom` puts others in their place, which try out every order
//! in which threads can meet.

pub use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
