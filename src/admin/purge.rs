//! `POST /admin/cache/purge`: what to forget, read from a body, and told.

use super::reply;
use crate::cache::{Named, Purge, PurgeError, Purged};
use crate::edge::Doors;
use crate::types::error::{Error, ErrorKind};
use crate::types::ids::{Digest, EntryId};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Entries that a reply shows, where the request does not say, and at most.
const SHOWN: usize = 20;
const MOST_SHOWN: usize = 1_000;
/// Characters of a question that a reply shows.
const QUESTION_CHARS: usize = 200;

const EXPECTED: &str = r#"expected one of {"entry": "ID"}, {"tag": "..."}, {"scope": "64 HEX DIGITS"}, {"tenant": "..."}, {"model": "..."}, {"like": "TEXT", "similarity": 0.9} (with "scope" or "tenant" if wanted), {"all": true}; beside it "dry_run" and "show""#;

/// What to purge: exactly one thing, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    entry: Option<String>,
    tag: Option<String>,
    scope: Option<String>,
    tenant: Option<String>,
    model: Option<String>,
    like: Option<String>,
    similarity: Option<f32>,
    all: Option<bool>,
    #[serde(default)]
    dry_run: bool,
    show: Option<usize>,
}

/// A purge that was asked for.
struct Wish {
    purge: Purge,
    dry_run: bool,
    show: usize,
}

pub(super) async fn purge(State(doors): State<Arc<Doors>>, body: Bytes) -> Response {
    let wish = match read(&body) {
        Ok(wish) => wish,
        Err(error) => return reply(Err(error)),
    };
    let cache = doors.pipeline.cache();
    if wish.dry_run {
        let would = cache.would_purge(&wish.purge, wish.show).await.map_err(refused);
        return reply(would.map(|(count, named)| {
            json!({"dry_run": true, "would_purge": count, "entries": named.iter().map(shown).collect::<Value>()})
        }));
    }
    let purged = cache.purge(&wish.purge, wish.show).await.map_err(refused);
    doors.pipeline.forget();
    if let Ok(purged) = &purged {
        tracing::info!(entries = purged.entries, on_disk = purged.on_disk, by = wish.purge.by(), "purged");
    }
    reply(purged.and_then(told))
}

/// What a purge did, in words; an error where the disk still has it.
pub(super) fn told(purged: Purged) -> Result<Value, Error> {
    if purged.on_disk {
        let entries: Value = purged.shown.iter().map(shown).collect();
        return Ok(json!({"purged": purged.entries, "entries": entries}));
    }
    let message = format!(
        "{} entries are gone from memory, but the disk could not be written: a restart brings them back. Make room, and \
         purge again.",
        purged.entries
    );
    Err(Error::new(ErrorKind::Internal, message).with_code("purge_not_written"))
}

pub(super) fn refused(why: PurgeError) -> Error {
    let kind = match why {
        PurgeError::NoSemantic => ErrorKind::InvalidRequest,
        PurgeError::NotEmbedded | PurgeError::NotSearched => ErrorKind::Overloaded,
    };
    Error::new(kind, format!("Nothing was purged: {why}.")).with_code("purge_not_made")
}

/// A line about an entry.
fn shown(named: &Named) -> Value {
    let entry = &named.entry;
    let question = entry.question.as_deref().map(|text| text.chars().take(QUESTION_CHARS).collect::<String>());
    json!({
        "id": entry.id.to_string(),
        "question": question,
        "tenant": entry.tenant.name(),
        "model": entry.model,
        "scope": entry.scope.to_string(),
        "tags": entry.tags,
        "similarity": named.similarity,
    })
}

fn read(body: &[u8]) -> Result<Wish, Error> {
    let unclear = |why: String| Error::new(ErrorKind::InvalidRequest, format!("{why}: {EXPECTED}."));
    let body: Body =
        serde_json::from_slice(body).map_err(|error| unclear(format!("The purge cannot be read: {error}")))?;
    let show = body.show.unwrap_or(SHOWN);
    if show > MOST_SHOWN {
        return Err(Error::invalid("show", format!("`show` may be at most {MOST_SHOWN}; got {show}.")));
    }
    let entry = body.entry.map(|text| text.parse::<EntryId>()).transpose();
    let entry = entry.map_err(|why| Error::invalid("entry", why))?;
    let scope = body.scope.map(|text| text.parse::<Digest>()).transpose();
    let scope = scope.map_err(|why| Error::invalid("scope", why))?;
    let all = body.all.filter(|all| *all);
    let purge = if let Some(text) = body.like {
        let Some(similarity) = body.similarity.filter(|similarity| (0.0..=1.0).contains(similarity)) else {
            return Err(Error::invalid("similarity", "`like` wants `similarity`: a cosine from 0 to 1, say 0.9."));
        };
        if text.trim().is_empty() || entry.is_some() || body.tag.is_some() || body.model.is_some() || all.is_some() {
            return Err(unclear("The purge is not clear".to_owned()));
        }
        Purge::Like { text, similarity, scope, tenant: body.tenant }
    } else {
        let named = [
            entry.map(Purge::Entry),
            body.tag.map(Purge::Tag),
            scope.map(Purge::Scope),
            body.tenant.map(Purge::Tenant),
            body.model.map(Purge::Model),
            all.map(|_| Purge::All),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next(), body.similarity) {
            (Some(purge), None, None) => purge,
            _ => return Err(unclear("The purge is not clear".to_owned())),
        }
    };
    Ok(Wish { purge, dry_run: body.dry_run, show })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_names_exactly_one_thing() {
        let scope = Digest([0xab; 32]);
        let like = |tenant: Option<&str>| Purge::Like {
            text: "t".to_owned(),
            similarity: 0.5,
            scope: tenant.is_none().then_some(scope),
            tenant: tenant.map(str::to_owned),
        };
        let table = [
            (r#"{"tag":"x"}"#.to_owned(), Some(Purge::Tag("x".to_owned()))),
            (r#"{"entry":"00000000000000ff","dry_run":true}"#.to_owned(), Some(Purge::Entry(EntryId(255)))),
            (format!(r#"{{"scope":"{scope}"}}"#), Some(Purge::Scope(scope))),
            (r#"{"scope":"abc"}"#.to_owned(), None),
            (r#"{"like":"t","similarity":0.5,"tenant":"x"}"#.to_owned(), Some(like(Some("x")))),
            (format!(r#"{{"like":"t","similarity":0.5,"scope":"{scope}"}}"#), Some(like(None))),
            (r#"{"like":"t"}"#.to_owned(), None),
            (r#"{"like":"t","similarity":7}"#.to_owned(), None),
            (r#"{"like":"t","similarity":0.5,"tag":"x"}"#.to_owned(), None),
            (r#"{"tag":"t","similarity":0.5}"#.to_owned(), None),
            (r#"{"all":true,"show":5}"#.to_owned(), Some(Purge::All)),
            (r#"{"all":true,"show":5000}"#.to_owned(), None),
            (r#"{"all":false}"#.to_owned(), None),
            (r#"{"all":true,"tag":"x"}"#.to_owned(), None),
            (r#"{"entry":"zz"}"#.to_owned(), None),
            (r#"{"dry_run":true}"#.to_owned(), None),
            (r#"{"everything":true}"#.to_owned(), None),
            (String::new(), None),
        ];
        for (body, expected) in table {
            assert_eq!(read(body.as_bytes()).ok().map(|wish| wish.purge), expected, "{body}");
        }
    }
}
