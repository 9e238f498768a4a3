//! Request bodies ↔ `Chat` (<https://platform.claude.com/docs/en/api/messages>).
//!
//! - `inspect`: what the gateway itself reads of a request
//! - `decode`: a request's fields → `Chat`; `blocks`: the blocks of its turns
//! - `encode`: `Chat` → a request; `turns`: its turns and their blocks
//! - `tools`: tools and the choice among them, both ways
//! - `thinking`: how much to think, both ways
//! - `schema`: JSON schemas in the form that this wire wants

mod blocks;
mod decode;
mod encode;
mod inspect;
mod schema;
#[cfg(test)]
mod tests;
mod thinking;
mod tools;
mod turns;

pub use decode::decode;
pub use encode::encode;
pub use inspect::inspect;

use crate::types::chat::{CacheMark, Extra};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::read::{maybe_object, maybe_text, path};
use crate::wire::write::{self, Object};

/// Notes a field that has no word in `Chat`, once by its name.
fn extra(extras: &mut Vec<Extra>, name: String, json: &Json<'_>, essential: bool) {
    if !extras.iter().any(|one| one.name == name) {
        extras.push(Extra { name, json: write::text_of(json), essential });
    }
}

/// Reads `cache_control`.
fn cache_of(json: &Json<'_>, at: &str) -> Result<Option<CacheMark>, Error> {
    let Some(control) = maybe_object(json, at, "cache_control")? else { return Ok(None) };
    let ttl = maybe_text(control, &path(at, "cache_control"), "ttl")?.map(str::to_owned);
    Ok(Some(CacheMark { ttl }))
}

/// Writes `cache_control`.
fn write_cache(object: &mut Object<'_>, cache: Option<&CacheMark>) {
    if let Some(mark) = cache {
        object.object("cache_control", |control| {
            control.text("type", "ephemeral");
            control.maybe_text("ttl", mark.ttl.as_deref());
        });
    }
}
