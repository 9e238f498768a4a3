//! Feedback: a caller says that an answer it was given was right or wrong.

use super::serve::Pipeline;
use crate::cache::{Feedback, Unknown};
use crate::telemetry::metrics;
use crate::types::caller::Tenant;

impl Pipeline {
    /// Takes feedback on the answer of `id`: a request's id or a reply's own.
    pub fn feedback(&self, tenant: &Tenant, id: &str, right: bool) -> Result<Feedback, Unknown> {
        let taken = self.cache.feedback(tenant, id, right);
        let result = match &taken {
            Ok(feedback) if feedback.repeated => "repeated",
            Ok(feedback) if feedback.evicted => "evicted",
            Ok(_) => "taken",
            Err(Unknown) => "unknown",
        };
        metrics::feedback(if right { "right" } else { "wrong" }, result);
        if !right && let Ok(feedback) = &taken {
            let (tier, entry) =
                (feedback.tier.map_or("", |tier| tier.as_str()), feedback.entry.map(|id| id.to_string()));
            tracing::info!(id, tier, entry, evicted = feedback.evicted, "an answer was called wrong");
        }
        taken
    }
}
