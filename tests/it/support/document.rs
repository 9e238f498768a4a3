//! `hold`: every answer of the admin surface is held against the document that describes it, whichever story asked.

use super::Reply;
use askonce::admin::openapi::document;
use jsonschema::Validator;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

/// By operation and status; none where no JSON is described.
type Validators = HashMap<(String, u16), Option<&'static Validator>>;
static VALIDATORS: LazyLock<Mutex<Validators>> = LazyLock::new(Mutex::default);

/// Panics if a reply of a route of the admin surface is not as its document says.
pub fn hold(method: &Method, url: &Url, reply: &Reply) {
    let Some((path, operation)) = described(method, url.path()) else { return };
    let known = document()["paths"][path]["parameters"].clone();
    assert!(known.is_null(), "parameters stand at operations");
    let validator = *VALIDATORS
        .lock()
        .unwrap()
        .entry((format!("{method} {path}"), reply.status))
        .or_insert_with(|| validator(operation, reply.status));
    if reply.status < 300 {
        let status = reply.status.to_string();
        assert!(
            operation["responses"].get(&status).is_some(),
            "{method} {path} answers {status}, which is not described"
        );
    }
    let content_type = reply.header("content-type");
    let Some(validator) = validator.filter(|_| content_type.contains("json") && !content_type.contains("ndjson"))
    else {
        return;
    };
    let body = reply.json();
    let wrong: Vec<String> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{method} {path} {}: {wrong:#?}\n{body:#}", reply.status);
}

/// The path of the document that `path` is of, and what is said of it.
fn described(method: &Method, path: &str) -> Option<(&'static str, &'static Value)> {
    let fits = |pattern: &str| {
        let (mut one, mut other) = (pattern.split('/'), path.split('/'));
        loop {
            match (one.next(), other.next()) {
                (None, None) => return true,
                (Some(word), Some(part)) if word == part || (word.starts_with('{') && !part.is_empty()) => {}
                _ => return false,
            }
        }
    };
    let all = document()["paths"].as_object()?;
    let method = method.as_str().to_ascii_lowercase();
    // A word stands before what may be any.
    let mut found: Vec<_> = all.iter().filter(|(pattern, _)| fits(pattern)).collect();
    found.sort_by_key(|(pattern, _)| pattern.matches('{').count());
    found.into_iter().find_map(|(pattern, path)| Some((pattern.as_str(), path.get(&method)?)))
}

fn validator(operation: &'static Value, status: u16) -> Option<&'static Validator> {
    let responses = &operation["responses"];
    let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
    let content = response["content"].as_object()?;
    let schema =
        content.iter().find(|(media, _)| media.ends_with("json") && !media.contains("ndjson"))?.1["schema"].clone();
    let whole = json!({"allOf": [schema], "components": document()["components"]});
    Some(Box::leak(Box::new(jsonschema::validator_for(&whole).unwrap())))
}
