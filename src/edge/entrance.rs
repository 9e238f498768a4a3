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

/// Who asks at the door of `surface`, or at one of none, and what of the cache.
pub async fn enter(doors: &Doors, parts: &Parts, surface: Option<Surface>) -> Result<(Caller, Directives), Error> {
    let address = address(&parts.extensions);
    let now_ms = doors.pipeline.cache().now_ms();
    let caller = match doors.caller(caller::credential(parts).as_deref()).await {
        Ok(caller) => Caller { address, ..caller },
        Err(error) => return Err(told(doors, parts, None, error)),
    };
    let about = Entering { surface, address, now_ms, path: parts.uri.path() };
    let directives = caller::directives(&parts.headers).and_then(|mut directives| {
        doors.pipeline.governor().enter(&caller, &about, &mut directives)?;
        Ok(directives)
    });
    match directives {
        Ok(directives) => Ok((caller, directives)),
        Err(error) => Err(told(doors, parts, Some(&caller), error)),
    }
}

/// Tells the audit log who was not let in.
fn told(doors: &Doors, parts: &Parts, caller: Option<&Caller>, error: Error) -> Error {
    if matches!(error.kind, ErrorKind::Unauthenticated | ErrorKind::Forbidden) {
        let actor = caller.map_or_else(|| "nobody".to_owned(), |caller| format!("key `{}`", caller.name));
        let id = parts.extensions.get::<RequestId>().map(|id| id.0.as_str()).unwrap_or_default();
        let from = address(&parts.extensions).map(|from| from.to_string()).unwrap_or_default();
        doors.audit.record(AuditEvent::refused(&actor, &error, id, &from));
    }
    error
}
