//! Who administers, and whether they may: the one place where that is decided.

use super::idempotency::{self, Replayed};
use super::whence::address;
use super::{Doors, RequestId, caller, reject};
pub use crate::governance::{Credential, Officer, Reach};
use crate::types::audit::{AuditEvent, AuditOutcome, KEY_USED};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::{Action, Resource};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use std::sync::Arc;

/// A page of another site cannot send it without asking, and is not let.
const CSRF: HeaderName = HeaderName::from_static("x-askonce-csrf");

/// What a route of the admin surface takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// A permission, and how far it has to reach.
    Permission(Resource, Action, Reach),
    /// Being somebody; what is told is about themselves.
    Somebody,
    /// Nothing: it is where people become somebody.
    Open,
}

/// What a handler has to say of a change, for the audit log: it rides on the response.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What was changed, by its name.
    pub target: String,
    /// What changed, as JSON text. No secret.
    pub detail: String,
    /// It was only tried.
    pub dry_run: bool,
}

/// What an event for the audit log begins with, whatever a handler has to tell: who asks, by which request, and from where.
#[derive(Clone, Debug)]
pub struct AskedBy(AuditEvent);

impl AskedBy {
    /// An event of this action, that was done to `target`.
    pub fn event(&self, action: &str, target: &str) -> AuditEvent {
        AuditEvent { action: action.to_owned(), target: target.to_owned(), ..self.0.clone() }
    }
}

/// What stands before one route.
#[derive(Clone)]
pub struct Gate {
    /// Where requests come in.
    pub doors: Arc<Doors>,
    /// What the route takes.
    pub guard: Guard,
    /// How a refusal is told.
    pub refuse: fn(&Error) -> Response,
}

/// Who asks to do `action` to a `resource` that belongs to no account; an error, if they may not.
pub fn authorise(doors: &Doors, headers: &HeaderMap, resource: Resource, action: Action) -> Result<Officer, Error> {
    let officer = identify(doors, headers, action != Action::Read)?;
    officer.may(resource, action, Reach::Whole)?;
    Ok(officer)
}

/// Who asks; an error, if that is nobody. What `changes` something is not taken from another site's page.
pub fn identify(doors: &Doors, headers: &HeaderMap, changes: bool) -> Result<Officer, Error> {
    let now_ms = doors.pipeline.cache().now_ms();
    if let Some(token) = caller::bearer(headers) {
        if doors.keys.load().is_admin(Some(token)) {
            return Ok(Officer::with_admin_key());
        }
        return doors.access.by_bearer(token, now_ms)?.ok_or_else(nobody);
    }
    let Some(sso) = doors.access.sso() else { return Err(nobody()) };
    let session = cookie(headers, session_cookie(sso.is_secure()));
    let officer = session.and_then(|id| doors.access.by_session(id, now_ms)).ok_or_else(nobody)?;
    let is_own = |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| origin == sso.origin());
    if changes && !headers.contains_key(CSRF) && !headers.get(ORIGIN).is_some_and(is_own) {
        let message =
            "A change by cookie wants the header `x-askonce-csrf`, with any value, or the gateway's own `Origin`.";
        return Err(Error::new(ErrorKind::Forbidden, message).with_code("csrf"));
    }
    Ok(officer)
}

/// The cookie of a session. Under TLS its name keeps out what other hosts of the domain set.
pub fn session_cookie(secure: bool) -> &'static str {
    if secure { "__Host-askonce_session" } else { "askonce_session" }
}

/// The value of a cookie.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value)
}

fn nobody() -> Error {
    let message = "The admin surface wants a token as `Authorization: Bearer TOKEN`: the admin key (`admin.key` in the configuration, \
                   or in the file `admin.key` of the data directory), one of `admin.tokens`, or one made at `/admin/tokens`; or the \
                   cookie of who signed in at `/admin/auth/login`.";
    Error::new(ErrorKind::Unauthenticated, message).with_code("admin_key_required")
}

/// The layer before every route of the admin surface: lets in who may, as `Extension<Officer>`, and has the audit log keep changes,
/// refusals and each use of the admin key.
pub async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Gate { doors, guard, refuse } = gate;
    let mut event = AuditEvent {
        actor: "nobody".to_owned(),
        action: action_of(guard),
        target: format!("{} {}", request.method(), request.uri().path()),
        address: address(request.extensions()).map(|address| address.to_string()).unwrap_or_default(),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        ..AuditEvent::default()
    };
    if guard == Guard::Open {
        request.extensions_mut().insert(AskedBy(event));
        return next.run(request).await;
    }
    let changes = !request.method().is_safe();
    let may = identify(&doors, request.headers(), changes).and_then(|officer| {
        event.actor.clone_from(&officer.name);
        event.actor_id = officer.id().to_owned();
        match guard {
            Guard::Permission(resource, action, reach) => officer.may(resource, action, reach).map(|()| officer),
            Guard::Somebody | Guard::Open => Ok(officer),
        }
    });
    let officer = match may {
        Ok(officer) => officer,
        Err(error) => {
            event.outcome = AuditOutcome::Refused;
            event.detail = detail(&error);
            doors.audit.record(event);
            return refuse(&error);
        }
    };
    if officer.credential == Credential::Key {
        // The key is for when nothing else works: whoever uses it is to be seen.
        doors.audit.record(AuditEvent { action: KEY_USED.to_owned(), ..event.clone() });
    }
    let who = format!("{:?} {}", officer.credential, officer.name);
    request.extensions_mut().insert(officer);
    request.extensions_mut().insert(AskedBy(event.clone()));
    if !changes || matches!(guard, Guard::Permission(_, Action::Read, _)) {
        return next.run(request).await;
    }
    // A caller who leaves takes nothing back: what was begun is done, and told.
    let done = tokio::spawn(told(doors, event, next, (who, request)));
    done.await
        .unwrap_or_else(|_| refuse(&Error::new(ErrorKind::Internal, "The change broke off; look at what is there.")))
}

/// Has a change made, and tells the audit log. Nobody is told of a change that no log tells of.
async fn told(doors: Arc<Doors>, mut event: AuditEvent, next: Next, (who, request): (String, Request)) -> Response {
    let response = idempotency::once(&doors, &who, request, |request| next.run(request)).await;
    let response = response.unwrap_or_else(|error| refuse(&error));
    let told = response.extensions().get::<Told>().cloned().unwrap_or_default();
    if told.dry_run || response.extensions().get::<Replayed>().is_some() {
        return response;
    }
    if !told.target.is_empty() {
        event.target = told.target;
    }
    event.detail = told.detail;
    event.outcome = match response.status().as_u16() {
        0..=399 => AuditOutcome::Done,
        401 | 403 => AuditOutcome::Refused,
        _ => AuditOutcome::Failed,
    };
    if !doors.audit.keep(event).await {
        tracing::error!("the audit log has not taken a change in time; it is kept as soon as the database answers");
    }
    response
}

fn action_of(guard: Guard) -> String {
    match guard {
        Guard::Permission(resource, action, _) => format!("{}.{}", resource.as_str(), action.as_str()),
        Guard::Somebody => "self".to_owned(),
        Guard::Open => String::new(),
    }
}

fn detail(error: &Error) -> String {
    serde_json::json!({"code": error.code, "why": error.message}).to_string()
}

/// A refusal in the words of the admin surface.
pub fn refuse(error: &Error) -> Response {
    reject::reply(error)
}
