//! `/scim/v2/…`: an identity provider tells who there is, and in which groups, by SCIM 2.0 (RFC 7643, RFC 7644). It takes a token with the
//! permissions of `people`. Who is made inactive, or goes, is signed out at once, and loses the tokens that they made. What a change gives
//! to somebody, or takes from them, whoever makes it has to have: see `Access::may_tell`.

mod schemas;

use super::{Route, guarded};
use crate::edge::officer::{Guard, Officer, Reach};
use crate::edge::{Doors, body};
use crate::governance::people::filter::Filter;
use crate::governance::people::patch::{self, Patch};
use crate::governance::people::{Kind, Person, not_found, resource, written};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::{Action, Resource};
use axum::Extension;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Resources that a list has, where the request does not say, and at most.
const LISTED: usize = 100;
const MOST_LISTED: usize = 1_000;
const KIND: &str = "application/scim+json";

/// Every route of SCIM, and what it takes.
pub(super) fn routes() -> Vec<Route> {
    use Action::{Create, Delete, Read, Update};
    let on = |action| Guard::Permission(Resource::People, action, Reach::Whole);
    vec![
        guarded(Method::GET, "/scim/v2/Users", on(Read), |doors, query| list(Kind::User, doors, query)),
        guarded(Method::POST, "/scim/v2/Users", on(Create), |doors, by, request| add(Kind::User, doors, by, request)),
        guarded(Method::GET, "/scim/v2/Users/{id}", on(Read), |doors, id, headers| one(Kind::User, doors, id, headers)),
        guarded(Method::PUT, "/scim/v2/Users/{id}", on(Update), |doors, by, id, request| {
            put(Kind::User, doors, by, id, request)
        }),
        guarded(Method::PATCH, "/scim/v2/Users/{id}", on(Update), |doors, by, id, request| {
            change(Kind::User, doors, by, id, request)
        }),
        guarded(Method::DELETE, "/scim/v2/Users/{id}", on(Delete), |doors, by, id, headers| {
            remove(Kind::User, doors, by, id, headers)
        }),
        guarded(Method::GET, "/scim/v2/Groups", on(Read), |doors, query| list(Kind::Group, doors, query)),
        guarded(Method::POST, "/scim/v2/Groups", on(Create), |doors, by, request| add(Kind::Group, doors, by, request)),
        guarded(Method::GET, "/scim/v2/Groups/{id}", on(Read), |doors, id, headers| {
            one(Kind::Group, doors, id, headers)
        }),
        guarded(Method::PUT, "/scim/v2/Groups/{id}", on(Update), |doors, by, id, request| {
            put(Kind::Group, doors, by, id, request)
        }),
        guarded(Method::PATCH, "/scim/v2/Groups/{id}", on(Update), |doors, by, id, request| {
            change(Kind::Group, doors, by, id, request)
        }),
        guarded(Method::DELETE, "/scim/v2/Groups/{id}", on(Delete), |doors, by, id, headers| {
            remove(Kind::Group, doors, by, id, headers)
        }),
        guarded(Method::GET, "/scim/v2/ServiceProviderConfig", on(Read), schemas::service),
        guarded(Method::GET, "/scim/v2/ResourceTypes", on(Read), schemas::types),
        guarded(Method::GET, "/scim/v2/ResourceTypes/{id}", on(Read), schemas::one_type),
        guarded(Method::GET, "/scim/v2/Schemas", on(Read), schemas::schemas),
        guarded(Method::GET, "/scim/v2/Schemas/{id}", on(Read), schemas::one_schema),
    ]
}

type AllDoors = State<Arc<Doors>>;
/// Who asks.
type By = Extension<Officer>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    filter: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
}

async fn list(kind: Kind, State(doors): AllDoors, Query(wish): Query<Wish>) -> Response {
    let filter = match wish.filter.as_deref().map(Filter::read).transpose() {
        Ok(filter) => filter,
        Err(error) => return refused(&error),
    };
    let chosen =
        |value: &Map<String, Value>| filter.as_ref().is_none_or(|filter| filter.fits(&Value::Object(value.clone())));
    let all = doors.access.people.all(kind);
    let found: Vec<Map<String, Value>> = all.iter().map(|one| shown(&doors, one)).filter(chosen).collect();
    // What is less than one is one; less than none is none (RFC 7644, section 3.4.2.4).
    let start = usize::try_from(wish.start_index.unwrap_or(1)).unwrap_or(1).max(1);
    let count = wish.count.map_or(LISTED, |count| usize::try_from(count).unwrap_or(0)).min(MOST_LISTED);
    let page =
        found.iter().skip(start - 1).take(count).map(|one| {
            Value::Object(picked(one.clone(), wish.attributes.as_deref(), wish.excluded_attributes.as_deref()))
        });
    let page: Vec<Value> = page.collect();
    reply(
        StatusCode::OK,
        &json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": found.len(),
            "startIndex": start,
            "itemsPerPage": page.len(),
            "Resources": page,
        }),
    )
}

