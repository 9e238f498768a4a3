//! How long entries are kept, which of them go for room, and how much one scope may take: parts of `cache`.

use std::time::Duration;

use super::cache::MAX_S;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::quoted;
use crate::types::staleness::Staleness as Class;

/// The most words of one class.
const MOST_WORDS: usize = 256;
/// The longest of them, in bytes.
const WORD_BYTES: usize = 64;

/// How soon an answer is out of date, by what its question says: `cache.staleness`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staleness {
    /// Whether questions are put into classes. Without it every entry is served for `cache.ttl_s`.
    pub enabled: bool,
    /// How long an entry of the class `minutes` may be served; never longer than `cache.ttl_s`, as for all classes.
    pub minutes_ttl: Duration,
    /// How long an entry of the class `hours` may be served.
    pub hours_ttl: Duration,
    /// How long an entry of the class `days` may be served.
    pub days_ttl: Duration,
    /// The class of requests that offer tools.
    pub tools: Class,
    /// The class of requests that have something looked up: a search on the web, files, documents.
    pub retrieval: Class,
    /// Words and phrases that put a question into a class; of several, the shortest class counts. Lower case, each word
    /// apart by one space.
    pub words: Vec<(Class, Vec<String>)>,
}

/// What one scope and one tenant may take: `cache.quota`. Zero is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// For each scope.
    pub scope: Share,
    /// For each tenant, all of its scopes together.
    pub tenant: Share,
}

/// What one of them may take. Zero is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// The most entries; the least worth of its own goes for a new one.
    pub entries: u64,
    /// The most bytes of entries, vectors included.
    pub bytes: u64,
    /// New entries a minute, in the long run.
    pub inserts_per_minute: u64,
    /// New entries at once, after a pause.
    pub insert_burst: u64,
}

const WORDS: [(Class, &str, &[&str]); 5] = [
    (
        Class::Never,
        "never",
        &[
            "what time is it",
            "tell me the time",
            "what's the time now",
            "what is the time now",
            "what's the current time",
            "what is the current time",
            "what day is it",
            "what's today's date",
            "what is today's date",
            "give me a random number",
            "pick a random number",
            "roll a die",
            "roll a dice",
            "flip a coin",
            "toss a coin",
            "surprise me",
        ],
    ),
    (
        Class::Minutes,
        "minutes",
        &[
            "now",
            "currently",
            "at the moment",
            "at this moment",
            "breaking",
            "live score",
            "stock price",
            "share price",
            "weather",
        ],
    ),
    (
        Class::Hours,
        "hours",
        &[
            "today",
            "today's",
            "tonight",
            "tomorrow",
            "tomorrow's",
            "yesterday",
            "yesterday's",
            "latest",
            "news",
            "exchange rate",
            "this morning",
            "this afternoon",
            "this evening",
            "last night",
            "so far",
            "up to date",
        ],
    ),
    (
        Class::Days,
        "days",
        &[
            "my",
            "mine",
            "current",
            "recent",
            "recently",
            "newest",
            "upcoming",
            "this week",
            "this month",
            "this year",
            "this season",
            "last week",
            "last month",
            "next week",
            "next month",
        ],
    ),
    (Class::Static, "static", &[]),
];

/// Reads `cache.staleness`.
pub(super) fn staleness(cache: &Fields<'_>) -> Result<Staleness, ConfigError> {
    let keys = ["enabled", "minutes_ttl_s", "hours_ttl_s", "days_ttl_s", "tools", "retrieval", "words"];
    let fields = cache.child("staleness", &keys)?;
    let staleness = Staleness {
        enabled: fields.bool("enabled", true)?,
        minutes_ttl: fields.seconds("minutes_ttl_s", 300, 1..=MAX_S)?,
        hours_ttl: fields.seconds("hours_ttl_s", 3_600, 1..=MAX_S)?,
        days_ttl: fields.seconds("days_ttl_s", 86_400, 1..=MAX_S)?,
        tools: class(&fields, "tools", Class::Hours)?,
        retrieval: class(&fields, "retrieval", Class::Minutes)?,
        words: words(&fields)?,
    };
    if !(staleness.minutes_ttl <= staleness.hours_ttl && staleness.hours_ttl <= staleness.days_ttl) {
        let error = fields.error("`minutes_ttl_s` may not be more than `hours_ttl_s`, nor that more than `days_ttl_s`");
        return Err(error.with_suggestion("a class that is named for a shorter time has to be the shorter one"));
    }
    Ok(staleness)
}

fn class(fields: &Fields<'_>, key: &str, default: Class) -> Result<Class, ConfigError> {
    let Some(item) = fields.get(key) else { return Ok(default) };
    let text = item.text()?;
    Class::from_word(&text).ok_or_else(|| {
        item.error(format!("expected one of {}, found `{text}`", quoted(&Class::ALL.map(Class::as_str))))
    })
}

/// The words of each class; a class that is named has its list replaced, the others keep theirs.
fn words(fields: &Fields<'_>) -> Result<Vec<(Class, Vec<String>)>, ConfigError> {
    let lists = fields.child("words", &WORDS.map(|(_, key, _)| key))?;
    let mut words = Vec::with_capacity(WORDS.len());
    for (class, key, default) in WORDS {
        let list = match lists.get(key) {
            None => default.iter().map(|word| (*word).to_owned()).collect(),
            Some(item) => list(&item)?,
        };
        words.push((class, list));
    }
    Ok(words)
}

fn list(item: &Item<'_>) -> Result<Vec<String>, ConfigError> {
    let items = item.list()?;
    if items.len() > MOST_WORDS {
        return Err(item.error(format!("expected at most {MOST_WORDS} words, found {}", items.len())));
    }
    let mut words = Vec::with_capacity(items.len());
    for item in items {
        let text = item.text()?;
        if text.len() > WORD_BYTES {
            return Err(item.error(format!("expected a word or phrase of at most {WORD_BYTES} bytes")));
        }
        words.push(text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Ok(words)
}

/// Reads `cache.quota`.
pub(super) fn quota(cache: &Fields<'_>) -> Result<Quota, ConfigError> {
    let fields = cache.child("quota", &["scope", "tenant"])?;
    Ok(Quota { scope: share(&fields, "scope")?, tenant: share(&fields, "tenant")? })
}

fn share(fields: &Fields<'_>, key: &str) -> Result<Share, ConfigError> {
    let fields = fields.child(key, &["entries", "bytes", "inserts_per_minute", "insert_burst"])?;
    let inserts_per_minute = fields.integer("inserts_per_minute", 0, 0..=60_000_000)?;
    Ok(Share {
        entries: fields.integer("entries", 0, 0..=1 << 40)?,
        bytes: fields.bytes("bytes", 0, 0..=1 << 50)?,
        inserts_per_minute,
        insert_burst: fields.integer("insert_burst", inserts_per_minute.max(1), 1..=60_000_000)?,
    })
}

/// Reads `cache.refusal_phrases`: lower case, white space folded.
pub(super) fn refusal_phrases(cache: &Fields<'_>) -> Result<Vec<String>, ConfigError> {
    cache.get("refusal_phrases").map_or_else(|| Ok(Vec::new()), |item| list(&item))
}
