//! Accounts and virtual keys: listed, made, changed, rotated, taken away.
//!
//! What is changed has a version, told as `ETag`; with `If-Match` nothing is changed that somebody else has changed since. With
//! `?dry_run=true` nothing is changed at all, and what would be is told.

use super::reply;
use crate::config::Measure;
use crate::edge::officer::{Officer, Told};
use crate::edge::{Doors, body, reject};
use crate::governance::objects::{Condition, Kind, LONGEST_OVERLAP, MOST_ON_A_PAGE, Object};
use crate::governance::{OwnStanding, Standing};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::{Action, Resource, Scope};
use crate::types::secret::Secret;
use axum::Extension;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

const PAGE: u64 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    pub(super) limit: Option<u64>,
    pub(super) cursor: Option<String>,
    #[serde(default)]
    pub(super) dry_run: bool,
}

impl Wish {
    /// How many are on a page.
    pub(super) fn page(&self) -> Result<u64, Error> {
        match self.limit.unwrap_or(PAGE) {
            limit if (1..=MOST_ON_A_PAGE).contains(&limit) => Ok(limit),
            limit => Err(Error::invalid("limit", format!("`limit` is from 1 to {MOST_ON_A_PAGE}; got {limit}."))),
        }
    }
}

pub(super) async fn accounts(
    State(doors): State<Arc<Doors>>,
    officer: Extension<Officer>,
    wish: Query<Wish>,
    request: Request,
) -> Response {
    all((&doors, &officer.0), Kind::Account, wish.0, request).await
}

pub(super) async fn keys(
    State(doors): State<Arc<Doors>>,
    officer: Extension<Officer>,
    wish: Query<Wish>,
    request: Request,
) -> Response {
    all((&doors, &officer.0), Kind::Key, wish.0, request).await
}

pub(super) async fn account(
    State(doors): State<Arc<Doors>>,
    officer: Extension<Officer>,
    name: Path<String>,
    wish: Query<Wish>,
    request: Request,
) -> Response {
    one((&doors, &officer.0), Kind::Account, &name.0, wish.0, request).await
}

pub(super) async fn key(
    State(doors): State<Arc<Doors>>,
    officer: Extension<Officer>,
    name: Path<String>,
    wish: Query<Wish>,
    request: Request,
) -> Response {
    one((&doors, &officer.0), Kind::Key, &name.0, wish.0, request).await
}

/// Who asks, and where.
type By<'r> = (&'r Arc<Doors>, &'r Officer);

/// `GET`: a page. `POST`: a new one.
async fn all(by: By<'_>, kind: Kind, wish: Wish, request: Request) -> Response {
    let result = match *request.method() {
        Method::POST => make(by, kind, &wish, request).await,
        _ => list(by, kind, &wish).await,
    };
    result.unwrap_or_else(|error| reject::reply(&error))
}

async fn list((doors, officer): By<'_>, kind: Kind, wish: &Wish) -> Result<Response, Error> {
    let limit = wish.page()?;
    let mut after = wish.cursor.clone().unwrap_or_default();
    let mut own: Vec<Object> = Vec::new();
    // Nothing tells of what is not theirs, a cursor neither.
    let mut more = true;
    while more && (own.len() as u64) <= limit {
        let objects;
        (objects, more) = doors.objects.page(kind, &after, MOST_ON_A_PAGE.min(limit + 1)).await?;
        after = objects.last().map(|last| last.name().to_owned()).unwrap_or_default();
        own.extend(objects.into_iter().filter(|object| reaches(doors, (officer, Action::Read), kind, object)));
    }
    let is_more = own.len() as u64 > limit;
    own.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let cursor = own.last().filter(|_| is_more).map(|last| last.name().to_owned());
    let data: Vec<Value> = own.iter().map(|object| shown(doors, kind, object)).collect();
    Ok(reply(Ok(json!({"object": "list", "data": data, "next_cursor": cursor}))))
}

async fn make((doors, officer): By<'_>, kind: Kind, wish: &Wish, request: Request) -> Result<Response, Error> {
    let body = read(doors, request).await?;
    stays_within(doors, (officer, Action::Create), kind, &body)?;
    let now_ms = doors.pipeline.cache().now_ms();
    let made = match kind {
        Kind::Account => doors.objects.create_account(&body, wish.dry_run, now_ms).await.map(|object| (object, None)),
        Kind::Key => doors.objects.create_key(&body, wish.dry_run, now_ms).await,
    };
    let (object, secret) = made?;
    let response = answered(doors, kind, &object, secret.as_ref(), StatusCode::CREATED);
    Ok(told(response, object.name(), wish, &json!({"settings": object.settings})))
}

/// `GET`, `PATCH`, `DELETE`
async fn one(by: By<'_>, kind: Kind, name: &str, wish: Wish, request: Request) -> Response {
    let result = match *request.method() {
        Method::PATCH => change(by, kind, name, &wish, request).await,
        Method::DELETE => remove(by, kind, name, &wish, request).await,
        _ => look(by, kind, name).await,
    };
    result.unwrap_or_else(|error| reject::reply(&error))
}

