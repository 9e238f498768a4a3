//! `GET /admin/roles`: what each role allows. `GET /admin/self`: who asks, and what they may.

use super::reply;
use crate::edge::Doors;
use crate::edge::officer::Officer;
use crate::types::permission::{BUILT_IN_ROLES, Scope};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn list(State(doors): State<Arc<Doors>>) -> Response {
    let rules = doors.access.rules();
    let shown = rules.roles().iter().map(|(name, permissions)| {
        json!({"name": name, "built_in": BUILT_IN_ROLES.contains(&name.as_str()), "allow": permissions.names()})
    });
    reply(Ok(json!({"roles": shown.collect::<Value>()})))
}

pub(super) async fn oneself(Extension(officer): Extension<Officer>) -> Response {
    let grants = officer
        .grants
        .iter()
        .map(|grant| json!({"roles": grant.roles, "allow": grant.permissions.names(), "scope": scope(&grant.scope)}));
    reply(Ok(json!({
        "name": officer.name,
        "roles": officer.roles(),
        // What is allowed somewhere, and as far as anything reaches; what reaches how far is told by the grants alone.
        "allow": officer.permissions().names(),
        "scope": scope(&officer.scope()),
        "grants": grants.collect::<Value>(),
    })))
}

/// Null for everything, else the accounts.
pub(super) fn scope(scope: &Scope) -> Value {
    match scope {
        Scope::Everything => Value::Null,
        Scope::Accounts(accounts) => json!(accounts.as_ref()),
    }
}
