//! What only this wire knows (code that ran, what a search found), kept as a document of its JSON, so that an answer that
//! goes back out through this wire says it again.

use crate::types::chat::{Content, Media, Part, Source};

/// A part of a turn: `executableCode`, `codeExecutionResult` and what is still to come.
pub(super) const PART: &str = "application/vnd.google.gemini.part+json";

/// Fields of a candidate: `groundingMetadata`, `urlContextMetadata`, `logprobsResult`.
pub(super) const CANDIDATE: &str = "application/vnd.google.gemini.candidate+json";

/// Fields of a candidate that are kept; they come only where they were asked for, by a tool or a setting.
pub(super) const CANDIDATE_FIELDS: [&str; 3] = ["groundingMetadata", "urlContextMetadata", "logprobsResult"];

/// Keeps `json`.
pub(super) fn keep(kind: &str, json: String) -> Part {
    Part::new(Content::Document(Media::new(Source::Text(json), Some(kind.to_owned()))))
}

/// The JSON that was kept as of that kind.
pub(super) fn kept<'p>(part: &'p Part, kind: &str) -> Option<&'p str> {
    match &part.content {
        Content::Document(Media { source: Source::Text(json), media_type: Some(own), .. }) if own == kind => Some(json),
        _ => None,
    }
}
