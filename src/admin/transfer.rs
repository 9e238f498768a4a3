//! `GET /admin/config/export` and `POST /admin/config/import`: what the admin surface owns, told whole and put in whole.
//!
//! Secrets are not told: those of providers are masked, and a mask that comes in stands for the secret that is there; keys that an
//! import makes get new ones, which are in its answer and nowhere else. Whoever asks needs to be allowed what it would take to read or
//! make each list one by one.

use super::reply;
use crate::config::Section;
use crate::edge::officer::{Officer, Told};
use crate::edge::{Doors, body, reject};
use crate::governance::objects::{Kind, MOST_ON_A_PAGE, Object};
use crate::governance::transfer::{self, ACCOUNTS, KEYS, Outcome, Step, Wanted};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::{Action, Resource, Scope, name};
use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    include: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    #[serde(default)]
    prune: bool,
    #[serde(default)]
    dry_run: bool,
}

/// Each list, and what it is to permissions.
const LISTS: [(&str, Resource); 5] = [
    ("providers", Resource::Providers),
    ("models", Resource::Routes),
    ("prices", Resource::Providers),
    (ACCOUNTS, Resource::Accounts),
    (KEYS, Resource::Keys),
];

pub(super) async fn export(
    State(doors): State<Arc<Doors>>,
    officer: Extension<Officer>,
    Query(wish): Query<Export>,
) -> Response {
    reply(exported(&doors, &officer, wish.include.as_deref()).await)
}

async fn exported(doors: &Doors, officer: &Officer, include: Option<&str>) -> Result<Value, Error> {
    let with_file = match include {
        None => false,
        Some("file") => true,
        Some(_) => return Err(Error::invalid("include", "`include` is `file`, or is not there.")),
    };
    let mut document = Map::new();
    for (list, resource) in LISTS {
        needs(officer, list, resource, Action::Read)?;
        let section = Section::ALL.into_iter().find(|section| section.as_str() == list);
        let objects = match section {
            Some(section) => doors.definitions.page(section, "", usize::MAX).await?.0,
            None => every(doors, if list == ACCOUNTS { Kind::Account } else { Kind::Key }).await?,
        };
        let own = objects.into_iter().filter(|one| one.version > 0 || with_file);
        // What is in force is meant: one that the file hides is the file's.
        let own = own.filter(|one| !one.shadowed);
        document.insert(list.to_owned(), own.map(|one| Value::Object(settings(one))).collect());
    }
    Ok(Value::Object(document))
}

fn settings(object: Object) -> Map<String, Value> {
    let mut settings = object.settings;
    if object.version == 0 {
        // What stands in for the key of one in the file.
        settings.remove("key");
    }
    settings
}

async fn every(doors: &Doors, kind: Kind) -> Result<Vec<Object>, Error> {
    let (mut all, mut after, mut more) = (Vec::new(), String::new(), true);
    while more {
        let page;
        (page, more) = doors.objects.page(kind, &after, MOST_ON_A_PAGE).await?;
        after = page.last().map(|last| last.name().to_owned()).unwrap_or_default();
        all.extend(page);
    }
    Ok(all)
}

pub(super) async fn import(
    State(doors): State<Arc<Doors>>,
    officer: Extension<Officer>,
    Query(wish): Query<Import>,
    request: Request,
) -> Response {
    imported(&doors, &officer, &wish, request).await.unwrap_or_else(|error| reject::reply(&error))
}

async fn imported(doors: &Doors, officer: &Officer, wish: &Import, request: Request) -> Result<Response, Error> {
    let body = body::read(&doors.edge, request).await?;
    let document: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| Error::new(ErrorKind::InvalidRequest, format!("The body is no JSON object: {error}.")))?;
    for (list, resource) in LISTS.into_iter().filter(|(list, _)| document.contains_key(*list)) {
        let deletes = wish.prune.then_some(Action::Delete);
        for action in [Action::Create, Action::Update].into_iter().chain(deletes) {
            needs(officer, list, resource, action)?;
        }
    }
    let wanted = Wanted { prune: wish.prune, dry_run: wish.dry_run };
    let now_ms = doors.pipeline.cache().now_ms();
    let steps = transfer::import(&doors.database, &doors.definitions, &doors.objects, document, wanted, now_ms).await?;
    let changes: Vec<Value> = steps.iter().map(shown).collect();
    let mut response = reply(Ok(json!({"dry_run": wish.dry_run, "changes": changes})));
    // Secrets of new keys may be in it.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(Told {
        target: "config".to_owned(),
        detail: detail(&steps, wish).to_string(),
        dry_run: wish.dry_run,
    });
    Ok(response)
}

fn shown(step: &Step) -> Value {
    let mut shown = json!({"kind": step.kind, "name": step.name, "outcome": step.outcome.as_str()});
    if let Some(secret) = &step.secret {
        shown["key"] = secret.expose().into();
    }
    shown
}

/// What the audit log is told: whatever became another.
fn detail(steps: &[Step], wish: &Import) -> Value {
    let of = |outcome: Outcome| -> Vec<String> {
        let all = steps.iter().filter(|step| step.outcome == outcome);
        all.map(|step| format!("{}/{}", step.kind, step.name)).collect()
    };
    let (created, changed, deleted) = (of(Outcome::Created), of(Outcome::Changed), of(Outcome::Deleted));
    json!({"prune": wish.prune, "created": created, "changed": changed, "deleted": deleted})
}

/// May an officer do that with each of a list?
fn needs(officer: &Officer, list: &str, resource: Resource, action: Action) -> Result<(), Error> {
    if officer.scope_of(resource, action) == Scope::Everything {
        return Ok(());
    }
    let needed = name(resource, action);
    let message = format!("The {} may not: the list `{list}` takes `{needed}` for everything.", officer.name);
    Err(Error::new(ErrorKind::Forbidden, message).with_code("forbidden"))
}
