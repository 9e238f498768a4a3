//! `Record`: what is kept of one request once it has ended: who asked what of whom, how it was answered, and what that cost.

use super::secret::Secret;
use super::surface::Surface;
use super::usage::Usage;
use bytes::Bytes;
use std::sync::Arc;

/// One request that has ended, and whose fetch has ended, too.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// When it arrived, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// As its caller was told it.
    pub request_id: String,
    /// The name of the caller's key.
    pub key: String,
    /// Names of the accounts above the key, the nearest first.
    pub accounts: Arc<[String]>,
    /// Within which its answers are shared.
    pub tenant: String,
    /// Its labels.
    pub tags: Vec<String>,
    /// The door that it came by.
    pub surface: Option<Surface>,
    /// The model, as the caller named it; empty where there is none of that name.
    pub model: String,
    /// Who answered; empty where nobody did.
    pub provider: String,
    /// The model, as the provider calls it; empty where nobody was asked.
    pub provider_model: String,
    /// How the cache took part: `hit`, `stale`, `miss`, `bypass`, or `none` where it came to nothing before that.
    pub cache: &'static str,
    /// The status that the caller was told; 499 where they did not wait for the end.
    pub status: u16,
    /// What its own fetch took, as the provider counted it. A stored answer takes nothing.
    pub usage: Usage,
    /// Tokens that need not be fetched, because they were there already.
    pub saved_tokens: u64,
    /// What it cost, in micro-dollars.
    pub cost: u64,
    /// What it would have cost beside that, in micro-dollars.
    pub saved: u64,
    /// Until the end of the reply.
    pub took_ms: u64,
    /// How often providers were asked.
    pub attempts: u64,
    /// What went wrong; empty where nothing did.
    pub error: String,
    /// It was drawn for the log of requests.
    pub is_logged: bool,
    /// The caller's own token, which may not stand in the log.
    pub bearer: Option<Secret>,
    /// What was asked, where bodies are kept.
    pub request: Option<Bytes>,
    /// What was answered, where bodies are kept.
    pub answer: Option<Bytes>,
}

impl Record {
    /// Bytes of the bodies that ride along.
    pub fn body_bytes(&self) -> usize {
        [&self.request, &self.answer].into_iter().flatten().map(Bytes::len).sum()
    }

    /// Was it answered well?
    pub fn is_error(&self) -> bool {
        self.status >= 400
    }
}