async fn one(kind: Kind, State(doors): AllDoors, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match doors.access.people.get(kind, &id) {
        Some(one) if versions(&headers, IF_NONE_MATCH.as_str()).is_some_and(|known| known.contains(&one.version)) => {
            StatusCode::NOT_MODIFIED.into_response()
        }
        Some(one) => whole(&doors, StatusCode::OK, &one),
        None => refused(&not_found(kind, &id)),
    }
}

async fn add(kind: Kind, State(doors): AllDoors, by: By, request: Request) -> Response {
    let added = async {
        let said = resource::read(kind, read(&doors, request).await?)?;
        let now_ms = doors.pipeline.cache().now_ms();
        let new = Person { id: String::new(), kind, said, version: 0, created_ms: now_ms, changed_ms: now_ms };
        doors.access.may_tell(&by, None, Some(&new))?;
        let one = doors.access.people.add(kind, new.said, now_ms).await?;
        if kind == Kind::User && !one.is_active() {
            doors.access.end_all_of(&one.identities()).await?;
        }
        Ok(one)
    };
    match added.await {
        Ok(one) => whole(&doors, StatusCode::CREATED, &one),
        Err(error) => refused(&error),
    }
}

async fn put(kind: Kind, doors: AllDoors, by: By, Path(id): Path<String>, request: Request) -> Response {
    let versions = versions(request.headers(), IF_MATCH.as_str());
    let said = match read(&doors, request).await.and_then(|value| resource::read(kind, value)) {
        Ok(said) => said,
        Err(error) => return refused(&error),
    };
    changed((kind, &id), &doors, &by, versions, |_| Ok(said)).await
}

async fn change(kind: Kind, doors: AllDoors, by: By, Path(id): Path<String>, request: Request) -> Response {
    let versions = versions(request.headers(), IF_MATCH.as_str());
    let unclear = |error: serde_json::Error| {
        let message = format!("The changes cannot be read: {error}; expected {{\"Operations\": [{{\"op\": …}}]}}.");
        Error::new(ErrorKind::InvalidRequest, message).with_code("invalidSyntax")
    };
    let patch: Patch =
        match read(&doors, request).await.and_then(|value| serde_json::from_value(value).map_err(unclear)) {
            Ok(patch) => patch,
            Err(error) => return refused(&error),
        };
    changed((kind, &id), &doors, &by, versions, |before| patch::apply(kind, &before.said, patch)).await
}

/// Changes one, and has those go who may not come in any more.
async fn changed(
    (kind, id): (Kind, &str),
    doors: &Doors,
    by: &Officer,
    versions: Option<Vec<u64>>,
    change: impl FnOnce(&Person) -> Result<Map<String, Value>, Error>,
) -> Response {
    let now_ms = doors.pipeline.cache().now_ms();
    let before = doors.access.people.get(kind, id);
    let change = |before: &Person| {
        let after = Person { said: change(before)?, ..before.clone() };
        doors.access.may_tell(by, Some(before), Some(&after))?;
        Ok(after.said)
    };
    let done = async {
        let after = doors.access.people.change((kind, id), versions.as_deref(), now_ms, change).await?;
        if kind == Kind::User && !after.is_active() {
            let mut names = after.identities();
            names.extend(before.iter().flat_map(|one| one.identities()));
            doors.access.end_all_of(&names).await?;
        }
        Ok(after)
    };
    match done.await {
        Ok(after) => whole(doors, StatusCode::OK, &after),
        Err(error) => refused(&error),
    }
}

async fn remove(kind: Kind, State(doors): AllDoors, by: By, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match removed(kind, &doors, &by, &id, &headers).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&error),
    }
}

