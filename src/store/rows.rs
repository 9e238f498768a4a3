//! Entries as they are written: a JSON row, then the answer's bytes as they are.

use crate::types::answer::{Answer, Ending};
use crate::types::caller::Tenant;
use crate::types::entry::{Entry, Source};
use crate::types::ids::EntryId;
use crate::types::lost::Lost;
use crate::types::money::MicroUsd;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An entry without its answer's bytes. Fields are only ever added, each with a default.
#[derive(Serialize, Deserialize)]
struct Row {
    id: u64,
    tenant: String,
    surface: String,
    model: String,
    provider: String,
    scope: String,
    /// Where it is not the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meaning: Option<String>,
    exact: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    normalised: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    question: Option<String>,
    semantic: bool,
    created_ms: u64,
    expires_ms: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_micro_usd: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    latency_ms: u64,
    #[serde(default, skip_serializing_if = "is_not")]
    warm_up: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_span: Option<(usize, usize)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_span: Option<(usize, usize)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage: Option<(u64, u64)>,
    /// Of the usage: tokens read from a prompt cache, written to one, and of reasoning. Left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage_parts: Option<(u64, u64, u64)>,
    #[serde(default)]
    usage_unasked: bool,
    tool_calls: bool,
    /// Names of what the answer lacks, and how many there are beside the names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped_more: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands over a reference
fn is_not(so: &bool) -> bool {
    !*so
}

/// The parts of `usage`, if it has any.
fn parts(usage: Usage) -> Option<(u64, u64, u64)> {
    let parts = (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens);
    (parts != (0, 0, 0)).then_some(parts)
}

/// The usage of a row; one that was written before parts were has none.
fn usage(whole: (u64, u64), parts: Option<(u64, u64, u64)>) -> Usage {
    let (cached_tokens, cache_write_tokens, reasoning_tokens) = parts.unwrap_or_default();
    Usage { cached_tokens, cache_write_tokens, reasoning_tokens, ..Usage::new(whole.0, whole.1) }
}

/// Writes `entry` after `out`.
pub(super) fn write(entry: &Entry, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let row = Row {
        id: entry.id.0,
        tenant: entry.tenant.0.clone(),
        surface: entry.surface.as_str().to_owned(),
        model: entry.model.clone(),
        provider: entry.provider.clone(),
        scope: entry.scope.to_string(),
        meaning: (entry.meaning != entry.scope).then(|| entry.meaning.to_string()),
        exact: entry.exact.to_string(),
        normalised: entry.normalised.map(|digest| digest.to_string()),
        question: entry.question.clone(),
        semantic: entry.semantic,
        created_ms: entry.created_ms,
        expires_ms: entry.expires_ms,
        tags: entry.tags.clone(),
        cost_micro_usd: entry.cost.map(|cost| cost.0),
        latency_ms: entry.latency_ms,
        warm_up: entry.source == Source::WarmUp,
        id_span: entry.answer.id_span.as_ref().map(|span| (span.start, span.end)),
        created_span: entry.answer.created_span.as_ref().map(|span| (span.start, span.end)),
        usage: entry.answer.usage.map(|usage| (usage.input_tokens, usage.output_tokens)),
        usage_parts: entry.answer.usage.and_then(parts),
        usage_unasked: entry.answer.usage_unasked,
        tool_calls: entry.answer.tool_calls,
        dropped: entry.answer.lost.names().to_vec(),
        dropped_more: entry.answer.lost.more(),
    };
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, &row)?;
    let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&entry.answer.body);
    Ok(())
}

/// Reads what `write` wrote. The error says what does not fit.
pub(super) fn read(bytes: &[u8]) -> Result<Entry, String> {
    let (length, rest) = bytes.split_at_checked(4).ok_or("no row length")?;
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    let (row, body) = rest.split_at_checked(length).ok_or("the row is longer than its record")?;
    let row: Row = serde_json::from_slice(row).map_err(|error| error.to_string())?;
    let span = |span: Option<(usize, usize)>| match span {
        Some((start, end)) if start <= end && end <= body.len() => Ok(Some(start..end)),
        Some(_) => Err("a span lies outside of the answer"),
        None => Ok(None),
    };
    let scope = row.scope.parse()?;
    let surface = surface(&row.surface)?;
    Ok(Entry {
        id: EntryId(row.id),
        tenant: Tenant(row.tenant),
        surface,
        model: row.model,
        provider: row.provider,
        scope,
        meaning: row.meaning.map_or(Ok(scope), |hex| hex.parse())?,
        exact: row.exact.parse()?,
        normalised: row.normalised.map(|hex| hex.parse()).transpose()?,
        question: row.question,
        semantic: row.semantic,
        answer: Answer {
            surface,
            id_span: span(row.id_span)?,
            created_span: span(row.created_span)?,
            body: Bytes::copy_from_slice(body),
            usage: row.usage.map(|whole| usage(whole, row.usage_parts)),
            usage_unasked: row.usage_unasked,
            ending: Ending::Whole,
            tool_calls: row.tool_calls,
            lost: Lost::new(&row.dropped, row.dropped_more),
        },
        cost: row.cost_micro_usd.map(MicroUsd),
        latency_ms: row.latency_ms,
        source: if row.warm_up { Source::WarmUp } else { Source::Fetched },
        created_ms: row.created_ms,
        expires_ms: row.expires_ms,
        tags: row.tags,
    })
}

fn surface(word: &str) -> Result<Surface, String> {
    Surface::from_word(word).ok_or_else(|| format!("unknown surface {word:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_from_before_there_were_parts_is_read() {
        let hex = "01".repeat(32);
        let old = format!(
            "{{\"id\":7,\"tenant\":\"t\",\"surface\":\"chat_completions\",\"model\":\"m\",\"provider\":\"p\",\"scope\":\"{hex}\",\
             \"exact\":\"{hex}\",\"semantic\":true,\"created_ms\":1,\"expires_ms\":2,\"usage\":[3,4],\"tool_calls\":false}}"
        );
        let mut bytes = u32::try_from(old.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(old.as_bytes());
        bytes.extend_from_slice(b"{}");
        let entry = read(&bytes).unwrap();
        assert_eq!(entry.answer.usage, Some(Usage::new(3, 4)));
        assert!(entry.answer.lost.is_empty());
        let mut again = Vec::new();
        write(&entry, &mut again).unwrap();
        let text = String::from_utf8_lossy(&again);
        assert!(!text.contains("usage_parts") && !text.contains("dropped"), "what there is none of takes no bytes");
        assert_eq!(read(&again).unwrap().answer.usage, entry.answer.usage);
        let lost = Lost::new(&["seed".to_owned(), "citations".to_owned()], 2);
        let lacking = Entry { answer: Answer { lost, ..entry.answer.clone() }, ..entry };
        let mut row = Vec::new();
        write(&lacking, &mut row).unwrap();
        assert_eq!(read(&row).unwrap(), lacking);
    }
}