async fn look((doors, officer): By<'_>, kind: Kind, name: &str) -> Result<Response, Error> {
    let object = doors.objects.get(kind, name).await?;
    match reaches(doors, (officer, Action::Read), kind, &object) {
        true => Ok(answered(doors, kind, &object, None, StatusCode::OK)),
        false => Err(no_object(kind, name)),
    }
}

async fn change(by: By<'_>, kind: Kind, name: &str, wish: &Wish, request: Request) -> Result<Response, Error> {
    let (doors, officer) = by;
    let condition = condition(request.headers(), wish)?;
    let body = read(doors, request).await?;
    may_change(by, Action::Update, kind, name).await?;
    stays_within(doors, (officer, Action::Update), kind, &body)?;
    let object = doors.objects.patch(kind, name, &body, condition, doors.pipeline.cache().now_ms()).await?;
    let patch = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let response = answered(doors, kind, &object, None, StatusCode::OK);
    Ok(told(response, name, wish, &json!({"patch": patch, "version": object.version})))
}

async fn remove(by: By<'_>, kind: Kind, name: &str, wish: &Wish, request: Request) -> Result<Response, Error> {
    let condition = condition(request.headers(), wish)?;
    may_change(by, Action::Delete, kind, name).await?;
    by.0.objects.delete(kind, name, condition, by.0.pipeline.cache().now_ms()).await?;
    Ok(told(StatusCode::NO_CONTENT.into_response(), name, wish, &json!({})))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// The old secret stays good for so long.
    #[serde(default)]
    overlap_s: u64,
}

/// `POST /admin/keys/{name}/rotate`
pub(super) async fn rotate(
    State(doors): State<Arc<Doors>>,
    officer: Extension<Officer>,
    Path(name): Path<String>,
    Query(wish): Query<Wish>,
    request: Request,
) -> Response {
    rotated((&doors, &officer.0), &name, &wish, request).await.unwrap_or_else(|error| reject::reply(&error))
}

async fn rotated(by: By<'_>, name: &str, wish: &Wish, request: Request) -> Result<Response, Error> {
    let doors = by.0;
    let condition = condition(request.headers(), wish)?;
    let body = read(doors, request).await?;
    may_change(by, Action::Update, Kind::Key, name).await?;
    let rotation: Rotation = match body.is_empty() {
        true => Rotation::default(),
        false => serde_json::from_slice(&body).map_err(|error| {
            let message = format!("The body cannot be read: {error}; expected `{{\"overlap_s\": 3600}}`.");
            Error::new(ErrorKind::InvalidRequest, message)
        })?,
    };
    let overlap = Duration::from_secs(rotation.overlap_s);
    if overlap > LONGEST_OVERLAP {
        let most = LONGEST_OVERLAP.as_secs();
        return Err(Error::invalid(
            "overlap_s",
            format!("`overlap_s` is from 0 to {most}; got {}.", rotation.overlap_s),
        ));
    }
    let (object, secret) = doors.objects.rotate(name, overlap, condition, doors.pipeline.cache().now_ms()).await?;
    let response = answered(doors, Kind::Key, &object, secret.as_ref(), StatusCode::OK);
    Ok(told(response, name, wish, &json!({"overlap_s": rotation.overlap_s})))
}

/// What accounts and keys are to permissions.
fn resource(kind: Kind) -> Resource {
    if kind == Kind::Account { Resource::Accounts } else { Resource::Keys }
}

/// May an officer do that with this object?
fn reaches(doors: &Doors, (officer, action): (&Officer, Action), kind: Kind, object: &Object) -> bool {
    let nearest = if kind == Kind::Account { Some(object.name()) } else { object.account() };
    officer.reaches(resource(kind), action, &doors.pipeline.governor().accounts_from(nearest))
}

/// May an officer change the object of that name so? Who has only some accounts may change what is in them, and not what they are
/// given themselves.
async fn may_change((doors, officer): By<'_>, action: Action, kind: Kind, name: &str) -> Result<(), Error> {
    if officer.scope_of(resource(kind), action) == Scope::Everything {
        return Ok(());
    }
    let object = doors.objects.get(kind, name).await?;
    let is_seen = reaches(doors, (officer, Action::Read), kind, &object);
    if !reaches(doors, (officer, action), kind, &object) {
        return Err(if is_seen {
            beyond(officer, &format!("what becomes of `{name}`"))
        } else {
            no_object(kind, name)
        });
    }
    match officer.reaches(resource(kind), action, &doors.pipeline.governor().accounts_from(object.account())) {
        true => Ok(()),
        false => Err(beyond(officer, &format!("what the account `{name}` itself may"))),
    }
}

