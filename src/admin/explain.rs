//! `POST /admin/cache/explain`: a request as a caller would send it, with the caller's headers in `headers`, and in reply
//! what would happen to it and why. Nothing is sent to a provider, counted or stored.

use super::reply;
use crate::cache::{Ask, Explained, Foreseen, Near};
use crate::edge::{Doors, body, caller};
use crate::pipeline::{Explanation, Inbound};
use crate::types::caller::Caller;
use crate::types::entry::Entry;
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use crate::wire::request::InPath;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

const EXPECTED: &str = r#"expected {"request": {...}} with the body of a request, and beside it, where wanted, "surface" ("chat_completions", "messages", …), "model" (where its path tells it), "tenant" or "caller_key" (whose request it is), and "headers" (of the request)"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// As it came: a number written otherwise may be another request.
    request: Box<RawValue>,
    surface: Option<String>,
    /// For a surface that tells the model in its path.
    model: Option<String>,
    tenant: Option<String>,
    caller_key: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

pub(super) async fn explain(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    reply(explained(&doors, request).await)
}

async fn explained(doors: &Arc<Doors>, request: Request) -> Result<Value, Error> {
    let body = body::read(&doors.edge, request).await?;
    let inbound = read(doors, &body)?;
    let Explanation { cache, told: insight, targets } = doors.pipeline.explain(&inbound).await?;
    let targets: Value =
        targets.iter().map(|(provider, model)| json!({"provider": provider, "model": model})).collect();
    let mut told = match &cache {
        Ok((ask, explained)) => told(ask, explained),
        Err(reason) => json!({"would": "bypass", "reason": reason.as_str()}),
    };
    told["targets"] = targets;
    let insight = insight.unwrap_or_default();
    told["topic"] = insight.topic.map_or(Value::Null, |(nearest, cosine, reached)| {
        json!({"name": if reached { nearest.as_str() } else { "" }, "nearest": nearest, "cosine": cosine})
    });
    told["complexity"] =
        insight.complexity.map_or(Value::Null, |(complexity, hard)| json!({"complexity": complexity, "hard": hard}));
    Ok(told)
}

fn read(doors: &Doors, body: &[u8]) -> Result<Inbound, Error> {
    let unclear = |why: String| Error::new(ErrorKind::InvalidRequest, format!("{why}: {EXPECTED}."));
    let body: Body =
        serde_json::from_slice(body).map_err(|error| unclear(format!("What to explain cannot be read: {error}")))?;
    let surface = match body.surface.as_deref() {
        None => Surface::ChatCompletions,
        Some(word) => Surface::from_word(word)
            .filter(|surface| surface.is_chat() || *surface == Surface::Completions)
            .ok_or_else(|| unclear(format!("`{word}` is no surface whose answers are explained")))?,
    };
    let keys = doors.keys.load();
    let caller = match (&body.tenant, &body.caller_key) {
        (Some(_), Some(_)) => {
            return Err(unclear("`tenant` and `caller_key` are two answers to one question".to_owned()));
        }
        (None, Some(key)) => keys.caller(Some(key), doors.pipeline.cache().now_ms())?,
        (name, None) => {
            let tenant = keys.tenant(name.as_deref())?;
            Caller::unknown("explain", tenant)
        }
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &body.headers {
        let name = HeaderName::try_from(name).map_err(|_| unclear(format!("`{name}` is no name of a header")))?;
        let value =
            HeaderValue::try_from(value).map_err(|_| unclear(format!("the value of `{name}` is no header's")))?;
        headers.insert(name, value);
    }
    Ok(Inbound {
        path: InPath { model: body.model, stream: false },
        surface,
        caller,
        directives: caller::directives(&headers)?,
        headers: caller::passed_on(&headers),
        told: caller::told(&headers),
        request_id: String::new(),
        arrived: Instant::now(),
        body: Box::<str>::from(body.request).into_string().into(),
    })
}

fn told(ask: &Ask, explained: &Explained) -> Value {
    let policy = &ask.policy;
    let (would, tier, reason, entry) = match &explained.foreseen {
        Foreseen::Hit(entry, tier) => ("hit", Some(tier.as_str()), None, Some(entry)),
        Foreseen::Stale(entry) => ("stale", None, Some("stale_while_revalidate"), Some(entry)),
        Foreseen::Miss(reason) => ("miss", None, Some(reason.as_str()), None),
    };
    json!({
        "would": would,
        "tier": tier,
        "reason": reason,
        "entry": entry.map(|entry| entry.id.to_string()),
        "answer": entry.map(|entry| answer(entry)),
        "scope": ask.keys.scope.to_string(),
        "tenant": ask.tenant.name(),
        "question": ask.question,
        "facts": explained.facts,
        "policy": {
            "read": policy.read,
            "write": policy.write,
            "semantic": policy.semantic,
            "judgement": policy.judgement.as_str(),
            "error_budget": policy.error_budget,
            "strictness": policy.strictness.as_str(),
            "threshold": policy.threshold,
            "veto": policy.veto,
            "ttl_s": policy.ttl.as_secs(),
        },
        "judgement": explained.judgement,
        "lambda": explained.lambda,
        "candidates": explained.near.iter().map(near).collect::<Value>(),
        "scope_state": explained.scope.map(|report| json!({
            "requests": report.requests,
            "hits": report.hits,
            "labels": report.labels,
            "error": report.error,
            "error_upper": report.error_upper,
            "fallback": report.fallback,
            "weights": report.weights,
        })),
    })
}

fn answer(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.answer.body).unwrap_or_default()
}

fn near(near: &Near) -> Value {
    let weighed = near.weighed.as_ref().map(|weighed| {
        json!({
            "stream_score": weighed.stream,
            "trap": weighed.trap,
            "cluster": weighed.cluster,
            "terms": weighed.terms,
            "probability": weighed.p,
        })
    });
    let features: Map<String, Value> =
        near.features.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "entry": near.entry.id.to_string(),
        "question": near.entry.question,
        "similarity": near.similarity,
        "served": near.served,
        "left_out": near.left_out,
        "vetoed": near.facts_differ,
        "facts": near.facts,
        "weighed": weighed,
        "features": features,
        "memory": near.memory.as_ref().map(|memory| json!({
            "cluster": memory.cluster,
            "fellows": memory.fellows,
            "right": memory.right,
            "wrong": memory.wrong,
            "worst_similarity": memory.worst_similarity,
        })),
    })
}
