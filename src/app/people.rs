//! Who administers, over time: what another process on the database has changed is read, sessions whose time is over end, and the
//! identity provider is asked again about people who are signed in.

use crate::governance::{Access, NotRenewed};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::sleep;

/// How often changes of other processes are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How many such looks lie between two times of putting things in order.
const LOOKS: u32 = 15;

/// Looks after them until nobody needs them any more.
pub(super) async fn keep(access: Weak<Access>, now: impl Fn() -> u64) {
    let mut looks = 0;
    loop {
        sleep(LOOK).await;
        let Some(access) = access.upgrade() else { return };
        if let Err(error) = access.read_changes().await {
            tracing::warn!(%error, "what other processes changed of people and tokens cannot be read");
        }
        renew(&access, now()).await;
        looks += 1;
        if looks % LOOKS == 0
            && let Err(error) = access.tidy(now()).await
        {
            tracing::warn!(%error, "when tokens and sessions were used cannot be written");
        }
    }
}

/// Asks the identity provider about everybody whose tokens have ended there: who is unknown to it is signed out, and so is who is in no
/// group any more that has a role.
async fn renew(access: &Arc<Access>, now_ms: u64) {
    for session in access.sessions.to_renew(now_ms) {
        match access.renew(&session.digest, now_ms).await {
            Ok(()) | Err(NotRenewed::Unasked) => {}
            Err(NotRenewed::Over) => {
                tracing::info!(
                    user = session.name,
                    "signed out: the identity provider does not renew the session, or gives no role"
                );
            }
            Err(NotRenewed::Unreachable(why)) => {
                tracing::warn!(why, "the identity provider cannot be asked about a session");
            }
            Err(NotRenewed::Unwritten(error)) => tracing::warn!(%error, "a session cannot be renewed"),
        }
    }
}
