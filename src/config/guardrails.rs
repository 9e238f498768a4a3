//! `guardrails`: what is looked for in requests and answers, and what is done about it.
//!
//! - `kinds`: its settings that are one word out of a few
//! - `outside`: what somebody else is asked about

mod kinds;
mod outside;

pub use kinds::{GuardAction, GuardFailure, GuardOn, Pii, SecretKind};
pub use outside::{GuardModeration, GuardTopics, GuardWebhook, ModerationAt};

use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::{UnknownWord, quoted, shortened};
use super::name;
use super::resolved::{Provider, Topic};
use crate::types::secret::Secret;
use regex::RegexBuilder;
use std::str::FromStr;

/// Guardrails at most.
const MOST: usize = 200;
/// Words or expressions of one guardrail at most, and how long one may be.
const MOST_WORDS: usize = 10_000;
const MOST_PATTERNS: usize = 100;
const MOST_CHARS: usize = 1000;
/// A compiled expression may be this large.
pub const PATTERN_BYTES: usize = 4 << 20;
/// The kinds, as keys of a guardrail.
const KINDS: &[&str] = &[
    "pii",
    "secrets",
    "words",
    "regex",
    "topics",
    "injection",
    "json_schema",
    "max_cost_usd",
    "webhook",
    "moderation",
];
const KEYS: &[&str] = &[
    "name",
    "on",
    "action",
    "to",
    "restore",
    "keys",
    "accounts",
    "models",
    "unread",
    "window_bytes",
    "pii",
    "secrets",
    "words",
    "regex",
    "topics",
    "injection",
    "json_schema",
    "max_cost_usd",
    "webhook",
    "moderation",
];

/// One guardrail.
#[derive(Debug, Clone, PartialEq)]
pub struct Guardrail {
    /// What refusals, headers and metrics call it. Unique.
    pub name: String,
    /// What it looks at.
    pub on: GuardOn,
    /// What it looks for.
    pub looks_for: LooksFor,
    /// What is done about it.
    pub action: GuardAction,
    /// The model of a rerouted request.
    pub to: Option<String>,
    /// What was replaced in a request is put back into its answer.
    pub restore: bool,
    /// It applies to these keys and to those below `accounts`. None of both: to all.
    pub keys: Vec<String>,
    /// Names of accounts.
    pub accounts: Vec<String>,
    /// It applies to these models, in whose names one `*` stands for any text. None: to all.
    pub models: Vec<String>,
    /// What becomes of requests that cannot be read.
    pub unread: GuardFailure,
    /// So much of a streamed text is held back. `None`: as much as it takes.
    pub window_bytes: Option<usize>,
}

/// What a guardrail looks for.
#[derive(Debug, Clone, PartialEq)]
pub enum LooksFor {
    /// Personal data.
    Pii(Vec<Pii>),
    /// Secrets.
    Secrets(Vec<SecretKind>),
    /// Whole words, in any case.
    Words(Vec<String>),
    /// Regular expressions.
    Regex(Vec<String>),
    /// What a text is about.
    Topics(GuardTopics),
    /// Attempts to give a model other instructions: the score, above 0 and at most 1, from which on a text is one.
    Injection(f64),
    /// Answers that do not satisfy this schema.
    JsonSchema(String),
    /// Requests that may cost more than so many US dollars.
    MaxCost(f64),
    /// What a server of the operator says.
    Webhook(GuardWebhook),
    /// What a moderation endpoint says.
    Moderation(GuardModeration),
}

impl Guardrail {
    /// What it shows those whom it asks.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let (headers, key) = match &self.looks_for {
            LooksFor::Webhook(webhook) => (Some(webhook.headers.values()), None),
            LooksFor::Moderation(GuardModeration { at: ModerationAt::Url { api_key, .. }, .. }) => {
                (None, api_key.as_ref())
            }
            _ => (None, None),
        };
        headers.into_iter().flatten().chain(key)
    }
}

