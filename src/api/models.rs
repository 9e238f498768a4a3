//! The list of models, in the form of each vendor: those that the caller may ask for.

use super::answer::{caller, json};
use crate::edge::{Doors, reject};
use crate::types::caller::Caller;
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whose form a request at a path that several vendors share is to be answered in.
pub(super) fn form(headers: &HeaderMap) -> Surface {
    if headers.contains_key("anthropic-version") {
        Surface::Messages
    } else if headers.contains_key("x-goog-api-key") {
        Surface::GenerateContent
    } else {
        Surface::ChatCompletions
    }
}

/// All models.
pub(super) async fn list(doors: &Arc<Doors>, form: Surface, request: Request) -> Response {
    let caller = match caller(doors, request).await {
        Ok(caller) => caller,
        Err(error) => return reject::reply_in(form, &error),
    };
    let all = listed(doors, &caller);
    let objects: Vec<Value> = all.iter().map(|(id, owner)| object(form, id, owner)).collect();
    json(&match form {
        Surface::Messages => {
            let id = |one: Option<&(String, String)>| one.map(|(id, _)| id.clone());
            json!({"data": objects, "has_more": false, "first_id": id(all.first()), "last_id": id(all.last())})
        }
        Surface::GenerateContent | Surface::CohereChat | Surface::OllamaChat => json!({"models": objects}),
        _ => json!({"object": "list", "data": objects}),
    })
}

/// One model.
pub(super) async fn one(doors: &Arc<Doors>, form: Surface, model: &str, request: Request) -> Response {
    let caller = match caller(doors, request).await {
        Ok(caller) => caller,
        Err(error) => return reject::reply_in(form, &error),
    };
    match listed(doors, &caller).into_iter().find(|(id, _)| id == model) {
        Some((id, owner)) => json(&object(form, &id, &owner)),
        None => {
            let message = format!("The model `{model}` does not exist. GET /v1/models lists the models.");
            let error = Error { param: Some("model".into()), ..Error::new(ErrorKind::NotFound, message) };
            reject::reply_in(form, &error.with_code("model_not_found"))
        }
    }
}

/// Configured names first, then what the providers say they have; each name once, and none that this caller may not ask for.
fn listed(doors: &Doors, caller: &Caller) -> Vec<(String, String)> {
    let (setup, governor) = (doors.pipeline.setup(), doors.pipeline.governor());
    let providers = governor.providers(caller);
    let configured: BTreeSet<&str> = setup.router.names().collect();
    let mut models: Vec<(String, String)> =
        configured.iter().map(|name| ((*name).to_owned(), "askonce".to_owned())).collect();
    let mut seen: BTreeSet<String> = configured.iter().map(|name| (*name).to_owned()).collect();
    for (model, provider) in setup.registry.models() {
        let may = providers.as_ref().is_none_or(|may| may(&provider));
        if may && seen.insert(model.clone()) {
            models.push((model, provider));
        }
    }
    models.retain(|(model, _)| governor.may_ask_for(caller, model));
    models
}

/// What is not known of a model (its dates, its limits) is left out, or what the SDKs take for nothing.
fn object(form: Surface, id: &str, owner: &str) -> Value {
    match form {
        Surface::Messages => {
            json!({"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z"})
        }
        Surface::GenerateContent => json!({
            "name": format!("models/{id}"),
            "baseModelId": id,
            "displayName": id,
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens", "embedContent"],
        }),
        Surface::OllamaChat => json!({
            "name": id,
            "model": id,
            "modified_at": "1970-01-01T00:00:00Z",
            "size": 0,
            "digest": "",
            "details": {
                "parent_model": "", "format": "", "family": "", "families": null, "parameter_size": "", "quantization_level": "",
            },
        }),
        Surface::CohereChat => json!({"name": id, "endpoints": ["chat", "embed", "rerank"]}),
        _ => json!({"id": id, "object": "model", "created": 0, "owned_by": owner}),
    }
}
