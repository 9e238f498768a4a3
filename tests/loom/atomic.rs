//! Atomics that are loom's inside of a model, and the standard library's outside, where the files' own tests run.
//!
//! loom looks for the orders that matter by the last access to each word. A compare-and-swap that reads the word first hides from it
//! whoever has read it before; so each word has a gate of its own here, which every access passes through, and which orders nothing
//! for the memory.
//!
//! loom knows no total order of `SeqCst` operations, but it knows fences. So a `SeqCst` load is one behind a `SeqCst` fence here: two
//! threads that each write one word and then read the other's cannot both miss what the other wrote.

use loom::sync::atomic as modelled;
use std::sync::atomic as plain;
pub use std::sync::atomic::Ordering;

std::thread_local! {
    static IN_MODEL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `story` in every order in which its threads can meet, with up to two switches that nobody waited for.
pub fn model(story: impl Fn() + Sync + Send + 'static) {
    /// Also where an assertion fails.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            IN_MODEL.set(false);
        }
    }
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    // How a lane's times are spread is some hundred words.
    builder.max_branches = 10_000;
    IN_MODEL.set(true);
    let _end = End;
    builder.check(story);
}

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        /// One word.
        #[derive(Debug)]
        pub enum $name {
            /// Outside of a model.
            Plain(plain::$name),
            /// In one, with the word's gate; elsewhere than on the stack, of which a model's thread has little.
            Modelled(Box<(modelled::$name, modelled::AtomicU32)>),
        }

        impl $name {
            pub fn new(value: $value) -> $name {
                if IN_MODEL.get() {
                    $name::Modelled(Box::new((modelled::$name::new(value), modelled::AtomicU32::new(0))))
                } else {
                    $name::Plain(plain::$name::new(value))
                }
            }

            pub fn load(&self, order: Ordering) -> $value {
                match self {
                    $name::Plain(word) => word.load(order),
                    $name::Modelled(own) => {
                        let (word, gate) = &**own;
                        gate.fetch_add(1, Ordering::Relaxed);
                        if order == Ordering::SeqCst {
                            modelled::fence(Ordering::SeqCst);
                        }
                        word.load(order)
                    }
                }
            }

            pub fn store(&self, value: $value, order: Ordering) {
                match self {
                    $name::Plain(word) => word.store(value, order),
                    $name::Modelled(own) => {
                        let (word, gate) = &**own;
                        gate.fetch_add(1, Ordering::Relaxed);
                        word.store(value, order)
                    }
                }
            }

            pub fn try_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                mut to: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                match self {
                    $name::Plain(word) => word.try_update(set, fetch, to),
                    $name::Modelled(own) => {
                        let (word, gate) = &**own;
                        gate.fetch_add(1, Ordering::Relaxed);
                        word.fetch_update(set, fetch, |value| {
                            let to = to(value);
                            gate.fetch_add(1, Ordering::Relaxed);
                            to
                        })
                    }
                }
            }
        }

        impl Default for $name {
            fn default() -> $name {
                $name::new(<$value>::default())
            }
        }
    };
}

macro_rules! counting {
    ($name:ident, $value:ty) => {
        atomic!($name, $value);

        impl $name {
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                match self {
                    $name::Plain(word) => word.fetch_add(value, order),
                    $name::Modelled(own) => {
                        let (word, gate) = &**own;
                        gate.fetch_add(1, Ordering::Relaxed);
                        word.fetch_add(value, order)
                    }
                }
            }

            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                match self {
                    $name::Plain(word) => word.fetch_sub(value, order),
                    $name::Modelled(own) => {
                        let (word, gate) = &**own;
                        gate.fetch_add(1, Ordering::Relaxed);
                        word.fetch_sub(value, order)
                    }
                }
            }
        }
    };
}

atomic!(AtomicBool, bool);
counting!(AtomicI64, i64);
counting!(AtomicU32, u32);
counting!(AtomicU64, u64);
