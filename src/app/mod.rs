//! Floor 6: the composition root, the only place where everything meets.
//!
//! - `build`: settings → engines → doors
//! - `assemble`: settings out of the file and of what was made at the admin surface
//! - `alerts`: what there is to tell of budgets
//! - `audit`: where what administrators do is kept
//! - `governed`: who may ask for what, and how much; `bookkeeping`: what is used of budgets, written down
//! - `embedder`: the sentence model, fetched if need be, loaded, and as `types::embed::Embed`
//! - `insight`: topics and complexity, ready for conditions
//! - `discover`: providers where the settings name none
//! - `listen`: connections in, an orderly end
//! - `patience`: a connection is given up when its other side takes nothing for too long
//! - `people`: who administers: what other processes changed is read, sessions end, identity providers are asked again
//! - `probe`: providers of lanes that are left alone are asked for their model lists, where the settings say so
//! - `reload`: new settings put in force, or refused
//! - `webhook`: a body sent to an address, and signed

mod alerts;
mod assemble;
mod audit;
mod bookkeeping;
mod build;
mod discover;
mod embedder;
mod governed;
mod insight;
mod listen;
mod patience;
mod people;
mod probe;
mod reload;
mod webhook;

pub use build::{App, Parts, StartError, cache_in_memory};
pub use discover::{Discovered, OfFile, discover};
pub use embedder::{Progress, load as load_embedder};
pub use listen::{Listeners, bind, run};
pub use reload::Reloader;
