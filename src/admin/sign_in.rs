//! `/admin/auth/…`: people sign in at the identity provider of `admin.sso`, and out again.

use super::reply;
use super::roles::scope;
use crate::edge::officer::{AskedBy, Credential, Officer, cookie, session_cookie};
use crate::edge::{Doors, reject};
use crate::governance::{ComingBack, NotRenewed, Sso};
use crate::types::audit::{AuditEvent, AuditOutcome};
use crate::types::error::{Error, ErrorKind};
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// How long the cookie of a sign-in that is under way holds, in seconds.
const SIGN_IN_S: u64 = 600;

#[derive(Deserialize)]
pub(super) struct Wish {
    /// A path of this gateway where the browser is to go in the end.
    return_to: Option<String>,
}

pub(super) async fn login(State(doors): State<Arc<Doors>>, Query(wish): Query<Wish>) -> Response {
    let sso = match sso(&doors) {
        Ok(sso) => sso,
        Err(error) => return reject::reply(&error),
    };
    match sso.begin(wish.return_to.as_deref(), doors.pipeline.cache().now_ms()).await {
        Ok((url, cookie)) => {
            let cookie = set(sign_in_cookie(sso.is_secure()), &cookie, SIGN_IN_S, sso.is_secure());
            redirect(&url, [cookie])
        }
        Err(error) => reject::reply(&error),
    }
}

pub(super) async fn callback(
    State(doors): State<Arc<Doors>>,
    Query(back): Query<ComingBack>,
    Extension(asked): Extension<AskedBy>,
    headers: HeaderMap,
) -> Response {
    let sso = match sso(&doors) {
        Ok(sso) => sso,
        Err(error) => return reject::reply(&error),
    };
    let mut event = asked.event("session.begin", "");
    let secure = sso.is_secure();
    let over = set(sign_in_cookie(secure), "", 0, secure);
    match signed_in(&doors, &sso, back, &headers, &mut event).await {
        Ok((session, return_to)) => {
            doors.audit.record(event);
            let lasts = sso.settings.session_timeout.as_secs();
            redirect(&return_to, [over, set(session_cookie(secure), &session, lasts, secure)])
        }
        Err(error) => {
            event.outcome = AuditOutcome::Refused;
            event.detail = json!({"code": error.code, "why": error.message}).to_string();
            doors.audit.record(event);
            let mut response = reject::reply(&error);
            add_cookies(&mut response, [over]);
            response
        }
    }
}

async fn signed_in(
    doors: &Doors,
    sso: &Sso,
    back: ComingBack,
    headers: &HeaderMap,
    event: &mut AuditEvent,
) -> Result<(String, String), Error> {
    let now_ms = doors.pipeline.cache().now_ms();
    let cookie = cookie(headers, sign_in_cookie(sso.is_secure()));
    let (who, return_to) = sso.finish(cookie, back, now_ms).await?;
    event.actor = format!("user `{}`", who.name);
    event.actor_id = who.identities.iter().find_map(|one| one.strip_prefix("id:")).unwrap_or_default().to_owned();
    if doors.access.people.bars(&who.identities) {
        let message = "This person is not active any more.";
        return Err(Error::new(ErrorKind::Forbidden, message).with_code("forbidden"));
    }
    let grants = doors.access.grants_of(&who);
    if grants.is_empty() {
        let message = format!(
            "You are signed in as {}, but none of your groups has a role here. Ask who runs this gateway to name one in `admin.sso.roles`.",
            who.name
        );
        return Err(Error::new(ErrorKind::Forbidden, message).with_code("no_role"));
    }
    let grants: Vec<_> =
        grants.iter().map(|grant| json!({"roles": grant.roles, "scope": scope(&grant.scope)})).collect();
    event.detail = json!({"grants": grants}).to_string();
    Ok((doors.access.begin(who, now_ms).await?, return_to))
}

/// Asks the provider again who it is, at once.
pub(super) async fn refresh(State(doors): State<Arc<Doors>>, Extension(officer): Extension<Officer>) -> Response {
    reply(refreshed(&doors, &officer).await)
}

async fn refreshed(doors: &Doors, officer: &Officer) -> Result<serde_json::Value, Error> {
    sso(doors)?;
    let digest = session_of(officer).ok_or_else(no_session)?;
    match doors.access.renew(&digest, doors.pipeline.cache().now_ms()).await {
        Ok(()) => Ok(json!({"refreshed": true})),
        Err(NotRenewed::Unasked) => {
            let message = "The identity provider gave nothing to ask it with, or this gateway does not have it any more: sign in \
                           again to be in other groups.";
            Err(Error::new(ErrorKind::Conflict, message).with_code("not_renewable"))
        }
        Err(NotRenewed::Over) => {
            let message = "The identity provider does not renew this session, or none of your groups has a role any more, so it \
                           has ended: sign in again.";
            Err(Error::new(ErrorKind::Unauthenticated, message).with_code("session_over"))
        }
        Err(NotRenewed::Unreachable(why)) => {
            tracing::warn!(why, "the identity provider cannot be asked about a session");
            let message = "The identity provider cannot be asked just now. Try again later.";
            Err(Error::new(ErrorKind::Overloaded, message).with_code("provider_unavailable"))
        }
        Err(NotRenewed::Unwritten(error)) => Err(error),
    }
}

pub(super) async fn logout(State(doors): State<Arc<Doors>>, Extension(officer): Extension<Officer>) -> Response {
    let ended = async {
        let sso = sso(&doors)?;
        let digest = session_of(&officer).ok_or_else(no_session)?;
        let kept = doors.access.sessions.of_digest(&digest).and_then(|session| session.kept.clone());
        doors.access.sessions.end(&digest).await?;
        Ok((sso.logout_url(kept.as_ref()).await, sso.is_secure()))
    };
    match ended.await {
        Ok((url, secure)) => {
            let mut response = reply(Ok(json!({"ended": true, "provider_logout_url": url})));
            add_cookies(&mut response, [set(session_cookie(secure), "", 0, secure)]);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => reject::reply(&error),
    }
}

fn session_of(officer: &Officer) -> Option<[u8; 32]> {
    match officer.credential {
        Credential::Session(digest) => Some(digest),
        _ => None,
    }
}

fn no_session() -> Error {
    Error::new(ErrorKind::InvalidRequest, "This is for people who are signed in; tokens have no session.")
        .with_code("no_session")
}

fn sso(doors: &Doors) -> Result<Arc<Sso>, Error> {
    doors.access.sso().ok_or_else(|| {
        let message = "Nobody signs in here: `admin.sso` is not configured. Use a token.";
        Error::new(ErrorKind::NotFound, message).with_code("no_sso")
    })
}

fn sign_in_cookie(secure: bool) -> &'static str {
    if secure { "__Host-askonce_sign_in" } else { "askonce_sign_in" }
}

/// A cookie that scripts cannot read, and that other sites' pages do not send along with changes.
fn set(name: &str, value: &str, lasts_s: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Lax{secure}")
}

fn redirect<const N: usize>(url: &str, cookies: [String; N]) -> Response {
    let Ok(url) = HeaderValue::from_str(url) else {
        return reject::reply(&Error::new(ErrorKind::Internal, "The way on cannot be told."));
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    add_cookies(&mut response, cookies);
    let headers = response.headers_mut();
    headers.insert(LOCATION, url);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The address of the callback holds a code.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn add_cookies<const N: usize>(response: &mut Response, cookies: [String; N]) {
    for value in cookies.iter().filter_map(|text| HeaderValue::from_str(text).ok()) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
