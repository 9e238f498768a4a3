//! `POST /v1/feedback`: a caller says whether an answer it was given was right. A wrong one leaves the cache at once.

use super::answer::{is_json, json as reply};
use crate::edge::entrance::enter;
use crate::edge::{Doors, body, reject};
use crate::types::directives::ID_BYTES;
use crate::types::error::{Error, ErrorKind};
use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const EXPECTED: &str = r#"expected {"id": "ID", "right": true or false}, where ID is the `id` of the answer or the `x-request-id` of its reply"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    id: String,
    right: bool,
}

pub(super) async fn feedback(State(doors): State<Arc<Doors>>, request: Request) -> Response {
    match take(&doors, request).await {
        Ok(told) => reply(&told),
        Err(error) => reject::reply(&error),
    }
}

async fn take(doors: &Arc<Doors>, request: Request) -> Result<Value, Error> {
    let (parts, body) = request.into_parts();
    let (caller, _) = enter(doors, &parts, None).await?;
    is_json(&parts.headers)?;
    let body = body::read(&doors.edge, Request::from_parts(parts, body)).await?;
    let Body { id, right } = serde_json::from_slice(&body).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("The feedback cannot be read: {error}; {EXPECTED}."))
    })?;
    if !(1..=ID_BYTES).contains(&id.len()) {
        return Err(Error::invalid("id", format!("`id` has 1 to {ID_BYTES} bytes; got {}.", id.len())));
    }
    let taken = doors.pipeline.feedback(&caller.tenant, &id, right).map_err(|_| unknown())?;
    Ok(json!({
        "id": id,
        "right": right,
        "tier": taken.tier.map(|tier| tier.as_str()),
        "entry": taken.entry.map(|entry| entry.to_string()),
        "evicted": taken.evicted,
        "repeated": taken.repeated,
    }))
}

fn unknown() -> Error {
    let message = "No answer of this id was given to you, or too many others since: the latest ones are remembered \
                   (`cache.feedback_answers`), until a restart.";
    let error = Error { param: Some("id".into()), ..Error::new(ErrorKind::NotFound, message) };
    error.with_code("answer_not_found")
}
