//! One record as a row of the log of requests.

use super::clean::{Cleaner, storable};
use crate::config::RequestLog;
use crate::store::database::RequestRow;
use crate::types::record::Record;
use crate::types::secret::Secret;
use bytes::Bytes;
use std::sync::atomic::{AtomicU32, Ordering};

/// The longest error and the longest name, in bytes.
const ERROR_BYTES: usize = 1_024;
const NAME_BYTES: usize = 512;

/// The row, as the log's settings want it. `secrets` may not stand in it.
pub(super) fn row(record: &Record, log: &RequestLog, cleaner: &Cleaner, secrets: &[Secret]) -> RequestRow {
    let secrets = || secrets.iter().chain(&record.bearer);
    let body = |body: &Option<Bytes>| {
        let text = body.as_ref().filter(|_| log.prompts).map(|body| String::from_utf8_lossy(body));
        // Cleaned as a whole, and then cut: half a key would not be known as one.
        let text = text.map(|text| cleaner.clean(&text, secrets())).unwrap_or_default();
        cut(&text, log.body_bytes).to_owned()
    };
    let name = |text: &str| storable(cut(text, NAME_BYTES));
    let usage = record.usage;
    RequestRow {
        id: id(record.at_ms),
        at_ms: record.at_ms,
        request_id: name(&record.request_id),
        key: name(&record.key),
        accounts: listed(&record.accounts),
        tenant: name(&record.tenant),
        tags: listed(&record.tags),
        surface: record.surface.map(|surface| surface.as_str().to_owned()).unwrap_or_default(),
        model: name(&record.model),
        provider: name(&record.provider),
        provider_model: name(&record.provider_model),
        cache: record.cache.to_owned(),
        error: cut(&cleaner.clean(&record.error, secrets()), ERROR_BYTES).to_owned(),
        request: body(&record.request),
        answer: body(&record.answer),
        status: u64::from(record.status),
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_tokens: usage.cached_tokens,
        reasoning_tokens: usage.reasoning_tokens,
        saved_tokens: record.saved_tokens,
        cost: record.cost,
        saved: record.saved,
        took_ms: record.took_ms,
        attempts: record.attempts,
    }
}

/// In the order of time, and of their end within a millisecond; never the same twice.
fn id(at_ms: u64) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{at_ms:012x}{:08x}{:08x}", NEXT.fetch_add(1, Ordering::Relaxed), rand::random::<u32>())
}

/// With commas around and between, so that each can be looked for.
fn listed(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { storable(&format!(",{},", names.join(","))) }
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_kept_where_that_is_asked_for_cleaned_and_cut() {
        let record = Record {
            at_ms: 7,
            tags: vec!["a".to_owned(), "b".to_owned()],
            bearer: Some(Secret::new("sk-of-the-caller")),
            request: Some(Bytes::from_static(b"me: sk-of-the-caller, and ada@example.org")),
            answer: Some("ä".repeat(2_000).into()),
            error: "no key sk-of-the-caller".to_owned(),
            ..Record::default()
        };
        let redact = vec!["[a-z]+@[a-z.]+".to_owned()];
        let cleaner = Cleaner::new(&redact);
        let log = RequestLog { sample: 1.0, retention_days: 1, prompts: true, body_bytes: 1_025, redact };
        let kept = row(&record, &log, &cleaner, &[]);
        assert_eq!((&*kept.request, &*kept.error), ("me: [secret], and [redacted]", "no key [secret]"));
        assert_eq!((kept.answer.len(), &*kept.tags, &*kept.accounts), (1_024, ",a,b,", ""));
        let plain = row(&record, &RequestLog { prompts: false, ..log }, &cleaner, &[]);
        assert!(plain.request.is_empty() && plain.answer.is_empty());
        assert!(plain.id != kept.id && plain.id.starts_with("000000000007"));
    }
}