impl LooksFor {
    /// The key of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            LooksFor::Pii(_) => "pii",
            LooksFor::Secrets(_) => "secrets",
            LooksFor::Words(_) => "words",
            LooksFor::Regex(_) => "regex",
            LooksFor::Topics(_) => "topics",
            LooksFor::Injection(_) => "injection",
            LooksFor::JsonSchema(_) => "json_schema",
            LooksFor::MaxCost(_) => "max_cost_usd",
            LooksFor::Webhook(_) => "webhook",
            LooksFor::Moderation(_) => "moderation",
        }
    }

    /// Does it find places in a text, so that these can be replaced?
    pub fn has_places(&self) -> bool {
        matches!(self, LooksFor::Pii(_) | LooksFor::Secrets(_) | LooksFor::Words(_) | LooksFor::Regex(_))
    }
}

/// Reads `guardrails`.
pub(super) fn guardrails(
    root: &Fields<'_>,
    providers: &[Provider],
    topics: &[Topic],
) -> Result<Vec<Guardrail>, ConfigError> {
    let items = root.list("guardrails")?;
    if let Some(item) = root.get("guardrails").filter(|_| items.len() > MOST) {
        return Err(item.error(format!("expected at most {MOST} guardrails, found {}", items.len())));
    }
    let mut all: Vec<Guardrail> = Vec::with_capacity(items.len());
    for item in &items {
        let one = guardrail(item, providers, topics)?;
        if all.iter().any(|other| other.name == one.name) {
            let error = item.error(format!("another guardrail has the name `{}`", one.name));
            return Err(error.with_suggestion("give each guardrail a name of its own"));
        }
        all.push(one);
    }
    Ok(all)
}

fn guardrail(item: &Item<'_>, providers: &[Provider], topics: &[Topic]) -> Result<Guardrail, ConfigError> {
    let fields = item.fields(KEYS)?;
    let mut found = KINDS.iter().filter_map(|kind| fields.get(kind));
    let (Some(kind), None) = (found.next(), found.next()) else {
        let error = fields.error(format!("expected one of {}", quoted(KINDS)));
        return Err(error.with_suggestion("write a guardrail of its own for each thing to look for"));
    };
    let looks_for = looks_for(&kind, &fields, providers, topics)?;
    let on = match (&looks_for, fields.get("on")) {
        (_, Some(on)) => on.word()?,
        (LooksFor::JsonSchema(_), None) => GuardOn::Output,
        (LooksFor::MaxCost(_) | LooksFor::Injection(_), None) => GuardOn::Input,
        (_, None) => GuardOn::Both,
    };
    let one = Guardrail {
        name: name::read(&fields.require("name")?)?,
        on,
        action: fields.word("action", GuardAction::Block)?,
        to: fields.text("to")?,
        restore: fields.bool("restore", false)?,
        keys: texts(&fields, "keys")?,
        accounts: texts(&fields, "accounts")?,
        models: super::allowance::models(&fields)?,
        unread: fields.word("unread", GuardFailure::Refuse)?,
        window_bytes: fields.get("window_bytes").map(|_| fields.count("window_bytes", 0, 1..=65_536)).transpose()?,
        looks_for,
    };
    fits(&one, &fields).map(|()| one)
}

/// Refuses what does not go together.
fn fits(one: &Guardrail, fields: &Fields<'_>) -> Result<(), ConfigError> {
    let at = |key: &str, message: String| {
        fields.get(key).map_or_else(|| fields.error(&message), |item| item.error(&message))
    };
    let kind = one.looks_for.kind();
    match &one.looks_for {
        LooksFor::JsonSchema(_) if one.on != GuardOn::Output => {
            return Err(at("on", "a schema is for answers".into()).with_suggestion("write `on: output`"));
        }
        LooksFor::MaxCost(_) if one.on != GuardOn::Input => {
            return Err(
                at("on", "what a request may cost is known of requests".into()).with_suggestion("write `on: input`")
            );
        }
        _ => {}
    }
    if one.action == GuardAction::Redact && !one.looks_for.has_places() {
        return Err(at("action", format!("`{kind}` finds no places that could be replaced"))
            .with_suggestion("`redact` goes with `pii`, `secrets`, `words` and `regex`"));
    }
    if one.action == GuardAction::Reroute && (one.on != GuardOn::Input || one.to.is_none()) {
        return Err(at("action", "a request is sent to another model before it is answered".into())
            .with_suggestion("write `on: input`, and the model in `to`"));
    }
    if one.to.is_some() && one.action != GuardAction::Reroute {
        return Err(at("to", "no request is sent to another model".into()).with_suggestion("write `action: reroute`"));
    }
    if one.restore && (one.action != GuardAction::Redact || one.on == GuardOn::Output) {
        return Err(at("restore", "nothing of a request is replaced".into())
            .with_suggestion("it goes with `action: redact` on `input` or `both`"));
    }
    Ok(())
}

