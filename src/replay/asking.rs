//! A request of a trace → what the cache is asked, made by the cache's own code.

use super::trace::Request;
use crate::cache::policy::Policy;
use crate::cache::scope::{self, Circumstances, Keys};
use crate::cache::staleness;
use crate::config;
use crate::types::caller::Tenant;
use crate::types::directives::Directives;
use crate::types::request::Request as Decoded;
use crate::types::staleness::Staleness;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::json::parse;
use crate::wire::request::{InPath, read};
use bytes::Bytes;

/// What of a request decides about its answer.
pub(super) struct Asking {
    pub(super) decoded: Decoded,
    pub(super) keys: Keys,
    /// None where the answer is never the same twice: the cache is passed by.
    pub(super) policy: Option<Policy>,
    /// How soon its answer is out of date.
    pub(super) class: Staleness,
    pub(super) tenant: Tenant,
    /// The text that is compared by meaning; none where there is none, or only its digest.
    pub(super) question: Option<String>,
}

/// Reads `request` as the gateway would.
pub(super) fn asking(request: &Request, settings: &config::Cache) -> Result<Asking, String> {
    let body = Bytes::copy_from_slice(request.body.as_bytes());
    let json = parse(&body).map_err(|error| error.message)?;
    let decoded = read(Surface::ChatCompletions, &json, &body, &InPath::default()).map_err(|error| error.message)?;
    let tenant = Tenant::configured("replay");
    let policy = Policy::decide(settings, tenant.name(), &decoded.model, &Directives::default())
        .map_err(|reason| format!("the cache is not used: {}", reason.as_str()))?;
    // Of a digest nothing can be read.
    let said = decoded.question.as_deref().filter(|_| !request.hashed);
    let class = staleness::classify(&settings.staleness, said, &json, None);
    let policy = policy.of_class(class, &settings.staleness).ok();
    let around = Circumstances {
        tenant: &tenant,
        sub_scope: request.scope.as_deref(),
        targets: &[],
        headers: &[],
        guardrails: None,
    };
    let keys =
        scope::keys(&json, &decoded, &around, &settings.harmless_fields).ok_or("a number in it has no exact form")?;
    let question = decoded.question.clone().filter(|question| !request.hashed && !question.trim().is_empty());
    Ok(Asking { keys, policy, class, tenant, question, decoded })
}

/// Bytes of a token of answer, about, where only their number is known.
const TOKEN_BYTES: u64 = 4;

/// The answer that is stored for `request`, as a provider would have sent it: what was recorded, or so many letters as it
/// had tokens.
pub(super) fn body(request: &Request) -> String {
    let letters = || {
        "x".repeat(
            usize::try_from(request.usage.output_tokens.saturating_mul(TOKEN_BYTES)).unwrap_or(0).min(MOST_LETTERS),
        )
    };
    let content = request.answer.clone().unwrap_or_else(letters);
    serde_json::json!({
        "id": "replay", "object": "chat.completion", "created": 0, "model": "replay",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
    })
    .to_string()
}

/// Letters of an answer that nobody has recorded, at most.
const MOST_LETTERS: usize = 1 << 20;

/// The tokens of `request`, where the trace counts any.
pub(super) fn usage(request: &Request) -> Option<Usage> {
    (request.usage != Usage::default()).then_some(request.usage)
}

/// The provider that is named for stored answers.
pub(super) const PROVIDER: &str = "replay";
