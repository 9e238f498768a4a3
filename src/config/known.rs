//! `KnownProvider`: who speaks OpenAI's wire and how, as data: those that are compiled in (`src/providers/catalogue.yaml`),
//! and the operator's own (`catalogue`). Each is a provider `kind`.

use std::sync::{Arc, LazyLock};

use http::HeaderName;

use super::base_url;
use super::env::{self, Env};
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::file;
use super::kinds::{KeyPlace, LimitField, ProviderKind, StreamUsage, quoted};
use super::name;
use super::resolved::Quirks;
use crate::types::surface::Surface;

/// The catalogue that is compiled in.
const CATALOGUE: &str = include_str!("../providers/catalogue.yaml");

const KEYS: &[&str] = &[
    "name",
    "title",
    "base_url",
    "auth",
    "header",
    "env",
    "models",
    "surfaces",
    "limit_field",
    "stream_usage",
    "refuses",
    "ignores",
    "note",
    "discover",
    "docs",
    "source",
    "read",
    "second_hand",
    "unconfirmed",
];

/// Where the models are listed, unless it is said otherwise.
const MODELS: &str = "/models";

/// One provider of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProvider {
    /// What `kind` calls it. Unique.
    pub name: String,
    /// What it calls itself.
    pub title: String,
    /// Where it answers, perhaps with variables of the environment in it, as in `${ACCOUNT}`.
    pub base_url: String,
    /// How its key is sent.
    pub auth: KeyPlace,
    /// The header that holds the key, in lower case; there for [`KeyPlace::Header`] only.
    pub header: Option<String>,
    /// The environment variable that usually holds the key.
    pub env: Option<String>,
    /// The path of the list of models below `base_url`, if it has one in OpenAI's form.
    pub models: Option<String>,
    /// What it is known to have.
    pub surfaces: Vec<Surface>,
    /// The field for the longest answer, where it understands only one.
    pub limit_field: Option<LimitField>,
    /// When it tells the usage of a stream, where that is known.
    pub stream_usage: Option<StreamUsage>,
    /// Request fields that it answers with an error.
    pub refuses: Vec<String>,
    /// Request fields that it takes no notice of.
    pub ignores: Vec<String>,
    /// Any other quirk, for people.
    pub note: Option<String>,
    /// Whether it is looked for where no provider is configured.
    pub discover: bool,
    /// The vendor's page.
    pub docs: Option<String>,
    /// The page that all this was read from.
    pub source: Option<String>,
    /// The day that it was read on, as in `2026-11-22`.
    pub read: Option<String>,
    /// Whether the source is not the vendor's own page.
    pub second_hand: bool,
    /// Whether no page was read, and it is from memory.
    pub unconfirmed: bool,
}

impl KnownProvider {
    /// What it does differently from others of its wire.
    pub fn quirks(&self) -> Quirks {
        Quirks { limit_field: self.limit_field, stream_usage: self.stream_usage, refuses: self.refuses.clone() }
    }

    /// The base URL, with the variables of the environment in place. The error says what is missing, and holds no value.
    pub fn address(&self, env: &Env<'_>) -> Result<String, String> {
        let text = env::expand(&self.base_url, env).map_err(|problem| problem.message)?;
        base_url::check(&text)
    }
}

/// The catalogue that is compiled in, in its own order.
pub fn known_providers() -> &'static [Arc<KnownProvider>] {
    // A test reads it, so that what ships is never the empty one.
    static KNOWN: LazyLock<Vec<Arc<KnownProvider>>> = LazyLock::new(|| shipped().unwrap_or_default());
    &KNOWN
}

fn shipped() -> Result<Vec<Arc<KnownProvider>>, ConfigError> {
    let node = file::read(CATALOGUE)?;
    let Some(item) = Item::root(&node) else { return Ok(Vec::new()) };
    item.list()?.iter().map(|item| known(item).map(Arc::new)).collect()
}

/// The provider of that name: one of the operator's `own`, else one that is compiled in.
pub(super) fn find(own: &[Arc<KnownProvider>], name: &str) -> Option<Arc<KnownProvider>> {
    own.iter().chain(known_providers()).find(|known| known.name == name).cloned()
}

