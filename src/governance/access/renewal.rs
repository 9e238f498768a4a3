//! The identity provider is asked again about somebody who is signed in: one request at a time for each session, whoever wants it.

use super::Access;
use crate::governance::sessions::{Claim, Session};
use crate::governance::sso::{Sso, WrongSignIn};
use crate::types::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// While another process asks, it is looked so often, so many times, whether it was told.
const LOOK: Duration = Duration::from_millis(200);
const LOOKS: u32 = 25;

/// Why a session was not renewed.
#[derive(Debug)]
pub enum NotRenewed {
    /// There is nothing to ask the provider with: it gave nothing, or this process does not have it. The session goes on.
    Unasked,
    /// It has ended: the provider does not know them any more, or they are in no group any more that has a role.
    Over,
    /// The provider could not be asked. The session goes on.
    Unreachable(String),
    /// What it said holds, and could not be written.
    Unwritten(Error),
}

impl Access {
    /// Asks the provider again who the session of that digest is of. Whoever comes while it is asked waits, and uses what it says:
    /// many providers take each refresh token once.
    pub async fn renew(&self, digest: &[u8; 32], now_ms: u64) -> Result<(), NotRenewed> {
        let Some(sso) = self.sso() else { return Err(NotRenewed::Unasked) };
        let seen = self.sessions.of_digest(digest).ok_or(NotRenewed::Over)?;
        let _turn = seen.renewing.lock().await;
        for _ in 0..LOOKS {
            match self.sessions.claim(&seen, now_ms).await.map_err(NotRenewed::Unwritten)? {
                Claim::Mine(session) => return self.ask_about(&sso, session, now_ms).await,
                Claim::Told if self.sessions.of_digest(digest).is_some_and(|now| self.may_anything(&now)) => {
                    return Ok(());
                }
                Claim::Told | Claim::Gone => return Err(NotRenewed::Over),
                Claim::Elsewhere => tokio::time::sleep(LOOK).await,
            }
        }
        Err(NotRenewed::Unreachable("another gateway asks, and is not answered".to_owned()))
    }

    async fn ask_about(&self, sso: &Sso, session: Arc<Session>, now_ms: u64) -> Result<(), NotRenewed> {
        match sso.renew(&session, now_ms).await {
            Ok((groups, kept)) => {
                let told = self.last_told.tell(&session.identities, &groups, now_ms).await;
                let renewed = self.sessions.renew(&session, groups, kept, now_ms).await;
                let now = self.sessions.of_digest(&session.digest);
                if !now.is_some_and(|now| self.may_anything(&now)) {
                    return self.over(&session).await;
                }
                told.and(renewed).map_err(NotRenewed::Unwritten)
            }
            Err(WrongSignIn::Over) => self.over(&session).await,
            Err(WrongSignIn::Unasked) => {
                self.sessions.give_back(&session).await;
                Err(NotRenewed::Unasked)
            }
            Err(WrongSignIn::Unreachable(why)) => {
                self.sessions.give_back(&session).await;
                Err(NotRenewed::Unreachable(why))
            }
        }
    }

    fn may_anything(&self, session: &Session) -> bool {
        !self.grants_in(&session.groups, &session.identities).is_empty()
    }

    async fn over(&self, session: &Session) -> Result<(), NotRenewed> {
        self.sessions.end(&session.digest).await.map_err(NotRenewed::Unwritten)?;
        Err(NotRenewed::Over)
    }
}
