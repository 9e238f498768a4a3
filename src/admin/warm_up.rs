//! `POST /admin/cache/warm`: questions and answers as JSON lines. A line that cannot be stored is named, and the others
//! are stored.

use super::reply;
use crate::edge::{Doors, body};
use crate::pipeline::Known;
use crate::types::caller::Tenant;
use crate::types::directives::{MOST_TAGS, TAG_BYTES};
use crate::types::error::{Error, ErrorKind};
use crate::types::usage::Usage;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Lines of one request.
const MOST_LINES: usize = 1_000;
/// Lines at fault that a reply names.
const MOST_ERRORS: usize = 100;

/// A caller's key, whose tenant the answers are for.
const CALLER_KEY: &str = "x-askonce-caller-key";

/// What lines have that say nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    model: Option<String>,
    tenant: Option<String>,
    scope: Option<String>,
}

/// One line. Fields that are not named here are ignored.
#[derive(Deserialize)]
struct Line {
    question: String,
    answer: String,
    model: Option<String>,
    system: Option<String>,
    tenant: Option<String>,
    scope: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    fields: Map<String, Value>,
    in_tok: Option<u64>,
    out_tok: Option<u64>,
    #[serde(default)]
    cached_tok: u64,
    #[serde(default)]
    cache_write_tok: u64,
    #[serde(default)]
    reasoning_tok: u64,
}

pub(super) async fn warm_up(
    State(doors): State<Arc<Doors>>,
    defaults: Result<Query<Defaults>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Response {
    reply(store(&doors, defaults, request).await)
}

async fn store(
    doors: &Doors,
    defaults: Result<Query<Defaults>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Value, Error> {
    let Query(defaults) = defaults.map_err(|why| {
        let message = format!("Expected `model`, `tenant` and `scope` in the query at most: {why}.");
        Error::new(ErrorKind::InvalidRequest, message)
    })?;
    let caller_key = request.headers().get(CALLER_KEY).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let known_caller = match &caller_key {
        Some(key) => Some(doors.caller(Some(key)).await?),
        None => None,
    };
    let text = body::read(&doors.edge, request).await?;
    let tenant_of = |name: Option<&str>| match (name, &known_caller) {
        (None, Some(caller)) => Ok(caller.tenant.clone()),
        (name, _) => doors.keys.load().tenant(name),
    };
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let filled = lines.iter().filter(|line| !line.trim_ascii().is_empty()).count();
    if filled > MOST_LINES {
        let message =
            format!("At most {MOST_LINES} lines at a time; got {filled}. `askonce cache warm` sends a file in parts.");
        return Err(Error::new(ErrorKind::TooLarge, message).with_code("too_many_lines"));
    }
    let (mut known, mut places, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
        match read(line, &defaults, &tenant_of) {
            Ok(one) => {
                known.push(one);
                places.push(at + 1);
            }
            Err(why) => errors.push((at + 1, why)),
        }
    }
    let results = doors.pipeline.warm_up(known).await;
    let mut stored = 0;
    for (line, result) in places.into_iter().zip(results) {
        match result {
            Ok(_) => stored += 1,
            Err(why) => errors.push((line, why)),
        }
    }
    errors.sort_unstable();
    tracing::info!(stored, failed = errors.len(), "warmed up");
    let named = errors.iter().take(MOST_ERRORS).map(|(line, why)| json!({"line": line, "error": why}));
    Ok(json!({"lines": filled, "stored": stored, "failed": errors.len(), "errors": named.collect::<Value>()}))
}

fn read(
    line: &[u8],
    defaults: &Defaults,
    tenant_of: &dyn Fn(Option<&str>) -> Result<Tenant, Error>,
) -> Result<Known, String> {
    let line: Line = serde_json::from_slice(line)
        .map_err(|error| format!("expected an object with the texts `question` and `answer`: {error}"))?;
    if line.question.trim().is_empty() || line.answer.trim().is_empty() {
        return Err("`question` or `answer` is empty".to_owned());
    }
    let model = line.model.or_else(|| defaults.model.clone());
    let model = model.ok_or("no `model`: name one in the line, or for all of them (`--model`, `?model=`)")?;
    if line.tags.len() > MOST_TAGS || line.tags.iter().any(|tag| tag.is_empty() || tag.len() > TAG_BYTES) {
        return Err(format!("expected at most {MOST_TAGS} `tags` of at most {TAG_BYTES} bytes"));
    }
    let scope = line.scope.or_else(|| defaults.scope.clone());
    if scope.as_ref().is_some_and(|scope| scope.is_empty() || scope.len() > TAG_BYTES) {
        return Err(format!("expected a `scope` of 1 to {TAG_BYTES} bytes"));
    }
    if let Some(name) = ["model", "messages", "stream"].into_iter().find(|name| line.fields.contains_key(*name)) {
        return Err(format!("`fields` may not hold `{name}`"));
    }
    let tenant = tenant_of(line.tenant.as_deref().or(defaults.tenant.as_deref())).map_err(|error| error.message)?;
    let usage = (line.in_tok.is_some() || line.out_tok.is_some()).then(|| Usage {
        cached_tokens: line.cached_tok,
        cache_write_tokens: line.cache_write_tok,
        reasoning_tokens: line.reasoning_tok,
        ..Usage::new(line.in_tok.unwrap_or(0), line.out_tok.unwrap_or(0))
    });
    Ok(Known {
        tenant,
        model,
        system: line.system,
        question: line.question,
        answer: line.answer,
        scope,
        tags: line.tags,
        fields: line.fields,
        usage,
    })
}