/// Reads `catalogue`: the operator's own entries. One with the name of a compiled-in one takes its place.
pub(super) fn catalogue(root: &Fields<'_>) -> Result<Vec<Arc<KnownProvider>>, ConfigError> {
    let mut own: Vec<Arc<KnownProvider>> = Vec::new();
    for item in root.list("catalogue")? {
        let known = known(&item)?;
        if ProviderKind::WORDS.contains(&known.name.as_str()) {
            let error = item.error(format!("`{}` is a provider kind of its own", known.name));
            return Err(error.with_suggestion("choose another name"));
        }
        if own.iter().any(|other| other.name == known.name) {
            let error = item.error(format!("another entry has the name `{}`", known.name));
            return Err(error.with_suggestion("give each entry a name of its own"));
        }
        own.push(Arc::new(known));
    }
    Ok(own)
}

fn known(item: &Item<'_>) -> Result<KnownProvider, ConfigError> {
    let fields = item.fields(KEYS)?;
    let name = name::read(&fields.require("name")?)?;
    let auth = fields.word("auth", KeyPlace::Bearer)?;
    Ok(KnownProvider {
        title: fields.text("title")?.unwrap_or_else(|| name.clone()),
        base_url: address(&fields.require("base_url")?)?,
        auth,
        header: header(&fields, auth)?,
        env: fields.text("env")?,
        models: models(&fields)?,
        surfaces: surfaces(&fields)?,
        limit_field: fields.get("limit_field").map(|item| item.word()).transpose()?,
        stream_usage: fields.get("stream_usage").map(|item| item.word()).transpose()?,
        refuses: fields.list("refuses")?.iter().map(Item::text).collect::<Result<_, _>>()?,
        ignores: fields.list("ignores")?.iter().map(Item::text).collect::<Result<_, _>>()?,
        note: fields.text("note")?,
        discover: fields.bool("discover", false)?,
        docs: fields.text("docs")?,
        source: fields.text("source")?,
        read: fields.text("read")?,
        second_hand: fields.bool("second_hand", false)?,
        unconfirmed: fields.bool("unconfirmed", false)?,
        name,
    })
}

/// Reads a list of surfaces.
pub(super) fn surfaces(fields: &Fields<'_>) -> Result<Vec<Surface>, ConfigError> {
    let mut surfaces = Vec::new();
    for item in fields.list("surfaces")? {
        let surface: Surface = item.word()?;
        if surfaces.contains(&surface) {
            let error = item.error(format!("the surface `{}` is there twice", surface.as_str()));
            return Err(error.with_suggestion("remove one of them"));
        }
        surfaces.push(surface);
    }
    Ok(surfaces)
}

/// A base URL that is checked at once, or when its variables are known.
fn address(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    if text.contains("${") {
        return Ok(text);
    }
    base_url::check(&text).map_err(|message| item.error(message).with_suggestion(base_url::SUGGESTION))
}

fn header(fields: &Fields<'_>, auth: KeyPlace) -> Result<Option<String>, ConfigError> {
    match (fields.get("header"), auth) {
        (None, KeyPlace::Header) => {
            let error =
                fields.error("`auth: header` needs the key `header`, the name of the header that holds the key");
            Err(error.with_suggestion("add one, such as `x-api-key`"))
        }
        (Some(item), KeyPlace::Header) => match HeaderName::from_bytes(item.text()?.as_bytes()) {
            Ok(name) => Ok(Some(name.as_str().to_owned())),
            Err(_) => Err(item.error("this cannot be the name of an HTTP header")),
        },
        (Some(item), _) => {
            let error = item.error(format!("`header` is for `auth: header`, and `auth` is `{auth}`"));
            Err(error.with_suggestion("remove one of them"))
        }
        (None, _) => Ok(None),
    }
}

fn models(fields: &Fields<'_>) -> Result<Option<String>, ConfigError> {
    let Some(item) = fields.get("models") else { return Ok(Some(MODELS.to_owned())) };
    match item.text()?.as_str() {
        "none" => Ok(None),
        path if path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok() => Ok(Some(path.to_owned())),
        _ => Err(item.error(format!("expected a path such as `{MODELS}`, or {}", quoted(&["none"])))),
    }
}

#[cfg(test)]
mod tests;
