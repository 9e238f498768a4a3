//! A session as it is written: stamped, so that nobody else can write one, and what the identity provider gave sealed.

use super::{ByDigest, Kept, Session};
use crate::governance::access::{known_as, list};
use crate::governance::stamp::Stamp;
use crate::store::database::SessionRow;
use crate::store::sealed::Seal;
use crate::types::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Writes rows of sessions, and reads them.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) stamp: Stamp,
    pub(super) seal: Option<Arc<Seal>>,
}

/// What the identity provider gave, before it is sealed.
#[derive(Serialize, Deserialize)]
struct Plain {
    refresh_token: Option<String>,
    id_token: String,
    again_ms: u64,
}

impl Rows {
    /// The row of a session.
    pub(super) fn write(&self, session: &Session) -> SessionRow {
        let mut row = SessionRow {
            digest: hex(&session.digest),
            name: session.name.clone(),
            identities: list(&session.identities),
            groups: serde_json::json!(session.groups).to_string(),
            created_ms: session.created_ms,
            used_ms: session.used_ms(),
            told_ms: session.told_ms,
            kept: session.kept.as_ref().and_then(|kept| self.sealed(&session.digest, kept)).unwrap_or_default(),
            stamp: String::new(),
        };
        row.stamp = self.stamp.of("admin_sessions", &parts(&row, &times(&row)));
        row
    }

    /// The session of a row. One that cannot be read, or that somebody else wrote, is none. What only this process knows of it stays.
    pub(super) fn read(&self, row: &SessionRow, before: &ByDigest) -> Option<([u8; 32], Arc<Session>)> {
        if !self.stamp.fits(&row.stamp, "admin_sessions", &parts(row, &times(row))) {
            return None;
        }
        let digest = *blake3::Hash::from_hex(&row.digest).ok()?.as_bytes();
        let known = before.get(&digest);
        if let Some(known) = known.filter(|known| known.told_ms > row.told_ms) {
            // What was told since could not be written.
            return Some((digest, known.clone()));
        }
        let session = Session {
            digest,
            name: row.name.clone(),
            identities: known_as(&row.identities)?,
            groups: serde_json::from_str(&row.groups).ok()?,
            created_ms: row.created_ms,
            told_ms: row.told_ms,
            used_ms: AtomicU64::new(row.used_ms.max(known.map_or(0, |one| one.used_ms()))),
            kept: self.opened(&digest, &row.kept).or_else(|| known.and_then(|one| one.kept.clone())),
            renewing: known.map_or_else(Arc::default, |one| one.renewing.clone()),
        };
        Some((digest, Arc::new(session)))
    }

    fn sealed(&self, digest: &[u8; 32], kept: &Kept) -> Option<String> {
        let plain = Plain {
            refresh_token: kept.refresh_token.as_ref().map(|token| token.expose().to_owned()),
            id_token: kept.id_token.expose().to_owned(),
            again_ms: kept.again_ms,
        };
        let sealed = self.seal.as_ref()?.seal(&context(digest), &serde_json::to_vec(&plain).ok()?);
        sealed
            .map(|sealed| STANDARD.encode(sealed))
            .inspect_err(|error| tracing::warn!(%error, "what renews a session cannot be sealed, so it is not written"))
            .ok()
    }

    fn opened(&self, digest: &[u8; 32], text: &str) -> Option<Kept> {
        let seal = self.seal.as_ref().filter(|_| !text.is_empty())?;
        let opened = seal
            .open(&context(digest), &STANDARD.decode(text).ok()?)
            .inspect_err(|error| tracing::warn!(%error, "what renews a session does not open"))
            .ok()?;
        let plain: Plain = serde_json::from_slice(&opened).ok()?;
        Some(Kept {
            refresh_token: plain.refresh_token.map(Secret::new),
            id_token: Secret::new(plain.id_token),
            again_ms: plain.again_ms,
        })
    }
}

/// The place that it is sealed for.
fn context(digest: &[u8; 32]) -> String {
    format!("admin_sessions/{}/kept", hex(digest))
}

fn times(row: &SessionRow) -> [String; 2] {
    [row.created_ms.to_string(), row.told_ms.to_string()]
}

/// What is stamped: all but when it was last used, which may change at any time.
fn parts<'r>(row: &'r SessionRow, times: &'r [String; 2]) -> [&'r str; 7] {
    [&row.digest, &row.name, &row.identities, &row.groups, &times[0], &times[1], &row.kept]
}

/// A digest as it is written.
pub(super) fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}
