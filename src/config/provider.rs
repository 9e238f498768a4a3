//! Where requests can be sent.

use std::collections::BTreeMap;

use http::HeaderName;

use super::base_url;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::shortened;
use super::limits::MAX_MS;
use super::name;
use super::resolved::{Provider, ProviderKind};
use crate::types::secret::Secret;

const KEYS: &[&str] = &[
    "name",
    "kind",
    "base_url",
    "api_key",
    "headers",
    "connect_timeout_ms",
    "first_byte_timeout_ms",
    "idle_timeout_ms",
    "models",
    "stream_usage",
];

const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// Headers that belong to the connection or the body, which askonce writes itself.
const OWN_HEADERS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads `providers`.
pub(super) fn providers(root: &Fields<'_>) -> Result<Vec<Provider>, ConfigError> {
    let mut providers: Vec<Provider> = Vec::new();
    for item in root.list("providers")? {
        let provider = provider(&item)?;
        if providers.iter().any(|other| other.name == provider.name) {
            let error = item.error(format!("another provider has the name `{}`", provider.name));
            return Err(error.with_suggestion("give each provider a name of its own"));
        }
        providers.push(provider);
    }
    Ok(providers)
}

fn provider(item: &Item<'_>) -> Result<Provider, ConfigError> {
    let fields = item.fields(KEYS)?;
    let name = name::read(&fields.require("name")?)?;
    let kind = fields.require("kind")?.word()?;
    if kind == ProviderKind::Demo {
        for key in ["base_url", "api_key", "headers"] {
            if let Some(item) = fields.get(key) {
                let error =
                    item.error(format!("a provider of kind `demo` answers inside the process and has no `{key}`"));
                return Err(error.with_suggestion("remove it"));
            }
        }
    }
    let api_key = fields.secret("api_key")?;
    Ok(Provider {
        base_url: base_url(&fields, kind)?,
        headers: headers(&fields, api_key.is_some())?,
        connect_timeout: fields.millis("connect_timeout_ms", 5_000, 1..=MAX_MS)?,
        first_byte_timeout: fields.millis("first_byte_timeout_ms", 120_000, 1..=MAX_MS)?,
        idle_timeout: fields.millis("idle_timeout_ms", 60_000, 1..=MAX_MS)?,
        models: models(&fields)?,
        stream_usage: fields.bool("stream_usage", false)?,
        name,
        kind,
        api_key,
    })
}

fn base_url(fields: &Fields<'_>, kind: ProviderKind) -> Result<String, ConfigError> {
    match (fields.get("base_url"), kind) {
        (Some(item), _) => {
            base_url::check(&item.text()?).map_err(|message| item.error(message).with_suggestion(base_url::SUGGESTION))
        }
        (None, ProviderKind::OpenAi) => Ok(OPENAI_BASE_URL.to_owned()),
        (None, ProviderKind::Demo) => Ok(String::new()),
        (None, ProviderKind::OpenAiCompatible) => {
            let error =
                fields.error("the key `base_url` is missing, which a provider of kind `openai_compatible` needs");
            Err(error.with_suggestion("add one, such as `http://127.0.0.1:8000/v1`"))
        }
    }
}

fn headers(fields: &Fields<'_>, has_key: bool) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let mut headers = BTreeMap::new();
    let Some(item) = fields.get("headers") else {
        return Ok(headers);
    };
    for (key, item) in item.entries()? {
        let Ok(name) = HeaderName::from_bytes(key.text.as_bytes()) else {
            return Err(item.error(format!("`{}` cannot be the name of an HTTP header", shortened(&key.text))));
        };
        let name = name.as_str();
        if OWN_HEADERS.contains(&name) {
            return Err(item
                .error(format!("the header `{name}` is written by askonce itself"))
                .with_suggestion("remove it"));
        }
        if name == "authorization" && has_key {
            let error = item.error("the header `authorization` and `api_key` say the same thing");
            return Err(error.with_suggestion("remove one of them"));
        }
        if headers.insert(name.to_owned(), item.header_value()?).is_some() {
            return Err(item.error(format!("the header `{name}` is there twice, in different case")));
        }
    }
    Ok(headers)
}

fn models(fields: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    let mut models = Vec::new();
    for item in fields.list("models")? {
        let model = item.text()?;
        if models.contains(&model) {
            return Err(item.error("this model is there twice").with_suggestion("remove one of them"));
        }
        models.push(model);
    }
    Ok(models)
}