async fn removed(kind: Kind, doors: &Doors, by: &Officer, id: &str, headers: &HeaderMap) -> Result<(), Error> {
    let (versions, now_ms) = (versions(headers, IF_MATCH.as_str()), doors.pipeline.cache().now_ms());
    let may = |before: &Person| doors.access.may_tell(by, Some(before), None);
    let gone = doors.access.people.remove((kind, id), versions.as_deref(), now_ms, may).await?;
    if kind == Kind::User { doors.access.end_all_of(&gone.identities()).await } else { Ok(()) }
}

async fn read(doors: &Doors, request: Request) -> Result<Value, Error> {
    let body = body::read(&doors.edge, request).await?;
    serde_json::from_slice(&body).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("The body is no JSON: {error}.")).with_code("invalidSyntax")
    })
}

/// Versions in a header of conditions. `None`: there is no such header, or any version is meant.
fn versions(headers: &HeaderMap, name: &str) -> Option<Vec<u64>> {
    let text = headers.get(name)?.to_str().unwrap_or_default();
    if text.trim() == "*" {
        return None;
    }
    let version = |one: &str| one.trim().trim_start_matches("W/").trim_matches('"').parse().ok();
    Some(text.split(',').filter_map(version).collect())
}

/// The resource, with its place, and what others say of it.
fn shown(doors: &Doors, one: &Person) -> Map<String, Value> {
    let mut all = written(one);
    let folder = if one.kind == Kind::User { "Users" } else { "Groups" };
    let place = format!("/scim/v2/{folder}/{}", one.id);
    if let Some(meta) = all.get_mut("meta") {
        meta["location"] = json!(place);
    }
    if one.kind == Kind::User {
        let groups = doors.access.people.groups_with(&one.id);
        let groups = groups.iter().map(|(id, name)| json!({"value": id, "display": name, "type": "direct"}));
        all.insert("groups".to_owned(), groups.collect());
    } else if let Some(Value::Array(members)) = all.get_mut("members") {
        for member in members {
            let id = member["value"].as_str().unwrap_or_default().to_owned();
            let kind = if doors.access.people.get(Kind::User, &id).is_some() { Kind::User } else { Kind::Group };
            let name = doors.access.people.get(kind, &id).map(|one| one.name().to_owned());
            member["display"] = json!(name);
            member["type"] = json!(if kind == Kind::User { "User" } else { "Group" });
            member["$ref"] = json!(format!("/scim/v2/{}/{id}", if kind == Kind::User { "Users" } else { "Groups" }));
        }
    }
    all
}

/// Only the attributes that are asked for; `id` and `schemas` always.
fn picked(mut all: Map<String, Value>, only: Option<&str>, without: Option<&str>) -> Map<String, Value> {
    let names = |text: &str| -> Vec<String> {
        text.split(',')
            .map(|name| resource::spelt(name.trim()))
            .map(|name| name.split('.').next().unwrap_or_default().to_owned())
            .collect()
    };
    let always = ["id", "schemas"];
    if let Some(only) = only.map(names) {
        all.retain(|name, _| always.contains(&name.as_str()) || only.contains(name));
    } else if let Some(without) = without.map(names) {
        all.retain(|name, _| always.contains(&name.as_str()) || !without.contains(name));
    }
    all
}

fn whole(doors: &Doors, status: StatusCode, one: &Person) -> Response {
    let all = shown(doors, one);
    let place = all["meta"]["location"].as_str().unwrap_or_default().to_owned();
    let mut response = reply(status, &Value::Object(all));
    let headers = response.headers_mut();
    if let Ok(version) = HeaderValue::from_str(&format!("W/\"{}\"", one.version)) {
        headers.insert(ETAG, version);
    }
    if let Ok(place) = HeaderValue::from_str(&place) {
        headers.insert(LOCATION, place);
    }
    response
}

fn reply(status: StatusCode, value: &Value) -> Response {
    (status, [(CONTENT_TYPE, KIND)], value.to_string()).into_response()
}

/// The error as SCIM tells it (RFC 7644, section 3.12).
pub(super) fn refused(error: &Error) -> Response {
    let status = match error.code {
        Some("uniqueness") => 409,
        Some("precondition") => 412,
        _ => error.status(),
    };
    let known =
        ["invalidFilter", "invalidSyntax", "invalidPath", "noTarget", "invalidValue", "mutability", "uniqueness"];
    let mut told = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": status.to_string(),
        "detail": error.message,
    });
    if let Some(code) = error.code.filter(|code| known.contains(code)) {
        told["scimType"] = json!(code);
    }
    let mut response = reply(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &told);
    if error.kind == ErrorKind::Unauthenticated {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
