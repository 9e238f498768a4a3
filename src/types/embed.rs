//! `Embed`: texts → vectors, for who must not know the sentence model itself.

use super::caller::Tenant;
use super::error::Error;
use futures_util::future::BoxFuture;

/// One text's vector and its length in tokens.
#[derive(Clone, PartialEq, Debug)]
pub struct Embedded {
    /// A unit vector.
    pub vector: std::sync::Arc<[f32]>,
    /// Tokens that the model read.
    pub tokens: usize,
    /// The text was longer than the model reads.
    pub truncated: bool,
}

/// A sentence model on this host.
pub trait Embed: Send + Sync {
    /// The model's name.
    fn model(&self) -> &str;

    /// Components of a vector.
    fn width(&self) -> usize;

    /// Embeds `texts`, in order. Tenants have turns.
    fn embed(&self, texts: Vec<String>, tenant: &Tenant) -> BoxFuture<'_, Result<Vec<Embedded>, Error>>;
}
