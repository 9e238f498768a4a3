//! Explain: what would happen to a request, through the same decoding as the request itself. Nothing is sent or counted.

use super::Inbound;
use super::serve::Pipeline;
use crate::cache::{Ask, Explained};
use crate::types::error::Error;
use crate::types::outcome::BypassReason;

/// What would happen to a request.
#[derive(Debug)]
pub struct Explanation {
    /// What the cache is asked, and what it would say; or why it is not asked.
    pub cache: Result<(Ask, Explained), BypassReason>,
    /// Providers and models that a miss would be sent to, the first choice first.
    pub targets: Vec<(String, String)>,
}

impl Pipeline {
    /// What would happen to a request. The error is the one that its caller would get.
    pub async fn explain(&self, inbound: &Inbound) -> Result<Explanation, Error> {
        let setup = self.setup();
        let decoded = self.decode(inbound, &setup)?;
        let targets =
            decoded.targets().into_iter().map(|target| (target.provider.clone(), target.model.clone())).collect();
        let cache = match decoded.ask {
            Ok(ask) => {
                let explained = self.cache.explain(&ask).await;
                Ok((ask, explained))
            }
            Err(reason) => Err(reason),
        };
        Ok(Explanation { cache, targets })
    }
}
