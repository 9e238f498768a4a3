//! `alerts`: whom to tell of budgets.

use super::error::ConfigError;
use super::fields::{Fields, Item};
use crate::types::secret::Secret;

/// More than anybody wants to be told at.
const MOST: usize = 16;
/// The fewest characters of a secret.
const SECRET_CHARS: usize = 16;

/// Whom to tell of budgets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertSettings {
    /// Addresses that are sent each alert.
    pub webhooks: Vec<Webhook>,
}

/// An address that is sent alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to. It may hold a secret of its own.
    pub url: Secret,
    /// What the alerts are signed with.
    pub secret: Option<Secret>,
}

/// Reads `alerts`.
pub(super) fn alerts(root: &Fields<'_>) -> Result<AlertSettings, ConfigError> {
    let fields = root.child("alerts", &["webhooks"])?;
    let items = fields.list("webhooks")?;
    if let Some(item) = items.get(MOST) {
        return Err(item.error(format!("expected at most {MOST} of them")));
    }
    Ok(AlertSettings { webhooks: items.iter().map(webhook).collect::<Result<_, _>>()? })
}

fn webhook(item: &Item<'_>) -> Result<Webhook, ConfigError> {
    let fields = item.fields(&["url", "secret"])?;
    let at = fields.require("url")?;
    let url = at.secret_if_any()?.filter(|url| is_web_address(url.expose())).ok_or_else(|| {
        let error = at.error("expected an address that begins with `https://` or `http://`");
        error.with_suggestion("write it as in `https://hooks.example.com/askonce`")
    })?;
    let secret = fields.secret("secret")?;
    match (&secret, fields.get("secret")) {
        (Some(short), Some(item)) if short.expose().len() < SECRET_CHARS => {
            let error = item.error(format!("expected a secret of at least {SECRET_CHARS} characters"));
            Err(error.with_suggestion("a good one is made by `openssl rand -hex 24`"))
        }
        _ => Ok(Webhook { url, secret }),
    }
}

fn is_web_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    matches!(scheme, "http" | "https") && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
}