fn looks_for(
    item: &Item<'_>,
    fields: &Fields<'_>,
    providers: &[Provider],
    all: &[Topic],
) -> Result<LooksFor, ConfigError> {
    let is = |key: &str| fields.get(key).is_some();
    Ok(if is("pii") {
        LooksFor::Pii(kinds(item, Pii::WORDS)?)
    } else if is("secrets") {
        LooksFor::Secrets(kinds(item, SecretKind::WORDS)?)
    } else if is("words") {
        LooksFor::Words(some(item, MOST_WORDS, |item| item.text())?)
    } else if is("regex") {
        LooksFor::Regex(some(item, MOST_PATTERNS, pattern)?)
    } else if is("topics") {
        LooksFor::Topics(outside::topics(item, all)?)
    } else if is("injection") {
        let fields = item.fields(&["threshold"])?;
        LooksFor::Injection(fields.get("threshold").map_or(Ok(0.7), |item| item.float(0.05..=1.0))?)
    } else if is("json_schema") {
        LooksFor::JsonSchema(schema(item)?)
    } else if is("max_cost_usd") {
        LooksFor::MaxCost(item.float(0.0..=1_000_000.0)?)
    } else if is("webhook") {
        LooksFor::Webhook(outside::webhook(item)?)
    } else {
        LooksFor::Moderation(outside::moderation(item, providers)?)
    })
}

/// A list of words of a few, or `all` of them.
fn kinds<T: FromStr<Err = UnknownWord> + PartialEq>(item: &Item<'_>, all: &[&str]) -> Result<Vec<T>, ConfigError> {
    if !item.is_list() && item.text()? == "all" {
        return Ok(all.iter().filter_map(|word| T::from_str(word).ok()).collect());
    }
    if !item.is_list() {
        return Err(item.error(format!("expected `all`, or a list of {}", quoted(all))));
    }
    let mut kinds = some(item, all.len() * 2, |item| item.word())?;
    let mut unique: Vec<T> = Vec::with_capacity(kinds.len());
    for kind in kinds.drain(..) {
        if !unique.contains(&kind) {
            unique.push(kind);
        }
    }
    Ok(unique)
}

/// A list that is not empty, and not too long.
fn some<T>(
    item: &Item<'_>,
    most: usize,
    read: impl for<'i> Fn(&Item<'i>) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let items = item.list()?;
    if items.is_empty() || items.len() > most {
        return Err(item.error(format!("expected from 1 to {most} elements, found {}", items.len())));
    }
    items.iter().map(read).collect()
}

fn texts(fields: &Fields<'_>, key: &str) -> Result<Vec<String>, ConfigError> {
    fields.list(key)?.iter().map(Item::text).collect()
}

/// A regular expression that is no longer than a screen, and does not match nothing.
fn pattern(item: &Item<'_>) -> Result<String, ConfigError> {
    let written = item.text()?;
    if written.chars().count() > MOST_CHARS {
        return Err(item.error(format!("expected a regular expression of at most {MOST_CHARS} characters")));
    }
    let Ok(compiled) = RegexBuilder::new(&written).size_limit(PATTERN_BYTES).build() else {
        let error = item.error(format!("`{}` is no regular expression, or too large a one", shortened(&written)));
        return Err(error.with_suggestion("the syntax is that of https://docs.rs/regex"));
    };
    if compiled.is_match("") {
        return Err(item.error("the regular expression matches the empty text: it would match everywhere"));
    }
    Ok(written)
}

fn schema(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.json()?.unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    if !value.is_object() {
        return Err(item.error("expected a JSON schema as a map"));
    }
    match jsonschema::validator_for(&value) {
        Ok(_) => Ok(text),
        Err(error) => Err(item.error(format!("this is no JSON schema: {}", shortened(&error.to_string())))),
    }
}
