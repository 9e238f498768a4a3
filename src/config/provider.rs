//! Where requests can be sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::base_url;
use super::env::Env;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::{quoted, shortened};
use super::known::{self, KnownProvider, known_providers};
use super::limits::MAX_MS;
use super::name;
use super::nearest::nearest;
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

/// Where a provider that the catalogue does not know lists its models.
const MODELS_PATH: &str = "/models";

const CONNECT_TIMEOUT_MS: u64 = 5_000;
const FIRST_BYTE_TIMEOUT_MS: u64 = 120_000;
const IDLE_TIMEOUT_MS: u64 = 60_000;

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

/// Reads `providers`, whose kinds may be names of the catalogue, the operator's `own` entries included.
pub(super) fn providers(
    root: &Fields<'_>,
    own: &[Arc<KnownProvider>],
    env: &Env<'_>,
) -> Result<Vec<Provider>, ConfigError> {
    let mut providers: Vec<Provider> = Vec::new();
    for item in root.list("providers")? {
        let provider = provider(&item, own, env)?;
        if providers.iter().any(|other| other.name == provider.name) {
            let error = item.error(format!("another provider has the name `{}`", provider.name));
            return Err(error.with_suggestion("give each provider a name of its own"));
        }
        providers.push(provider);
    }
    Ok(providers)
}

fn provider(item: &Item<'_>, own: &[Arc<KnownProvider>], env: &Env<'_>) -> Result<Provider, ConfigError> {
    let fields = item.fields(KEYS)?;
    let name = name::read(&fields.require("name")?)?;
    let (kind, known) = kind(&fields.require("kind")?, own)?;
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
    let base_url = base_url(&fields, kind, known.as_deref(), env)?;
    let known = known.as_deref();
    let key_header = known.and_then(|known| known.header.clone());
    Ok(Provider {
        headers: headers(&fields, api_key.as_ref().map(|_| key_header.as_deref().unwrap_or("authorization")))?,
        connect_timeout: fields.millis("connect_timeout_ms", CONNECT_TIMEOUT_MS, 1..=MAX_MS)?,
        first_byte_timeout: fields.millis("first_byte_timeout_ms", FIRST_BYTE_TIMEOUT_MS, 1..=MAX_MS)?,
        idle_timeout: fields.millis("idle_timeout_ms", IDLE_TIMEOUT_MS, 1..=MAX_MS)?,
        models: models(&fields)?,
        stream_usage: fields.bool("stream_usage", false)?,
        catalogue: known.map(|known| known.name.clone()),
        list_prices: known.is_some_and(|known| known.address(env).as_ref() == Ok(&base_url)),
        models_path: known.map_or_else(|| Some(MODELS_PATH.to_owned()), |known| known.models.clone()),
        key_header,
        base_url,
        name,
        kind,
        api_key,
    })
}

impl Provider {
    /// A provider with the settings that it has where the file says nothing about it, at `base_url`.
    pub fn plain(name: &str, kind: ProviderKind, base_url: String) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            catalogue: None,
            list_prices: false,
            base_url,
            api_key: None,
            key_header: None,
            models_path: Some(MODELS_PATH.to_owned()),
            headers: BTreeMap::new(),
            connect_timeout: Duration::from_millis(CONNECT_TIMEOUT_MS),
            first_byte_timeout: Duration::from_millis(FIRST_BYTE_TIMEOUT_MS),
            idle_timeout: Duration::from_millis(IDLE_TIMEOUT_MS),
            models: Vec::new(),
            stream_usage: false,
        }
    }

    /// A provider of the catalogue with nothing else said about it, at `base_url`, which is the catalogue's `own` or not.
    pub fn known(known: &KnownProvider, base_url: String, own: bool) -> Self {
        let kind = known.name.parse().unwrap_or(ProviderKind::OpenAiCompatible);
        Self {
            catalogue: Some(known.name.clone()),
            list_prices: own,
            key_header: known.header.clone(),
            models_path: known.models.clone(),
            ..Self::plain(&known.name, kind, base_url)
        }
    }
}

/// How it is spoken to, and its entry in the catalogue. A kind of its own comes before an entry of the same name.
fn kind(
    item: &Item<'_>,
    own: &[Arc<KnownProvider>],
) -> Result<(ProviderKind, Option<Arc<KnownProvider>>), ConfigError> {
    let word = item.text()?;
    match (word.parse(), known::find(own, &word)) {
        (Ok(kind), known) => Ok((kind, known)),
        (Err(_), Some(known)) => Ok((ProviderKind::OpenAiCompatible, Some(known))),
        (Err(_), None) => Err(unknown_kind(item, &word, own)),
    }
}

fn unknown_kind(item: &Item<'_>, word: &str, own: &[Arc<KnownProvider>]) -> ConfigError {
    let entries = own.iter().chain(known_providers()).map(|known| known.name.as_str());
    let near = nearest(word, ProviderKind::WORDS.iter().copied().chain(entries));
    let found = shortened(item.written().unwrap_or(word));
    let words = quoted(ProviderKind::WORDS);
    let message =
        format!("unknown provider kind `{found}`, expected one of {words}, or a name that `askonce providers` lists");
    item.error(message).with_suggestion(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "for any other server that speaks OpenAI's API write `openai_compatible` and its `base_url`".to_owned(),
    })
}

fn base_url(
    fields: &Fields<'_>,
    kind: ProviderKind,
    known: Option<&KnownProvider>,
    env: &Env<'_>,
) -> Result<String, ConfigError> {
    match (fields.get("base_url"), kind, known) {
        (Some(item), ..) => {
            base_url::check(&item.text()?).map_err(|message| item.error(message).with_suggestion(base_url::SUGGESTION))
        }
        (None, ProviderKind::OpenAi, _) => Ok(OPENAI_BASE_URL.to_owned()),
        (None, ProviderKind::Demo, _) => Ok(String::new()),
        (None, ProviderKind::OpenAiCompatible, Some(known)) => known.address(env).map_err(|message| {
            let error =
                fields.error(format!("the address of kind `{}` is `{}`, and {message}", known.name, known.base_url));
            error.with_suggestion("set the variable, or write `base_url`")
        }),
        (None, ProviderKind::OpenAiCompatible, None) => {
            let error =
                fields.error("the key `base_url` is missing, which a provider of kind `openai_compatible` needs");
            Err(error.with_suggestion("add one, such as `http://127.0.0.1:8000/v1`"))
        }
    }
}

/// `key_header` is where `api_key` goes, if there is one.
fn headers(fields: &Fields<'_>, key_header: Option<&str>) -> Result<BTreeMap<String, Secret>, ConfigError> {
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
        if Some(name) == key_header {
            let error = item.error(format!("the header `{name}` and `api_key` say the same thing"));
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
