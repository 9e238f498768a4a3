//! Guardrails as YAML again.

use super::{Yaml, secret, text, texts};
use crate::config::resolved::{GuardModeration, GuardTopics, GuardWebhook, Guardrail, LooksFor, ModerationAt};

pub(super) fn guardrail(yaml: &mut Yaml, one: &Guardrail) {
    yaml.line("name", &text(&one.name));
    yaml.line("on", one.on.as_str());
    looks_for(yaml, &one.looks_for);
    yaml.line("action", one.action.as_str());
    yaml.maybe("to", one.to.as_deref().map(text));
    if one.restore {
        yaml.line("restore", "true");
    }
    for (key, names) in [("keys", &one.keys), ("accounts", &one.accounts), ("models", &one.models)] {
        if !names.is_empty() {
            yaml.line(key, &texts(names));
        }
    }
    yaml.line("unread", one.unread.as_str());
    yaml.maybe("window_bytes", one.window_bytes.map(|bytes| bytes.to_string()));
}

fn looks_for(yaml: &mut Yaml, looks_for: &LooksFor) {
    let words = |words: Vec<&str>| format!("[{}]", words.join(", "));
    let key = looks_for.kind();
    match looks_for {
        LooksFor::Pii(kinds) => yaml.line(key, &words(kinds.iter().map(|kind| kind.as_str()).collect())),
        LooksFor::Secrets(kinds) => yaml.line(key, &words(kinds.iter().map(|kind| kind.as_str()).collect())),
        LooksFor::Words(all) | LooksFor::Regex(all) => yaml.line(key, &texts(all)),
        LooksFor::Topics(one) => yaml.map(key, |yaml| topics(yaml, one)),
        LooksFor::Injection(threshold) => yaml.map(key, |yaml| yaml.line("threshold", &threshold.to_string())),
        LooksFor::JsonSchema(schema) => yaml.line(key, &with_dollars(schema)),
        LooksFor::MaxCost(usd) => yaml.line(key, &usd.to_string()),
        LooksFor::Webhook(one) => yaml.map(key, |yaml| webhook(yaml, one)),
        LooksFor::Moderation(one) => yaml.map(key, |yaml| moderation(yaml, one)),
    }
}

/// JSON is YAML, too, only that dollar signs mean something else in the values there.
fn with_dollars(schema: &str) -> String {
    fn double(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => *text = text.replace('$', "$$"),
            serde_json::Value::Array(items) => items.iter_mut().for_each(double),
            serde_json::Value::Object(fields) => fields.values_mut().for_each(double),
            _ => {}
        }
    }
    let mut value: serde_json::Value = serde_json::from_str(schema).unwrap_or_default();
    double(&mut value);
    value.to_string()
}

fn topics(yaml: &mut Yaml, one: &GuardTopics) {
    for (key, names) in [("allow", &one.allow), ("deny", &one.deny)] {
        if !names.is_empty() {
            yaml.line(key, &texts(names));
        }
    }
    yaml.line("on_error", one.on_error.as_str());
}

fn webhook(yaml: &mut Yaml, one: &GuardWebhook) {
    yaml.line("url", &text(&one.url));
    if !one.headers.is_empty() {
        yaml.map("headers", |yaml| one.headers.iter().for_each(|(name, value)| yaml.line(&text(name), &secret(value))));
    }
    yaml.millis("timeout_ms", one.timeout);
    yaml.line("on_error", one.on_error.as_str());
}

fn moderation(yaml: &mut Yaml, one: &GuardModeration) {
    match &one.at {
        ModerationAt::Provider(name) => yaml.line("provider", &text(name)),
        ModerationAt::Url { url, api_key } => {
            yaml.line("url", &text(url));
            yaml.maybe("api_key", api_key.as_ref().map(secret));
        }
    }
    yaml.line("model", &text(&one.model));
    if !one.categories.is_empty() {
        yaml.line("categories", &texts(&one.categories));
    }
    yaml.maybe("threshold", one.threshold.map(|score| score.to_string()));
    yaml.millis("timeout_ms", one.timeout);
    yaml.line("on_error", one.on_error.as_str());
}
