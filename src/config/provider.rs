//! Where requests can be sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::base_url;
use super::cloud;
use super::env::Env;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::{quoted, shortened};
use super::known::{self, KnownProvider, known_providers};
use super::limits::MAX_MS;
use super::name;
use super::nearest::nearest;
use super::outbound;
use super::provider_key;
use super::resolved::{Cloud, Provider, ProviderKind, Proxy, Quirks, Tls};
use crate::types::secret::Secret;
use crate::types::surface::Surface;

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
    "surfaces",
    "keys",
    "proxy",
    "tls",
    "aws",
    "google",
    "azure",
    "api_version",
];

/// What the built-in answers have no use for.
const NOT_FOR_DEMO: [&str; 10] =
    ["base_url", "api_key", "headers", "keys", "proxy", "tls", "aws", "google", "azure", "api_version"];

/// What everyone has who speaks OpenAI's wire, as far as is known.
const EVERYONE_HAS: [Surface; 3] = [Surface::ChatCompletions, Surface::Completions, Surface::Embeddings];

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

/// Reads `providers`, whose kinds may be names of the catalogue, the operator's `own` entries included. Those behind the first
/// `of_file` are not the file's: they know no variable.
pub(super) fn providers(
    root: &Fields<'_>,
    own: &[Arc<KnownProvider>],
    of_file: usize,
    env: &Env<'_>,
) -> Result<Vec<Provider>, ConfigError> {
    let mut providers: Vec<Provider> = Vec::new();
    for (at, item) in root.list("providers")?.into_iter().enumerate() {
        let env: &Env<'_> = if at < of_file { env } else { &|_| None };
        let provider = provider(&item, own, env)?;
        if at >= of_file && signs_in_as_this_host(&provider) {
            let error = item
                .error("without a key of its own it signs in as this host, which only the configuration file may do");
            return Err(error.with_suggestion("give it a key, or write it into the file"));
        }
        if providers.iter().any(|other| other.name == provider.name) {
            let error = item.error(format!("another provider has the name `{}`", provider.name));
            return Err(error.with_suggestion("give each provider a name of its own"));
        }
        providers.push(provider);
    }
    Ok(providers)
}

/// Would it use what this host is known by in its cloud?
fn signs_in_as_this_host(provider: &Provider) -> bool {
    let has_key = provider.api_key.is_some() || !provider.keys.is_empty();
    match provider.kind {
        ProviderKind::Vertex => !has_key,
        ProviderKind::Bedrock => !has_key && provider.cloud.access_key_id.is_none(),
        _ => false,
    }
}

fn provider(item: &Item<'_>, own: &[Arc<KnownProvider>], env: &Env<'_>) -> Result<Provider, ConfigError> {
    let fields = item.fields(KEYS)?;
    let name = name::read(&fields.require("name")?)?;
    let (kind, known) = kind(&fields.require("kind")?, own)?;
    if kind == ProviderKind::Demo {
        for key in NOT_FOR_DEMO {
            if let Some(item) = fields.get(key) {
                let error =
                    item.error(format!("a provider of kind `demo` answers inside the process and has no `{key}`"));
                return Err(error.with_suggestion("remove it"));
            }
        }
    }
    let api_key = fields.secret("api_key")?;
    let keys = provider_key::keys(&fields, api_key.is_some())?;
    let with_key = api_key.is_some() || !keys.is_empty();
    let known = known.as_deref();
    let base_url = base_url(&fields, kind, known, env)?;
    let plain = match known {
        Some(known) => Provider::known(known, base_url.clone(), at_home(kind, known, &base_url, env)),
        None => Provider::plain(&name, kind, base_url.clone()),
    };
    let key_header = plain.key_header.as_deref().unwrap_or("authorization");
    Ok(Provider {
        headers: headers(&fields, with_key.then_some(key_header))?,
        connect_timeout: fields.millis("connect_timeout_ms", CONNECT_TIMEOUT_MS, 1..=MAX_MS)?,
        first_byte_timeout: fields.millis("first_byte_timeout_ms", FIRST_BYTE_TIMEOUT_MS, 1..=MAX_MS)?,
        idle_timeout: fields.millis("idle_timeout_ms", IDLE_TIMEOUT_MS, 1..=MAX_MS)?,
        models: models(&fields)?,
        stream_usage: fields.bool("stream_usage", false)?,
        surfaces: surfaces(&fields, kind)?.unwrap_or(plain.surfaces),
        cloud: cloud::cloud(&fields, kind, with_key, env)?,
        proxy: outbound::proxy(&fields)?,
        tls: outbound::tls(&fields, &base_url, env)?,
        kind,
        name,
        api_key,
        keys,
        ..plain
    })
}

