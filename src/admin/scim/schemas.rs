//! What this side of SCIM can do, and what there is (RFC 7643, sections 5 to 7).

use super::{refused, reply};
use crate::governance::people::resource::{ENTERPRISE, GROUP, USER};
use crate::types::error::{Error, ErrorKind};
use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

pub(super) async fn service() -> Response {
    reply(
        StatusCode::OK,
        &json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": {"supported": true},
            "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
            "filter": {"supported": true, "maxResults": super::MOST_LISTED},
            "changePassword": {"supported": false},
            "sort": {"supported": false},
            "etag": {"supported": true},
            "authenticationSchemes": [{
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token of the admin surface whose roles allow `people`.",
                "primary": true,
            }],
            "meta": {"resourceType": "ServiceProviderConfig", "location": "/scim/v2/ServiceProviderConfig"},
        }),
    )
}

pub(super) async fn types() -> Response {
    reply(StatusCode::OK, &listed(all_types()))
}

pub(super) async fn one_type(Path(id): Path<String>) -> Response {
    found(all_types(), &id)
}

pub(super) async fn schemas() -> Response {
    reply(StatusCode::OK, &listed(all_schemas()))
}

pub(super) async fn one_schema(Path(id): Path<String>) -> Response {
    found(all_schemas(), &id)
}

fn listed(all: Vec<Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": all.len(),
        "startIndex": 1,
        "itemsPerPage": all.len(),
        "Resources": all,
    })
}

fn found(all: Vec<Value>, id: &str) -> Response {
    match all.into_iter().find(|one| one["id"] == id) {
        Some(one) => reply(StatusCode::OK, &one),
        None => refused(&Error::new(ErrorKind::NotFound, "There is nothing of that id.").with_code("not_found")),
    }
}

fn all_types() -> Vec<Value> {
    let one = |id: &str, place: &str, schema: &str, extensions: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": id,
            "name": id,
            "endpoint": place,
            "schema": schema,
            "schemaExtensions": extensions,
            "meta": {"resourceType": "ResourceType", "location": format!("/scim/v2/ResourceTypes/{id}")},
        })
    };
    vec![
        one("User", "/Users", USER, json!([{"schema": ENTERPRISE, "required": false}])),
        one("Group", "/Groups", GROUP, json!([])),
    ]
}

fn all_schemas() -> Vec<Value> {
    let name = json!([text("givenName"), text("familyName"), text("middleName"), text("formatted")]);
    let user = vec![
        with(text("userName"), json!({"required": true, "uniqueness": "server"})),
        with(text("externalId"), json!({"caseExact": true})),
        text("displayName"),
        text("nickName"),
        text("title"),
        text("userType"),
        text("preferredLanguage"),
        text("locale"),
        text("timezone"),
        with(text("active"), json!({"type": "boolean"})),
        with(text("name"), json!({"type": "complex", "subAttributes": name})),
        several("emails"),
        several("phoneNumbers"),
        with(several("groups"), json!({"mutability": "readOnly"})),
    ];
    let group = vec![with(text("displayName"), json!({"required": true})), text("externalId"), several("members")];
    let enterprise = ["employeeNumber", "costCenter", "organization", "division", "department"].map(text).to_vec();
    [(USER, "User", user), (GROUP, "Group", group), (ENTERPRISE, "EnterpriseUser", enterprise)]
        .into_iter()
        .map(|(id, name, attributes)| {
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
                "id": id,
                "name": name,
                "attributes": attributes,
                "meta": {"resourceType": "Schema", "location": format!("/scim/v2/Schemas/{id}")},
            })
        })
        .collect()
}

/// An attribute that is one text.
fn text(name: &str) -> Value {
    json!({
        "name": name,
        "type": "string",
        "multiValued": false,
        "required": false,
        "caseExact": false,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    })
}

/// An attribute that has several values.
fn several(name: &str) -> Value {
    let inside = json!([text("value"), text("display"), text("type")]);
    with(text(name), json!({"type": "complex", "multiValued": true, "subAttributes": inside}))
}

fn with(mut attribute: Value, more: Value) -> Value {
    if let (Some(attribute), Value::Object(more)) = (attribute.as_object_mut(), more) {
        attribute.extend(more);
    }
    attribute
}
