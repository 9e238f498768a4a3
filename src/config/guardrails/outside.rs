//! What somebody else is asked about: the sentence model, a server of the operator's, a moderation endpoint.

use super::super::base_url;
use super::super::error::ConfigError;
use super::super::fields::Item;
use super::super::kinds::{quoted, shortened};
use super::super::nearest::nearest;
use super::super::resolved::{Provider, Topic};
use super::kinds::GuardFailure;
use super::texts;
use crate::types::secret::Secret;
use std::collections::BTreeMap;
use std::time::Duration;

/// Names of `topics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardTopics {
    /// A text has to be of one of these.
    pub allow: Vec<String>,
    /// A text may be of none of these.
    pub deny: Vec<String>,
    /// Where it cannot be told.
    pub on_error: GuardFailure,
}

/// A server that is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardWebhook {
    /// Where it is.
    pub url: String,
    /// Headers of the requests to it.
    pub headers: BTreeMap<String, Secret>,
    /// How long it may take.
    pub timeout: Duration,
    /// Where it fails.
    pub on_error: GuardFailure,
}

/// A moderation endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardModeration {
    /// Where it is.
    pub at: ModerationAt,
    /// The model that is asked.
    pub model: String,
    /// Categories that count. None: those that the endpoint flags.
    pub categories: Vec<String>,
    /// The score from which on a category counts. `None`: where the endpoint flags it.
    pub threshold: Option<f64>,
    /// How long it may take.
    pub timeout: Duration,
    /// Where it fails.
    pub on_error: GuardFailure,
}

/// Where a moderation endpoint is.
#[derive(Debug, Clone, PartialEq)]
pub enum ModerationAt {
    /// At one of the providers.
    Provider(String),
    /// At a URL.
    Url {
        /// The endpoint.
        url: String,
        /// Its key.
        api_key: Option<Secret>,
    },
}

pub(super) fn topics(item: &Item<'_>, all: &[Topic]) -> Result<GuardTopics, ConfigError> {
    let fields = item.fields(&["allow", "deny", "on_error"])?;
    let names = |key: &str| -> Result<Vec<String>, ConfigError> {
        fields.list(key)?.iter().map(|item| topic(item, all)).collect()
    };
    let (allow, deny) = (names("allow")?, names("deny")?);
    if allow.is_empty() && deny.is_empty() {
        return Err(item.error("neither `allow` nor `deny` names a topic"));
    }
    Ok(GuardTopics { allow, deny, on_error: fields.word("on_error", GuardFailure::Refuse)? })
}

fn topic(item: &Item<'_>, all: &[Topic]) -> Result<String, ConfigError> {
    let name = item.text()?;
    if all.iter().any(|topic| topic.name == name) {
        return Ok(name);
    }
    let names: Vec<&str> = all.iter().map(|topic| topic.name.as_str()).collect();
    let error = item.error(format!("there is no topic `{}`", shortened(&name)));
    Err(match nearest(&name, names.iter().copied()) {
        Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.with_suggestion("add it to `topics`, with examples"),
        None => error.with_suggestion(format!("the topics are {}", quoted(&names))),
    })
}

pub(super) fn webhook(item: &Item<'_>) -> Result<GuardWebhook, ConfigError> {
    let fields = item.fields(&["url", "headers", "timeout_ms", "on_error"])?;
    let mut headers = BTreeMap::new();
    if let Some(item) = fields.get("headers") {
        for (key, item) in item.entries()? {
            if http::HeaderName::from_bytes(key.text.as_bytes()).is_err() {
                return Err(item.error(format!("`{}` is no name of an HTTP header", shortened(&key.text))));
            }
            headers.insert(key.text.clone(), item.header_value()?);
        }
    }
    Ok(GuardWebhook {
        url: url(&fields.require("url")?)?,
        headers,
        timeout: fields.millis("timeout_ms", 3_000, 10..=60_000)?,
        on_error: fields.word("on_error", GuardFailure::Refuse)?,
    })
}

pub(super) fn moderation(item: &Item<'_>, providers: &[Provider]) -> Result<GuardModeration, ConfigError> {
    let keys = &["provider", "url", "api_key", "model", "categories", "threshold", "timeout_ms", "on_error"];
    let fields = item.fields(keys)?;
    let at = match (fields.get("provider"), fields.get("url")) {
        (Some(item), None) => {
            let name = item.text()?;
            if !providers.iter().any(|provider| provider.name == name) {
                let names = providers.iter().map(|provider| provider.name.as_str());
                let error = item.error(format!("there is no provider `{}`", shortened(&name)));
                return Err(match nearest(&name, names) {
                    Some(near) => error.with_suggestion(format!("did you mean `{near}`?")),
                    None => error.with_suggestion("add it to `providers`"),
                });
            }
            if let Some(item) = fields.get("api_key") {
                return Err(item.error("a provider has a key of its own").with_suggestion("leave this out"));
            }
            ModerationAt::Provider(name)
        }
        (None, Some(item)) => ModerationAt::Url { url: url(&item)?, api_key: fields.secret("api_key")? },
        _ => return Err(item.error("expected one of `provider` and `url`")),
    };
    Ok(GuardModeration {
        at,
        model: fields.text("model")?.unwrap_or_else(|| "omni-moderation-latest".to_owned()),
        categories: texts(&fields, "categories")?,
        threshold: fields.get("threshold").map(|item| item.float(0.0..=1.0)).transpose()?,
        timeout: fields.millis("timeout_ms", 5_000, 10..=60_000)?,
        on_error: fields.word("on_error", GuardFailure::Refuse)?,
    })
}

/// The URL of an endpoint. What is wrong with it is said without quoting it.
fn url(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    let (address, _) = text.split_once('?').unwrap_or((&text, ""));
    base_url::check(address).map_err(|message| item.error(message))?;
    Ok(text)
}
