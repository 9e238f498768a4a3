//! Explain: what would happen to a request, through the same decoding as the request itself. Nothing is sent or counted.

use super::Inbound;
use super::decode::Decoded;
use super::insight::Told;
use super::serve::{Pipeline, Setup};
use crate::cache::{Ask, Explained};
use crate::types::caller::Tenant;
use crate::types::error::Error;
use crate::types::outcome::BypassReason;

/// What would happen to a request.
#[derive(Debug)]
pub struct Explanation {
    /// What the cache is asked, and what it would say; or why it is not asked.
    pub cache: Result<(Ask, Explained), BypassReason>,
    /// What the embedding of the question tells, where there are topics or something was learned of what is hard. `None`: nothing.
    pub told: Option<Told>,
    /// Providers and models that a miss would be sent to, the first choice first. Where there are none, its caller would be told so.
    pub targets: Vec<(String, String)>,
}

impl Pipeline {
    /// What would happen to a request. The error is the one that its caller would get.
    pub async fn explain(&self, inbound: &Inbound) -> Result<Explanation, Error> {
        let setup = self.setup();
        let decoded = self.decode(inbound, &setup)?;
        let told = told(&decoded, &setup, &inbound.caller.tenant).await;
        let out = decoded.out.with(&decoded.plan, told.as_ref());
        let left = match decoded.plan.some_are_left(&out, &decoded.request.model) {
            Ok(()) => decoded.plan.targets_left(&out),
            Err(_) => Vec::new(),
        };
        let targets = left.into_iter().map(|target| (target.provider.clone(), target.model.clone())).collect();
        let cache = match decoded.ask {
            Ok(ask) => {
                let explained = self.cache.explain(&ask).await;
                Ok((ask, explained))
            }
            Err(reason) => Err(reason),
        };
        Ok(Explanation { cache, told, targets })
    }
}

/// What the embedding of its question tells.
async fn told(decoded: &Decoded, setup: &Setup, tenant: &Tenant) -> Option<Told> {
    let question = decoded.compared().filter(|text| setup.insight.is_any() && !text.trim().is_empty())?;
    let vector = setup.insight.vector(question, tenant).await?;
    Some(setup.insight.told(&vector, question))
}
