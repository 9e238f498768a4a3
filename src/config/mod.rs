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
//! | `cloud`, `outbound`, `provider_key` | of a provider: signing in, the way there, several keys |
//! | `target`, `condition`, `shadow` | of a model: where it is to be had; whether that is for a request; what is compared with it |
//! | `insight` | topics and complexity, for conditions |
//! | `harmless` | request fields that may be ignored, and those that never may |
//! | `known`, `prices` | providers and prices as data |
//! | `listen`, `paths`, `base_url`, `size`, `name`, `nearest` | one form of text each |
//! | `error` | what is wrong, where, and what to do |
//! | `show` | the settings as YAML again, secrets masked |
//! | `reload`, `restart` | whether the file changed, and what takes a restart |

mod auth;
mod base_url;
mod cache;
mod cloud;
mod condition;
mod embedding;
mod env;
mod error;
mod fields;
mod file;
mod harmless;
mod index;
mod insight;
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
mod reload;
mod resolved;
mod responses;
mod restart;
mod retry;
mod shadow;
mod show;
mod size;
mod target;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use auth::MIN_KEY_CHARS;
pub use base_url::check as check_base_url;
pub use cache::CacheRules;
pub use condition::{Fact, Facts, Uses, Variable};
pub use env::Env;
pub use error::{ConfigError, Position};
pub use insight::DEFAULT_AT_LEAST;
pub use judgement::DEFAULT_THRESHOLD;
pub use kinds::UnknownWord;
pub use reload::Watcher;
pub use resolved::*;

use fields::{Fields, Item};

const KEYS: &[&str] = &[
    "listen",
    "data_dir",
    "log",
    "auth",
    "admin",
    "limits",
    "providers",
    "default_provider",
    "models",
    "topics",
    "complexity",
    "retry",
    "breaker",
    "queue",
    "embedding",
    "index",
    "cache",
    "responses",
    "recording",
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
    resolve(text, overrides, env).map_err(|error| error.named(source_name))
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

fn resolve(text: &str, overrides: &Overrides, env: &Env<'_>) -> Result<Resolved, ConfigError> {
    let mut node = file::read(text)?;
    env::expand_tree(&mut node, "", env)?;
    let root = Item::root(&node).map_or_else(|| Ok(Fields::none("")), |item| item.fields(KEYS))?;
    let listen = listen(&root, overrides)?;
    let listen_at = root.get("listen").filter(|_| overrides.listen.is_none()).and_then(|item| item.at());
    let auth = auth::auth(&root, &listen, listen_at)?;
    let catalogue = known::catalogue(&root)?;
    let providers = provider::providers(&root, &catalogue, env)?;
    let models = model::models(&root, &providers)?;
    let (topics, complexity) = (insight::topics(&root)?, insight::complexity(&root, env)?);
    insight::check(&root, &models, &topics, complexity.as_ref())?;
    Ok(Resolved {
        data_dir: data_dir(&root, overrides, env)?,
        log: log::log(&root, overrides)?,
        admin: auth::admin(&root, &auth)?,
        limits: limits::limits(&root)?,
        default_provider: model::default_provider(&root, &providers)?,
        models,
        topics,
        complexity,
        retry: retry::retry(&root)?,
        breaker: retry::breaker(&root)?,
        queue: queue::queue(&root)?,
        embedding: embedding::embedding(&root, overrides, env)?,
        index: index::index(&root)?,
        cache: cache::cache(&root, env)?,
        responses: responses::responses(&root)?,
        recording: recording::recording(&root, env)?,
        listen,
        auth,
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
