//! `alerts`: whom to tell of budgets.

use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::shortened;
use crate::types::secret::Secret;
use http::HeaderName;
use std::collections::BTreeMap;

/// More than anybody wants to be told at.
const MOST: usize = 16;
/// The fewest characters of a secret.
const SECRET_CHARS: usize = 16;
/// What no header of the operator's can say.
const OWN_HEADERS: [&str; 6] = ["host", "content-type", "content-length", "transfer-encoding", "connection", "expect"];

/// Whom to tell of budgets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertSettings {
    /// Addresses that are sent each alert.
    pub webhooks: Vec<Webhook>,
}

/// An address that is sent something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to. It may hold a secret of its own.
    pub url: Secret,
    /// What the requests are signed with.
    pub secret: Option<Secret>,
    /// Headers of theirs; none for alerts.
    pub headers: BTreeMap<String, Secret>,
}

/// Reads `alerts`.
pub(super) fn alerts(root: &Fields<'_>) -> Result<AlertSettings, ConfigError> {
    let fields = root.child("alerts", &["webhooks"])?;
    let items = fields.list("webhooks")?;
    if let Some(item) = items.get(MOST) {
        return Err(item.error(format!("expected at most {MOST} of them")));
    }
    Ok(AlertSettings { webhooks: items.iter().map(alert).collect::<Result<_, _>>()? })
}

fn alert(item: &Item<'_>) -> Result<Webhook, ConfigError> {
    webhook(&item.fields(&["url", "secret"])?)
}

/// Reads `url` and `secret` of a webhook.
pub(super) fn webhook(fields: &Fields<'_>) -> Result<Webhook, ConfigError> {
    let at = fields.require("url")?;
    let is_one = |url: &Secret| !url.is_read() || is_web_address(url.expose());
    let url = at.secret_if_any()?.filter(is_one).ok_or_else(|| {
        let error = at.error("expected an address that begins with `https://` or `http://`");
        error.with_suggestion("write it as in `https://hooks.example.com/askonce`")
    })?;
    let secret = fields.secret("secret")?;
    match (&secret, fields.get("secret")) {
        (Some(short), Some(item)) if short.is_read() && short.expose().len() < SECRET_CHARS => {
            let error = item.error(format!("expected a secret of at least {SECRET_CHARS} characters"));
            Err(error.with_suggestion("a good one is made by `openssl rand -hex 24`"))
        }
        _ => Ok(Webhook { url, secret, headers: BTreeMap::new() }),
    }
}

/// Reads `headers` of a webhook.
pub(super) fn headers(fields: &Fields<'_>) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let Some(item) = fields.get("headers") else { return Ok(BTreeMap::new()) };
    let entries = item.entries()?;
    if entries.len() > MOST {
        return Err(item.error(format!("expected at most {MOST} of them")));
    }
    let mut headers = BTreeMap::new();
    for (key, item) in entries {
        let Ok(name) = HeaderName::from_bytes(key.text.as_bytes()) else {
            return Err(item.error(format!("`{}` cannot be the name of an HTTP header", shortened(&key.text))));
        };
        let name = name.as_str();
        if name.starts_with("webhook-") || OWN_HEADERS.contains(&name) {
            let error = item.error(format!("the header `{name}` is written by askonce itself"));
            return Err(error.with_suggestion("remove it"));
        }
        if headers.insert(name.to_owned(), item.header_value()?).is_some() {
            return Err(item.error(format!("the header `{name}` is there twice, in different case")));
        }
    }
    Ok(headers)
}

fn is_web_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    matches!(scheme, "http" | "https") && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
}
