//! Settings: a YAML file, as written, becomes [`Resolved`], as used.
//!
//! | file | job |
//! |---|---|
//! | `file` | the file as written: YAML nodes with their places |
//! | `env` | `${VAR}` in text |
//! | `fields` | typed settings out of nodes |
//! | `resolved`, `kinds` | the settings as used |
//! | `auth`, `limits`, `log`, `provider`, `model`, `retry`, `queue`, `embedding`, `index`, `cache` | one concern each |
//! | `keeping`, `recording`, `responses` | staleness, eviction and quotas; the recorded trace; kept responses |
//! | `admin`, `sso`, `issuer` | who administers, and with which roles; identity providers of people and of callers |
//! | `usage` | what is kept of requests: sums, and a log |
//! | `cloud`, `outbound`, `provider_key` | of a provider: signing in, the way there, several keys |
//! | `target`, `condition`, `shadow` | of a model: where it is to be had; whether that is for a request; what is compared with it |
//! | `guardrails` | what is looked for in requests and answers |
//! | `insight` | topics and complexity, for conditions |
//! | `secrets`, `references`, `store` | where secrets lie; what refers to them; what the database is sealed with |
//! | `harmless` | request fields that may be ignored, and those that never may |
//! | `known`, `prices` | providers and prices as data, and the operator's own prices |
//! | `definitions` | providers, models and prices that are not the file's |
//! | `listen`, `paths`, `base_url`, `size`, `name`, `nearest` | one form of text each |
//! | `error` | what is wrong, where, and what to do |
//! | `show` | the settings as YAML again, secrets masked |
//! | `reload`, `restart` | whether the file changed, and what takes a restart |

mod accounts;
mod admin;
mod alerts;
mod allowance;
mod audit;
mod audit_export;
mod auth;
mod base_url;
mod cache;
mod cloud;
mod condition;
mod definitions;
mod embedding;
mod env;
mod error;
mod fields;
mod file;
mod guardrails;
mod harmless;
mod index;
mod insight;
mod issuer;
mod judgement;
mod keeping;
mod kinds;
mod known;
mod limits;
mod listen;
mod log;
mod model;
mod name;
mod nearest;
mod outbound;
mod paths;
mod prices;
mod provider;
mod provider_key;
mod queue;
mod recording;
mod references;
mod reload;
mod resolved;
mod responses;
mod restart;
mod retry;
mod rights;
mod secrets;
mod shadow;
mod show;
mod size;
mod sso;
mod store;
mod target;
#[cfg(test)]
mod tests;
mod usage;

use crate::types::secret::Secret;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub use auth::MIN_KEY_CHARS;
pub use base_url::check as check_base_url;
pub use cache::CacheRules;
pub use condition::{Fact, Facts, Uses, Variable};
pub use definitions::{Definition, MASK, Section, Unfit, has_secrets, mask, unmask};
pub use env::Env;
pub use error::{ConfigError, Position};
pub use guardrails::PATTERN_BYTES;
pub use insight::DEFAULT_AT_LEAST;
pub use judgement::DEFAULT_THRESHOLD;
pub use kinds::UnknownWord;
pub use reload::Watcher;
pub use resolved::*;

use fields::{Fields, Item};

const KEYS: &[&str] = &[
    "listen",
    "trusted_proxies",
    "data_dir",
    "log",
    "auth",
    "accounts",
    "reservation",
    "alerts",
    "audit",
    "admin",
    "limits",
    "secrets",
    "store",
    "providers",
    "default_provider",
    "models",
    "prices",
    "topics",
    "complexity",
    "guardrails",
    "retry",
    "breaker",
    "queue",
    "embedding",
    "index",
    "cache",
    "responses",
    "recording",
    "usage",
    "request_log",
    "catalogue",
];

/// What errors call the command line.
const COMMAND_LINE: &str = "command line";

/// Reads the settings file at `path`, with the variables of this process.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Resolved, ConfigError> {
    let name = path.display().to_string();
    let text = reload::read(path).map_err(|error| error.named(&name))?;
    parse(&text, &name, overrides, &process_env)
}

/// Reads settings from `text`, which errors call `source_name`, with the variables that `env` knows.
pub fn parse(text: &str, source_name: &str, overrides: &Overrides, env: &Env<'_>) -> Result<Resolved, ConfigError> {
    let settings = resolve(text, &[], overrides, &HashMap::new(), env);
    settings.map_err(|unfit| unfit.into_error().named(source_name))
}

/// A document of lists of settings, as YAML or JSON; variables and references stand as they are written.
pub fn read_document(text: &str) -> Result<serde_json::Value, ConfigError> {
    let node = file::read(text)?;
    let json = Item::root(&node).map_or(Ok(None), |item| item.json())?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_else(|| serde_json::json!({})))
}

/// The settings where there is no file: every default, and no providers.
///
/// Fails where the defaults do not fit the command line, as with `--listen 0.0.0.0:8080` and no keys.
pub fn defaults(overrides: &Overrides) -> Result<Resolved, ConfigError> {
    parse("", "default settings", overrides, &process_env)
}