/// Does what is to be made or changed stay within what an officer may so? Whose answers a key shares, only those say who may
/// everything.
fn stays_within(doors: &Doors, (officer, action): (&Officer, Action), kind: Kind, body: &[u8]) -> Result<(), Error> {
    if officer.scope_of(resource(kind), action) == Scope::Everything {
        return Ok(());
    }
    let settings: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    if settings.contains_key("tenant") {
        return Err(beyond(officer, "with whom a key shares answers (`tenant`)"));
    }
    let above = if kind == Kind::Account { "in" } else { "account" };
    let may =
        |name: &str| officer.reaches(resource(kind), action, &doors.pipeline.governor().accounts_from(Some(name)));
    match settings.get(above) {
        None if action != Action::Create => Ok(()),
        Some(Value::String(name)) if may(name) => Ok(()),
        _ => Err(beyond(officer, &format!("what is not in one of their accounts (`{above}`)"))),
    }
}

fn beyond(officer: &Officer, what: &str) -> Error {
    let message = format!("The {} may not say {what}.", officer.name);
    Error::new(ErrorKind::Forbidden, message).with_code("forbidden")
}

fn no_object(kind: Kind, name: &str) -> Error {
    let what = if kind == Kind::Account { "account" } else { "key" };
    Error::new(ErrorKind::NotFound, format!("There is no {what} `{name}`.")).with_code("object_not_found")
}

/// The response, with what the audit log is to be told.
pub(super) fn told(mut response: Response, target: &str, wish: &Wish, detail: &Value) -> Response {
    let (target, detail) = (target.to_owned(), detail.to_string());
    response.extensions_mut().insert(Told { target, detail, dry_run: wish.dry_run });
    response
}

pub(super) fn condition(headers: &HeaderMap, wish: &Wish) -> Result<Condition, Error> {
    let dry_run = wish.dry_run;
    let Some(value) = headers.get(IF_MATCH) else { return Ok(Condition { version: None, dry_run }) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(Condition { version: None, dry_run });
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    let version = number.ok_or_else(|| {
        let message = "`If-Match` holds the `ETag` of what is to be changed, as in `\"3\"`.";
        Error::invalid("if-match", message)
    })?;
    Ok(Condition { version: Some(version), dry_run })
}

async fn read(doors: &Doors, request: Request) -> Result<Bytes, Error> {
    body::read(&doors.edge, request).await
}

fn answered(doors: &Doors, kind: Kind, object: &Object, secret: Option<&Secret>, status: StatusCode) -> Response {
    let mut value = shown(doors, kind, object);
    if let (Some(secret), Some(map)) = (secret, value.as_object_mut()) {
        map.insert("key".to_owned(), secret.expose().into());
    }
    tagged(value, object.version, status)
}

/// An object as it is answered, with its version.
pub(super) fn tagged(value: Value, version: u64, status: StatusCode) -> Response {
    let mut response = reply(Ok(value));
    *response.status_mut() = status;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    // A secret may be in it.
    response.headers_mut().insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn shown(doors: &Doors, kind: Kind, object: &Object) -> Value {
    let (governor, now_ms) = (doors.pipeline.governor(), doors.pipeline.cache().now_ms());
    let standing = match kind {
        Kind::Account => governor.account_standing(object.name(), now_ms),
        Kind::Key => governor.key_standing(object.name(), now_ms),
    };
    let mut map = owned(object);
    // What stands in for the key of one in the file.
    map.remove("key");
    map.insert("standing".to_owned(), standing.iter().map(stands).collect());
    Value::Object(map)
}

/// The settings of an object, who owns it, and its version.
pub(super) fn owned(object: &Object) -> Map<String, Value> {
    let mut map = object.settings.clone();
    map.insert("source".to_owned(), object.source.as_str().into());
    if object.version > 0 {
        map.insert("id".to_owned(), object.id.as_str().into());
        map.insert("version".to_owned(), object.version.into());
        map.insert("created_ms".to_owned(), object.created_ms.into());
        map.insert("changed_ms".to_owned(), object.changed_ms.into());
    }
    for (key, text) in [("hint", &object.hint), ("problem", &object.problem)] {
        if !text.is_empty() {
            map.insert(key.to_owned(), text.as_str().into());
        }
    }
    if object.shadowed {
        map.insert("shadowed".to_owned(), true.into());
    }
    map
}

/// What is left of a budget or a limit.
fn stands(own: &OwnStanding) -> Value {
    let Standing { measure, per, most, left, resets } = own.standing;
    #[allow(clippy::cast_precision_loss, reason = "no budget has so many micro-dollars that this matters")]
    let amount = |amount: u64| match measure {
        Measure::Usd => json!(amount as f64 / 1e6),
        _ => json!(amount),
    };
    let mut value = json!({
        "measure": measure.as_str(),
        "limit": amount(most),
        "left": amount(left),
        "used": amount(most.saturating_sub(left)),
    });
    if measure != Measure::Concurrent {
        value["per"] = per.as_str().into();
        value["resets_in_ms"] = u64::try_from(resets.as_millis()).unwrap_or(u64::MAX).into();
    }
    for (key, names) in [("models", &own.models), ("providers", &own.providers)] {
        if !names.is_empty() {
            value[key] = json!(names);
        }
    }
    value
}
