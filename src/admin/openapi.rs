//! `GET /admin/openapi.json`: the admin surface as an OpenAPI 3.1 document, generated from the table of routes and from what
//! `openapi/operations.yaml` says of each. <https://spec.openapis.org/oas/v3.1.1.html>

use super::{Route, reply, table};
use crate::edge::officer::{Guard, Reach};
use axum::response::Response;
use http::Method;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// What is said of each route, and the schemas.
const OPERATIONS: &str = include_str!("openapi/operations.yaml");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    // The file is part of the program, and a test reads it.
    let said: Value = serde_saphyr::from_str(OPERATIONS).unwrap_or_default();
    document_of(&said, &table())
});

pub(super) async fn openapi() -> Response {
    reply(Ok(document().clone()))
}

/// The document.
pub fn document() -> &'static Value {
    &DOCUMENT
}

fn document_of(said: &Value, table: &[Route]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in table {
        let method = route.method.as_str();
        let own = &said["operations"][format!("{method} {}", route.path)];
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method.to_ascii_lowercase()] = operation(route, own, &said["parameters"]);
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "askonce: admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": said["schemas"],
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "The admin key, one of `admin.tokens`, or a token that was made at `/admin/tokens`.",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-askonce_session",
                    "description": "Who signed in at `/admin/auth/login`; changes want the header `x-askonce-csrf` too.",
                },
            },
        },
    })
}

fn operation(route: &Route, own: &Value, known: &Value) -> Value {
    let is_scim = route.path.starts_with("/scim/");
    let media = if is_scim { "application/scim+json" } else { "application/json" };
    let mut operation = json!({
        "operationId": name(route),
        "tags": [tag(route)],
        "summary": own["summary"],
        "parameters": parameters(route, own, known),
        "responses": responses(route, own, media),
    });
    match route.guard {
        Guard::Open => operation["security"] = json!([]),
        Guard::Somebody => operation["security"] = json!([{"bearer": []}, {"session": []}]),
        Guard::Permission(resource, action, reach) => {
            operation["security"] = json!([{"bearer": []}, {"session": []}]);
            operation["x-askonce-permission"] = format!("{}:{}", resource.as_str(), action.as_str()).into();
            operation["x-askonce-scoped"] = (reach == Reach::Accounts).into();
        }
    }
    if let Some(body) = own["body"].as_str() {
        let media = own["body_media"].as_str().unwrap_or(media);
        operation["requestBody"] = json!({
            "required": own["body_optional"] != true,
            "content": {media: {"schema": schema(body)}},
        });
    }
    operation
}

/// `get_admin_accounts_name`.
fn name(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
    format!("{}_{}", route.method.as_str().to_ascii_lowercase(), words.join("_"))
}

/// What it is about.
fn tag(route: &Route) -> String {
    let mut words = route.path.split('/').filter(|word| !word.is_empty());
    match (words.next(), words.next()) {
        (Some("scim"), _) => "scim".to_owned(),
        (_, Some(word)) => word.trim_end_matches(".json").to_owned(),
        _ => "admin".to_owned(),
    }
}

fn parameters(route: &Route, own: &Value, known: &Value) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let mut query: Vec<&str> = own["query"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if own["changes"] == true {
        query.push("dry_run");
        all.push(header("If-Match", "Change it only where this is its `ETag`."));
    }
    if route.method == Method::POST && !route.path.starts_with("/scim/") {
        all.push(header(
            "Idempotency-Key",
            "A text of the caller's own: who sends it again gets the first answer again, and nothing is done twice.",
        ));
    }
    for key in query {
        let mut one = known[key].clone();
        one["name"] = one["name"].as_str().unwrap_or(key).into();
        one["in"] = "query".into();
        all.push(one);
    }
    all
}

fn header(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}})
}

fn responses(route: &Route, own: &Value, media: &str) -> Value {
    let status = own["status"].as_u64().unwrap_or(200);
    let mut good = json!({"description": own["summary"]});
    if let Some(schema) = answer(&own["answer"]) {
        good["content"] = json!({media: {"schema": schema}});
        if let Some(other) = own["media"].as_str() {
            good["content"][other] = json!({"schema": {"type": "string"}});
        }
    }
    if status == 303 {
        good["headers"] = json!({"Location": {"required": true, "schema": {"type": "string"}}});
    }
    let wrong = if media == "application/json" { schema("Error") } else { schema("Scim") };
    let refusal = |description: &str| json!({"description": description, "content": {media: {"schema": wrong}}});
    let mut responses =
        json!({status.to_string(): good, "default": refusal("What was expected, what came, and what to do.")});
    if route.guard != Guard::Open {
        responses["401"] = refusal("Nobody is known by this credential.");
        responses["403"] = refusal("Who asks may not.");
    }
    responses
}

/// A schema by its name; or a page of such.
fn answer(own: &Value) -> Option<Value> {
    let of = |name: &str| {
        json!({
            "type": "object",
            "required": ["object", "data", "next_cursor"],
            "additionalProperties": false,
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": schema(name)},
                "next_cursor": {"type": ["string", "integer", "null"], "description": "The `cursor` of the next page; null where there is none."},
            },
        })
    };
    own.as_str().map(schema).or_else(|| own["list"].as_str().map(of))
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let said: Value = serde_saphyr::from_str(OPERATIONS).unwrap();
        let described: BTreeSet<String> = said["operations"].as_object().unwrap().keys().cloned().collect();
        let routes: BTreeSet<String> = table().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
        assert_eq!(described, routes);
        for (name, own) in said["operations"].as_object().unwrap() {
            assert!(own["summary"].as_str().is_some_and(|text| text.len() > 5), "{name}");
            let known =
                ["summary", "query", "body", "body_media", "body_optional", "answer", "status", "changes", "media"];
            assert!(own.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{name}: {own}");
        }
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
            match value {
                Value::Object(map) => map.iter().for_each(|(key, value)| match value.as_str() {
                    Some(text) if key == "$ref" => {
                        found.insert(text);
                    }
                    _ => references(value, found),
                }),
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        references(document(), &mut found);
        for reference in &found {
            assert!(document().pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let schemas = document()["components"]["schemas"].as_object().unwrap();
        for name in schemas.keys() {
            assert!(found.contains(format!("#/components/schemas/{name}").as_str()), "nobody needs {name}");
        }
        let ids: Vec<&Value> = document()["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| &operation["operationId"])
            .collect();
        let different: BTreeSet<&str> = ids.iter().filter_map(|id| id.as_str()).collect();
        assert_eq!(ids.len(), different.len());
    }
}
