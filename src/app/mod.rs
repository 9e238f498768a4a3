//! Floor 6: the composition root, the only place where everything meets.
//!
//! - `build`: settings → engines → doors
//! - `embedder`: the sentence model, fetched if need be, loaded, and as `types::embed::Embed`
//! - `insight`: topics and complexity, ready for conditions
//! - `discover`: providers where the settings name none
//! - `listen`: connections in, an orderly end
//! - `patience`: a connection is given up when its other side takes nothing for too long
//! - `probe`: providers of lanes that are left alone are asked for their model lists, where the settings say so
//! - `reload`: new settings put in force, or refused

mod build;
mod discover;
mod embedder;
mod insight;
mod listen;
mod patience;
mod probe;
mod reload;

pub use build::{App, Parts, StartError, cache_in_memory};
pub use discover::{Discovered, discover};
pub use embedder::{Progress, load as load_embedder};
pub use listen::{bind, run};
pub use reload::Reloader;
