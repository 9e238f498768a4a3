//! The entrance of the data path: who asks, whether they may come in, and what they ask of the cache. Whatever can be said before a body
//! is read is said here.

use super::whence::address;
use super::{Doors, RequestId, caller};
use crate::governance::Entering;
use crate::types::audit::AuditEvent;
use crate::types::caller::Caller;
use crate::types::directives::Directives;
use crate::types::error::{Error, ErrorKind};
use crate::types::surface::Surface;
use http::request::Parts;
use std::net::IpAddr;

/// Who asks at the door of `surface`, or at one of none, and what of the cache.
pub async fn enter(doors: &Doors, parts: &Parts, surface: Option<Surface>) -> Result<(Caller, Directives), Error> {
    let from = address(&parts.extensions);
    let mut actor = "nobody".to_owned();
    entered(doors, parts, surface, from, &mut actor).await.inspect_err(|error| {
        if matches!(error.kind, ErrorKind::Unauthenticated | ErrorKind::Forbidden) {
            let id = parts.extensions.get::<RequestId>().map(|id| id.0.as_str()).unwrap_or_default();
            let from = from.map(|from| from.to_string()).unwrap_or_default();
            doors.audit.record(AuditEvent::refused(&actor, error, id, &from));
        }
    })
}

async fn entered(
    doors: &Doors,
    parts: &Parts,
    surface: Option<Surface>,
    from: Option<IpAddr>,
    actor: &mut String,
) -> Result<(Caller, Directives), Error> {
    let now_ms = doors.pipeline.cache().now_ms();
    let caller = doors.caller(caller::credential(parts).as_deref()).await?;
    let caller = Caller { address: from, ..caller };
    *actor = format!("key `{}`", caller.name);
    let mut directives = caller::directives(&parts.headers)?;
    let about = Entering { surface, address: from, now_ms, path: parts.uri.path() };
    doors.pipeline.governor().enter(&caller, &about, &mut directives)?;
    Ok((caller, directives))
}