/// Does it answer where its vendor says, so that what is known of the vendor holds?
fn at_home(kind: ProviderKind, known: &KnownProvider, base_url: &str, env: &Env<'_>) -> bool {
    let host = base_url.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
    let below = |domains: &[&str]| domains.iter().any(|domain| host.ends_with(domain));
    match kind {
        ProviderKind::Azure => below(&[".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"]),
        ProviderKind::Vertex => base_url.is_empty() || below(&["aiplatform.googleapis.com"]),
        ProviderKind::Bedrock => {
            base_url.is_empty() || (host.starts_with("bedrock-runtime") && below(&[".amazonaws.com"]))
        }
        _ => known.address(env).as_deref() == Ok(base_url),
    }
}

/// The surfaces that the operator names. Kinds with a wire of their own have theirs.
fn surfaces(fields: &Fields<'_>, kind: ProviderKind) -> Result<Option<Vec<Surface>>, ConfigError> {
    let Some(item) = fields.get("surfaces") else { return Ok(None) };
    if !matches!(kind, ProviderKind::OpenAi | ProviderKind::OpenAiCompatible | ProviderKind::Azure) {
        let error = item.error(format!("a provider of kind `{kind}` has the surfaces of its kind"));
        return Err(error.with_suggestion("remove it"));
    }
    let surfaces = known::surfaces(fields)?;
    if surfaces.is_empty() {
        let error = item.error("expected at least one surface, found none");
        return Err(error.with_suggestion("leave `surfaces` out for those that are known of it"));
    }
    Ok(Some(surfaces))
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
            surfaces: Vec::new(),
            keys: Vec::new(),
            cloud: Cloud::default(),
            proxy: Proxy::default(),
            tls: Tls::default(),
            quirks: Quirks::default(),
        }
    }

    /// A provider of the catalogue with nothing else said about it, at `base_url`, which is the catalogue's `own` or not.
    pub fn known(known: &KnownProvider, base_url: String, own: bool) -> Self {
        let kind = known.name.parse().unwrap_or(ProviderKind::OpenAiCompatible);
        // Somebody else who is called by OpenAI's name has what everyone has; a server that is known by its software has
        // what that has, wherever it runs.
        let speaks = own || kind == ProviderKind::OpenAiCompatible;
        let more = |surface: &&Surface| speaks && !EVERYONE_HAS.contains(surface);
        let surfaces = match kind {
            ProviderKind::OpenAi | ProviderKind::OpenAiCompatible => {
                EVERYONE_HAS.iter().chain(known.surfaces.iter().filter(more)).copied().collect()
            }
            _ => Vec::new(),
        };
        Self {
            catalogue: Some(known.name.clone()),
            list_prices: own,
            key_header: known.header.clone(),
            models_path: known.models.clone(),
            quirks: known.quirks(),
            surfaces,
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
    if let Some(item) = fields.get("base_url") {
        let text = item.text()?;
        return match suggestion(kind) {
            None => base_url::check(&text).map_err(|message| item.error(message).with_suggestion(base_url::SUGGESTION)),
            Some(suggestion) => {
                base_url::check_root(&text).map_err(|message| item.error(message).with_suggestion(suggestion))
            }
        };
    }
    let missing = |example: &str| {
        let message = format!("the key `base_url` is missing, which a provider of kind `{kind}` needs");
        Err(fields.error(message).with_suggestion(format!("add one, such as `{example}`")))
    };
    match (kind, known) {
        (ProviderKind::Demo, _) => Ok(String::new()),
        // They have one address a region.
        (ProviderKind::Vertex | ProviderKind::Bedrock, _) => Ok(String::new()),
        (ProviderKind::Azure, _) => missing("https://NAME.openai.azure.com"),
        (_, Some(known)) => known.address(env).map_err(|message| {
            let error =
                fields.error(format!("the address of kind `{}` is `{}`, and {message}", known.name, known.base_url));
            error.with_suggestion("set the variable, or write `base_url`")
        }),
        (_, None) => missing("http://127.0.0.1:8000/v1"),
    }
}

/// What to do about a refused base URL of a kind whose address is that of the host, without the version of the API.
fn suggestion(kind: ProviderKind) -> Option<&'static str> {
    match kind {
        ProviderKind::Azure => Some("write the resource's address, such as `https://NAME.openai.azure.com`"),
        ProviderKind::Anthropic => Some("write the part before `/v1/messages`, such as `https://api.anthropic.com`"),
        ProviderKind::Gemini => {
            Some("write the part before `/v1beta`, such as `https://generativelanguage.googleapis.com`")
        }
        ProviderKind::Vertex => {
            Some("write the part before `/v1`, such as `https://europe-west4-aiplatform.googleapis.com`")
        }
        ProviderKind::Bedrock => {
            Some("write the part before `/model`, such as `https://bedrock-runtime.us-east-1.amazonaws.com`")
        }
        ProviderKind::Cohere => Some("write the part before `/v2`, such as `https://api.cohere.com`"),
        ProviderKind::Ollama => Some("write the part before `/api`, such as `http://127.0.0.1:11434`"),
        ProviderKind::OpenAi | ProviderKind::OpenAiCompatible | ProviderKind::Demo => None,
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

/// Reads a list of models.
pub(super) fn models(fields: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
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
