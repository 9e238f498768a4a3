//! `AuditEvent`: somebody did something, or was refused. What the audit log keeps.

use super::error::Error;
use futures_util::future::BoxFuture;

/// Something that the audit log keeps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditEvent {
    /// Who: ``admin key``, ``user `ada` ``, ``key `ci` ``; `nobody` where it could not be told.
    pub actor: String,
    /// By what they are known for good, where names may change: the identity provider's `sub`, or the id of a token; else empty.
    pub actor_id: String,
    /// What: `keys.create`, `cache.purge`, `request.refused`.
    pub action: String,
    /// To what: a name or an id; empty where there is none.
    pub target: String,
    /// Whether it was done.
    pub outcome: AuditOutcome,
    /// More, as JSON text: what changed, or why it was refused. Never a secret.
    pub detail: String,
    /// The request that asked for it; empty where none did.
    pub request_id: String,
    /// The address that asked; empty where it is not known.
    pub address: String,
}

/// Whether something was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AuditOutcome {
    /// It was.
    #[default]
    Done,
    /// It was not allowed.
    Refused,
    /// It was allowed, and failed.
    Failed,
}

impl AuditOutcome {
    /// In the log.
    pub fn as_str(self) -> &'static str {
        match self {
            AuditOutcome::Done => "done",
            AuditOutcome::Refused => "refused",
            AuditOutcome::Failed => "failed",
        }
    }
}

impl AuditEvent {
    /// A request on the data path that was refused with `error`.
    pub fn refused(actor: &str, error: &Error, request_id: &str, address: &str) -> AuditEvent {
        let code = error.code.map_or_else(|| error.word(), Into::into);
        AuditEvent {
            actor: actor.to_owned(),
            action: REFUSED.to_owned(),
            target: code.clone().into_owned(),
            outcome: AuditOutcome::Refused,
            detail: format!("{{\"status\":{}}}", error.status()),
            request_id: request_id.to_owned(),
            address: address.to_owned(),
            ..AuditEvent::default()
        }
    }
}

/// The action of the admin key being used: it is for when nothing else works, so whoever uses it is to be seen.
pub const KEY_USED: &str = "admin_key.used";

/// The action of a request on the data path that was refused.
pub const REFUSED: &str = "request.refused";

/// Where the audit log is exported to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exported {
    /// The name of this gateway among those that share the database.
    pub node: String,
    /// Each export: its name and its kind.
    pub names: Vec<(String, &'static str)>,
}

/// Where such events go.
pub trait Audit: Send + Sync + std::fmt::Debug {
    /// Takes `event`, and returns at once.
    fn record(&self, event: AuditEvent);

    /// Takes `event`, and resolves when it is on disk; false where that takes too long. It is kept all the same.
    fn keep(&self, event: AuditEvent) -> BoxFuture<'_, bool>;

    /// Resolves when all that was recorded is on disk; false where that takes too long.
    fn settled(&self) -> BoxFuture<'_, bool>;

    /// What verifies the checkpoints of the log, in base64.
    fn public_key(&self) -> String;

    /// Why nothing is signed any more, where the log is not what was seen and written.
    fn broken(&self) -> Option<String>;

    /// Where rows are sent to.
    fn exports(&self) -> Exported;
}
