//! `/admin/tokens`: tokens of the admin surface, for programs. A token is shown once, when it is made; nobody can make one that may more
//! than they may themselves, or see one that reaches further.

use super::reply;
use super::roles::scope;
use crate::edge::officer::Officer;
use crate::edge::{Doors, body, reject};
use crate::governance::{NewToken, Token};
use crate::types::audit::AuditEvent;
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::Scope;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest name, in bytes.
const NAME_BYTES: usize = 128;
const EXPECTED: &str = r#"expected {"name": "ci", "roles": ["viewer"]} and, where wanted, "scope" (an account, or several) and "expires" ("2027-01-31T00:00:00Z")"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
    roles: Vec<String>,
    scope: Option<Accounts>,
    expires: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Accounts {
    One(String),
    Several(Vec<String>),
}

pub(super) async fn list(State(doors): State<Arc<Doors>>, Extension(officer): Extension<Officer>) -> Response {
    let all = doors.access.tokens.all();
    let seen = all.iter().filter(|token| doors.access.rules().is_within(&token.scope, &officer.scope));
    reply(Ok(json!({"tokens": seen.map(|token| shown(token)).collect::<Value>()})))
}

pub(super) async fn make(
    State(doors): State<Arc<Doors>>,
    Extension(officer): Extension<Officer>,
    request: Request,
) -> Response {
    match made(&doors, &officer, request).await {
        Ok((text, token)) => {
            let mut told = shown(&token);
            told["token"] = json!(text);
            let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            (StatusCode::CREATED, headers, told.to_string()).into_response()
        }
        Err(error) => reject::reply(&error),
    }
}

async fn made(doors: &Doors, officer: &Officer, request: Request) -> Result<(String, Arc<Token>), Error> {
    let body = body::read(&doors.edge, request).await?;
    let wish: Wish = serde_json::from_slice(&body).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("What to make cannot be read: {error}; {EXPECTED}."))
    })?;
    let now_ms = doors.pipeline.cache().now_ms();
    let new = checked(doors, officer, wish, now_ms)?;
    let (text, token) = doors.access.tokens.make(new, now_ms).await?;
    let detail =
        json!({"name": token.name, "roles": token.roles, "scope": scope(&token.scope), "expires_ms": token.expires_ms});
    told(doors, officer, "tokens.made", &token, detail.to_string());
    Ok((text, token))
}

/// What is wished for, if it can be had from that officer.
fn checked(doors: &Doors, officer: &Officer, wish: Wish, now_ms: u64) -> Result<NewToken, Error> {
    let rules = doors.access.rules();
    if !(1..=NAME_BYTES).contains(&wish.name.trim().len()) || wish.name.chars().any(char::is_control) {
        return Err(Error::invalid("name", format!("`name` is text of 1 to {NAME_BYTES} bytes.")));
    }
    if let Some(role) = wish.roles.iter().find(|role| !rules.knows_role(role)) {
        let role: String = role.chars().take(60).collect();
        return Err(Error::invalid("roles", format!("There is no role `{role}`; GET /admin/roles lists them.")));
    }
    if wish.roles.is_empty() {
        return Err(Error::invalid("roles", "A token without a role could do nothing; GET /admin/roles lists them."));
    }
    let accounts = match wish.scope {
        None => None,
        Some(Accounts::One(account)) => Some(vec![account]),
        Some(Accounts::Several(accounts)) => Some(accounts),
    };
    let scope = match accounts {
        None => officer.scope.clone(),
        Some(accounts) => {
            if accounts.is_empty() || accounts.len() > 100 {
                return Err(Error::invalid("scope", "`scope` is one account, or 1 to 100 of them."));
            }
            if let Some(account) = accounts.iter().find(|one| rules.above(one).is_none()) {
                let account: String = account.chars().take(60).collect();
                return Err(Error::invalid("scope", format!("There is no account `{account}`.")));
            }
            Scope::Accounts(accounts.into())
        }
    };
    let lacking = rules.permissions(&wish.roles).without(officer.permissions).names();
    if let Some(first) = lacking.first() {
        return Err(beyond(
            officer,
            &format!("these roles have permissions that the {} has not: `{first}`", officer.name),
        ));
    }
    if !rules.is_within(&scope, &officer.scope) {
        return Err(beyond(officer, &format!("the scope reaches further than {}", officer.scope.told())));
    }
    let expires_ms = match wish.expires {
        None => 0,
        Some(text) => {
            let at = text.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
            let wrong = || Error::invalid("expires", "`expires` is a time to come, as in `2027-01-31T00:00:00Z`.");
            at.filter(|at| *at > now_ms).ok_or_else(wrong)?
        }
    };
    Ok(NewToken {
        name: wish.name,
        roles: wish.roles,
        scope,
        expires_ms,
        created_by: officer.name.clone(),
        identities: officer.identities.clone(),
    })
}

fn beyond(officer: &Officer, why: &str) -> Error {
    let message = format!("The {} cannot give more than it has: {why}.", officer.name);
    Error::new(ErrorKind::Forbidden, message).with_code("forbidden")
}

pub(super) async fn take_away(
    State(doors): State<Arc<Doors>>,
    Extension(officer): Extension<Officer>,
    Path(id): Path<String>,
) -> Response {
    let found = doors.access.tokens.all().into_iter().find(|token| token.id == id);
    // One that reaches further is none that there is.
    let found = found.filter(|token| doors.access.rules().is_within(&token.scope, &officer.scope));
    let gone = match found {
        Some(token) => doors.access.tokens.take_away(&token.id).await,
        None => Ok(None),
    };
    match gone {
        Ok(Some(token)) => {
            told(&doors, &officer, "tokens.deleted", &token, String::new());
            reply(Ok(json!({"id": token.id, "deleted": true})))
        }
        Ok(None) => {
            let id: String = id.chars().take(64).collect();
            let error = Error::new(ErrorKind::NotFound, format!("There is no token `{id}`."));
            reject::reply(&error.with_code("token_not_found"))
        }
        Err(error) => reject::reply(&error),
    }
}

fn told(doors: &Doors, officer: &Officer, action: &str, token: &Token, detail: String) {
    doors.audit.record(AuditEvent {
        actor: officer.name.clone(),
        action: action.to_owned(),
        target: token.id.clone(),
        detail,
        ..AuditEvent::default()
    });
}

fn shown(token: &Token) -> Value {
    let time = |ms: u64| crate::governance::people::resource::time(ms);
    json!({
        "id": token.id,
        "name": token.name,
        "prefix": token.prefix,
        "roles": token.roles,
        "scope": scope(&token.scope),
        "created_by": token.created_by,
        "created": time(token.created_ms),
        "expires": Some(token.expires_ms).filter(|at| *at > 0).map(time),
        "last_used": token.used_ms().map(time),
    })
}
