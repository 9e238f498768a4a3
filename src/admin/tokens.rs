//! `/admin/tokens`: tokens of the admin surface, for programs. A token is shown once, when it is made; nobody can make one that may more
//! than they may themselves, that ends later than what they show, or see one that reaches further. What a token may when it is shown is
//! told in `governance::access`.

use super::reply;
use super::roles::scope;
use crate::edge::officer::{AskedBy, Officer};
use crate::edge::{Doors, body, reject};
use crate::governance::{Maker, NewToken, Token};
use crate::types::audit::AuditEvent;
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::{Action, Permissions, Resource, Scope};
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
/// The most roles of a token.
const MOST_ROLES: usize = 32;
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
    let (all, rules) = (doors.access.tokens.all(), doors.access.rules());
    let reached = officer.scope_of(Resource::Tokens, Action::Read);
    let seen = all.iter().filter(|token| rules.is_within(&token.scope, &reached));
    reply(Ok(json!({"tokens": seen.map(|token| shown(token)).collect::<Value>()})))
}

pub(super) async fn make(
    State(doors): State<Arc<Doors>>,
    Extension(officer): Extension<Officer>,
    Extension(asked): Extension<AskedBy>,
    request: Request,
) -> Response {
    match made(&doors, &officer, &asked, request).await {
        Ok((text, token)) => {
            let mut told = shown(&token);
            told["token"] = json!(text);
            let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            (StatusCode::CREATED, headers, told.to_string()).into_response()
        }
        Err(error) => reject::reply(&error),
    }
}

async fn made(
    doors: &Doors,
    officer: &Officer,
    asked: &AskedBy,
    request: Request,
) -> Result<(String, Arc<Token>), Error> {
    let body = body::read(&doors.edge, request).await?;
    let wish: Wish = serde_json::from_slice(&body).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("What to make cannot be read: {error}; {EXPECTED}."))
    })?;
    let now_ms = doors.pipeline.cache().now_ms();
    let new = checked(doors, officer, wish, now_ms)?;
    let (text, token) = doors.access.tokens.make(new, now_ms).await?;
    let detail =
        json!({"name": token.name, "roles": token.roles, "scope": scope(&token.scope), "expires_ms": token.expires_ms});
    told(doors, asked, "tokens.made", &token, detail.to_string());
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
    if wish.roles.len() > MOST_ROLES {
        return Err(Error::invalid("roles", format!("`roles` has at most {MOST_ROLES} of them.")));
    }
    let scope = scope_for(doors, officer, &wish)?;
    Ok(NewToken {
        expires_ms: ends(officer, wish.expires.as_deref(), now_ms)?,
        name: wish.name,
        roles: wish.roles,
        scope,
        created_by: officer.name.clone(),
        maker: Maker::of(officer),
        identities: officer.identities.clone(),
    })
}

/// How far the token is to reach, if all that its roles allow can be had so far from that officer. Where nobody says, it is as far as
/// that goes.
fn scope_for(doors: &Doors, officer: &Officer, wish: &Wish) -> Result<Scope, Error> {
    let rules = doors.access.rules();
    let permissions = rules.permissions(&wish.roles);
    let accounts = match &wish.scope {
        None => None,
        Some(Accounts::One(account)) => Some(std::slice::from_ref(account)),
        Some(Accounts::Several(accounts)) => Some(accounts.as_slice()),
    };
    let scope = match accounts {
        // Making a token is among what they have to be allowed there.
        None => {
            rules.farthest(&officer.grants, permissions.and(Permissions::of(&[Resource::Tokens], &[Action::Create])))
        }
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
    if let Some(first) = permissions.without(officer.permissions()).names().first() {
        return Err(beyond(
            officer,
            &format!("these roles have permissions that the {} has not: `{first}`", officer.name),
        ));
    }
    let lacking = rules.lacking(&officer.grants, permissions, &scope).names();
    let makes = officer.scope_of(Resource::Tokens, Action::Create);
    if scope == Scope::Accounts(Arc::default()) || !lacking.is_empty() || !rules.is_within(&scope, &makes) {
        let first = lacking.first().map_or("tokens:create", String::as_str);
        return Err(beyond(officer, &format!("the scope reaches further than their permission `{first}`")));
    }
    Ok(scope)
}

/// When the token is to end: no later than what the officer shows. Zero is never.
fn ends(officer: &Officer, wish: Option<&str>, now_ms: u64) -> Result<u64, Error> {
    let Some(text) = wish else { return Ok(officer.expires_ms) };
    let at = text.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
    let wrong = || Error::invalid("expires", "`expires` is a time to come, as in `2027-01-31T00:00:00Z`.");
    let at = at.filter(|at| *at > now_ms).ok_or_else(wrong)?;
    if officer.expires_ms > 0 && at > officer.expires_ms {
        let end = crate::governance::people::resource::time(officer.expires_ms);
        return Err(beyond(officer, &format!("the {} ends at {end} itself", officer.name)));
    }
    Ok(at)
}

fn beyond(officer: &Officer, why: &str) -> Error {
    let message = format!("The {} cannot give more than it has: {why}.", officer.name);
    Error::new(ErrorKind::Forbidden, message).with_code("forbidden")
}

pub(super) async fn take_away(
    State(doors): State<Arc<Doors>>,
    Extension(officer): Extension<Officer>,
    Extension(asked): Extension<AskedBy>,
    Path(id): Path<String>,
) -> Response {
    let reached = officer.scope_of(Resource::Tokens, Action::Delete);
    // One that reaches further is none that there is.
    let found = doors.access.tokens.by_id(&id).filter(|token| doors.access.rules().is_within(&token.scope, &reached));
    let gone = match found {
        Some(token) => doors.access.tokens.take_away(&token.id).await,
        None => Ok(Vec::new()),
    };
    match gone {
        Ok(gone) if gone.is_empty() => {
            let id: String = id.chars().take(64).collect();
            let error = Error::new(ErrorKind::NotFound, format!("There is no token `{id}`."));
            reject::reply(&error.with_code("token_not_found"))
        }
        Ok(gone) => {
            gone.iter().for_each(|token| told(&doors, &asked, "tokens.deleted", token, String::new()));
            let with: Vec<&str> = gone.iter().skip(1).map(|token| token.id.as_str()).collect();
            reply(Ok(json!({"id": id, "deleted": true, "made_by_it": with})))
        }
        Err(error) => reject::reply(&error),
    }
}

fn told(doors: &Doors, asked: &AskedBy, action: &str, token: &Token, detail: String) {
    doors.audit.record(AuditEvent { detail, ..asked.event(action, &token.id) });
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
