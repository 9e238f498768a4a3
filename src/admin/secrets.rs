//! `GET /admin/secrets`: what the settings refer to, and how it is read. Never a value.

use super::reply;
use crate::edge::Doors;
use crate::secrets::Kept;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn secrets(State(doors): State<Arc<Doors>>) -> Response {
    reply(Ok(json!({"secrets": doors.secrets.kept().iter().map(shown).collect::<Value>()})))
}

fn shown(kept: &Kept) -> Value {
    json!({
        "reference": kept.reference.as_str(),
        "store": kept.reference.store.as_str(),
        "age_s": kept.age.map(|age| age.as_secs()),
        "error": kept.error,
        "fingerprint": kept.fingerprint,
    })
}