/// A variable of this process; one that is not Unicode counts as not set.
fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The settings of the file `text` with `definitions` beside its own. `values`: what references stand for, as far as that is known.
fn resolve(
    text: &str,
    definitions: &[Definition],
    overrides: &Overrides,
    values: &HashMap<String, Secret>,
    env: &Env<'_>,
) -> Result<Resolved, Unfit> {
    let mut node = tree(text, env).map_err(Unfit::Settings)?;
    let of_file = definitions::add(&mut node, definitions)?;
    references::fill(&mut node, values);
    let settings = whole(&node, (of_file, definitions), overrides, env);
    let mut settings = settings.map_err(|error| of_file.unfit(error, definitions))?;
    references::collect(&node, "", &mut settings.secrets.references);
    Ok(settings)
}

/// What is written, with the variables of `env` in place.
fn tree(text: &str, env: &Env<'_>) -> Result<file::Node, ConfigError> {
    let mut node = file::read(text)?;
    env::expand_tree(&mut node, "", env)?;
    Ok(node)
}

fn whole(
    node: &file::Node,
    (of_file, definitions): (definitions::OfFile, &[Definition]),
    overrides: &Overrides,
    env: &Env<'_>,
) -> Result<Resolved, ConfigError> {
    let root = Item::root(node).map_or_else(|| Ok(Fields::none("")), |item| item.fields(KEYS))?;
    let listen = listen(&root, overrides)?;
    let listen_at = root.get("listen").filter(|_| overrides.listen.is_none()).and_then(|item| item.at());
    let accounts = accounts::accounts(&root)?;
    let auth = auth::auth(&root, &listen, listen_at, &accounts)?;
    let catalogue = known::catalogue(&root)?;
    let providers = provider::providers(&root, &catalogue, of_file.of(Section::Providers), env)?;
    let models = model::models(&root, &providers)?;
    let (topics, complexity) = (insight::topics(&root)?, insight::complexity(&root, env)?);
    insight::check(&root, &models, &topics, complexity.as_ref())?;
    let guardrails = guardrails::guardrails(&root, &providers, &topics)?;
    let (store, admin) = (store::store(&root)?, admin::admin(&root, &auth, &accounts)?);
    // All that may be secrets has been read, so that it is known which stores are referred to.
    let mut referred = Vec::new();
    references::collect(node, "", &mut referred);
    definitions::check_references(&referred, &admin.secret_stores, of_file, definitions)?;
    let refers = |store| referred.iter().any(|one: &Referred| one.reference.store == store);
    Ok(Resolved {
        secrets: secrets::secrets(&root, &refers, env)?,
        store,
        data_dir: data_dir(&root, overrides, env)?,
        log: log::log(&root, overrides)?,
        admin,
        limits: limits::limits(&root)?,
        default_provider: model::default_provider(&root, of_file.of(Section::Providers), &providers)?,
        prices: prices::prices(&root, &providers)?,
        models,
        topics,
        complexity,
        guardrails,
        retry: retry::retry(&root)?,
        breaker: retry::breaker(&root)?,
        queue: queue::queue(&root)?,
        embedding: embedding::embedding(&root, overrides, env)?,
        index: index::index(&root)?,
        cache: cache::cache(&root, env)?,
        trusted_proxies: rights::each(&root, "trusted_proxies", rights::address)?,
        reservation: root.word("reservation", Reservation::Longest)?,
        alerts: alerts::alerts(&root)?,
        audit: audit::audit(&root, env)?,
        responses: responses::responses(&root)?,
        recording: recording::recording(&root, env)?,
        usage: usage::usage(&root)?,
        request_log: usage::request_log(&root)?,
        listen,
        auth,
        accounts,
        providers,
        catalogue,
    })
}

fn listen(root: &Fields<'_>, overrides: &Overrides) -> Result<String, ConfigError> {
    let from_file = root.text("listen")?;
    if let (Some(text), Some(item)) = (&from_file, root.get("listen")) {
        listen::check(text).map_err(|message| item.error(message))?;
    }
    if let Some(text) = &overrides.listen {
        listen::check(text).map_err(|message| ConfigError::new("--listen", None, message).named(COMMAND_LINE))?;
    }
    Ok(overrides.listen.clone().or(from_file).unwrap_or_else(|| listen::DEFAULT.to_owned()))
}

fn data_dir(root: &Fields<'_>, overrides: &Overrides, env: &Env<'_>) -> Result<PathBuf, ConfigError> {
    if let Some(folder) = &overrides.data_dir {
        return Ok(folder.clone());
    }
    match (root.text("data_dir")?, root.get("data_dir")) {
        (Some(text), Some(item)) => paths::folder(&text, env).map_err(|message| item.error(message)),
        _ => paths::default_data_dir(env).map_err(|message| {
            ConfigError::new("data_dir", None, message).with_suggestion("set HOME, or name a folder")
        }),
    }
}
