//! What a key or an account may ask for, and how much: the same words for both, in the file and at the admin surface.

use super::allowance::{Allowance, allowances, models};
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::quoted;
use super::name;
use super::nearest::nearest;
use crate::types::directives::{MOST_TAGS, TAG_BYTES};
use crate::types::surface::Surface;
use ipnet::IpNet;
use std::net::IpAddr;

/// The keys of [`Rights`].
pub(super) const KEYS: [&str; 11] = [
    "models",
    "providers",
    "surfaces",
    "addresses",
    "max_output_tokens",
    "tools",
    "images",
    "cache",
    "tags",
    "budgets",
    "rate_limits",
];

/// More than any list of them needs.
const MOST: usize = 256;
/// More tokens than any answer has.
pub(super) const MAX_OUTPUT_TOKENS: u64 = 100_000_000;

/// What may be asked for, and how much. What is empty or not there forbids nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Rights {
    /// Models, in whose names one `*` stands for any text.
    pub models: Vec<String>,
    /// Providers.
    pub providers: Vec<String>,
    /// Doors.
    pub surfaces: Vec<Surface>,
    /// From where.
    pub addresses: Vec<IpNet>,
    /// The longest answer, in tokens: a request has to name one that is no longer.
    pub max_output_tokens: Option<u64>,
    /// Tools may be given.
    pub tools: bool,
    /// Pictures may be given.
    pub images: bool,
    /// What of the cache.
    pub cache: CacheRights,
    /// Labels that every request has.
    pub tags: Vec<String>,
    /// Budgets and rate limits.
    pub allowances: Vec<Allowance>,
}

/// What of the cache may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheRights {
    /// Stored answers may be had.
    pub read: bool,
    /// Answers are stored.
    pub write: bool,
    /// Answers are shared with other keys of the tenant.
    pub share: bool,
}

impl Default for CacheRights {
    fn default() -> CacheRights {
        CacheRights { read: true, write: true, share: true }
    }
}

impl Default for Rights {
    fn default() -> Rights {
        Rights {
            models: Vec::new(),
            providers: Vec::new(),
            surfaces: Vec::new(),
            addresses: Vec::new(),
            max_output_tokens: None,
            tools: true,
            images: true,
            cache: CacheRights::default(),
            tags: Vec::new(),
            allowances: Vec::new(),
        }
    }
}

/// Reads what a key or an account may.
pub(super) fn rights(fields: &Fields<'_>) -> Result<Rights, ConfigError> {
    let limit = fields.get("max_output_tokens").map(|item| item.integer(1..=MAX_OUTPUT_TOKENS)).transpose()?;
    Ok(Rights {
        models: models(fields)?,
        providers: each(fields, "providers", name::read)?,
        surfaces: each(fields, "surfaces", surface)?,
        addresses: each(fields, "addresses", address)?,
        max_output_tokens: limit,
        tools: fields.bool("tools", true)?,
        images: fields.bool("images", true)?,
        cache: cache(&fields.child("cache", &["read", "write", "share"])?)?,
        tags: tags(fields)?,
        allowances: allowances(fields)?,
    })
}

pub(super) fn each<T>(
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&Item<'_>) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let items = fields.list(key)?;
    if let Some(item) = items.get(MOST) {
        return Err(item.error(format!("expected at most {MOST} of them")));
    }
    items.iter().map(read).collect()
}

fn surface(item: &Item<'_>) -> Result<Surface, ConfigError> {
    let word = item.text()?;
    let names = Surface::ALL.map(Surface::as_str);
    if let Some(surface) = Surface::from_word(&word) {
        return Ok(surface);
    }
    let error = item.error(format!("expected a surface, one of {}", quoted(&names)));
    Err(match nearest(&word, names) {
        Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
        None => error,
    })
}

pub(super) fn address(item: &Item<'_>) -> Result<IpNet, ConfigError> {
    let text = item.text()?;
    let range = text.parse::<IpNet>().map(|range| range.trunc());
    range.or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
        let error = item.error("expected an IP address or a range of them");
        error.with_suggestion("write it as in `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.7`")
    })
}

fn cache(fields: &Fields<'_>) -> Result<CacheRights, ConfigError> {
    Ok(CacheRights {
        read: fields.bool("read", true)?,
        write: fields.bool("write", true)?,
        share: fields.bool("share", true)?,
    })
}

fn tags(fields: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    let items = fields.list("tags")?;
    if let Some(item) = items.get(MOST_TAGS) {
        return Err(item.error(format!("expected at most {MOST_TAGS} tags")));
    }
    let tag = |item: &Item<'_>| match item.text()? {
        long if long.len() > TAG_BYTES => Err(item.error(format!("expected a tag of at most {TAG_BYTES} bytes"))),
        comma if comma.contains(',') => Err(item.error("a comma stands between tags, and is none")),
        tag => Ok(tag),
    };
    items.iter().map(tag).collect()
}
