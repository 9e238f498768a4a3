//! A request of a trace → what the cache is asked, made by the cache's own code.

use super::trace::Request;
use crate::cache::policy::Policy;
use crate::cache::scope::{self, Circumstances, Keys};
use crate::config;
use crate::types::caller::Tenant;
use crate::types::directives::Directives;
use crate::types::request::Request as Decoded;
use crate::types::surface::Surface;
use crate::wire::json::parse;
use crate::wire::openai::decode::decode;
use bytes::Bytes;

/// What of a request decides about its answer.
pub(super) struct Asking {
    pub(super) decoded: Decoded,
    pub(super) keys: Keys,
    pub(super) policy: Policy,
    pub(super) tenant: Tenant,
    /// The text that is compared by meaning; none where there is none, or only its digest.
    pub(super) question: Option<String>,
}

/// Reads `request` as the gateway would.
pub(super) fn asking(request: &Request, settings: &config::Cache) -> Result<Asking, String> {
    let body = Bytes::copy_from_slice(request.body.as_bytes());
    let json = parse(&body).map_err(|error| error.message)?;
    let decoded = decode(Surface::ChatCompletions, &json, &body).map_err(|error| error.message)?;
    let tenant = Tenant::configured("replay");
    let policy = Policy::decide(settings, tenant.name(), &decoded.model, &Directives::default())
        .map_err(|reason| format!("the cache is not used: {}", reason.as_str()))?;
    let around = Circumstances { tenant: &tenant, sub_scope: request.scope.as_deref(), targets: &[], headers: &[] };
    let keys =
        scope::keys(&json, &decoded, &around, &settings.harmless_fields).ok_or("a number in it has no exact form")?;
    let question = decoded.question.clone().filter(|question| !request.hashed && !question.trim().is_empty());
    Ok(Asking { keys, policy, tenant, question, decoded })
}
