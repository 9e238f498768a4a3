//! `Caller`: who asks, as far as it matters for sharing answers and for paying upstream.

use super::secret::Secret;
use std::net::IpAddr;
use std::sync::Arc;

/// The boundary that answers never cross.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tenant(pub String);

/// Stands before the name of a configured tenant, so that no bearer token can meet it.
pub const CONFIGURED: &str = "key:";

impl Tenant {
    /// A tenant that the configuration names.
    pub fn configured(name: &str) -> Tenant {
        Tenant(format!("{CONFIGURED}{name}"))
    }

    /// A number that stands for it where it need not be told from all others for certain: for turns in a queue.
    pub fn tag(&self) -> u64 {
        let digest = blake3::derive_key("askonce 2026 tenant tag v1", self.0.as_bytes());
        u64::from_le_bytes(std::array::from_fn(|at| digest[at]))
    }

    /// The name in the configuration; for others what stands for them.
    pub fn name(&self) -> &str {
        self.0.strip_prefix(CONFIGURED).unwrap_or(&self.0)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Name of the key in the configuration, or `anonymous`.
    pub name: String,
    /// Answers are shared within it, never beyond.
    pub tenant: Tenant,
    /// The caller's own bearer token, sent upstream only to a provider for which the gateway holds no key.
    pub bearer: Option<Secret>,
    /// Names of the accounts above the key, the nearest first.
    pub accounts: Arc<[String]>,
    /// Lists of models, in whose names one `*` stands for any text: a model has to be in each. None: all models.
    pub models: Arc<[Vec<String>]>,
    /// From where, where that is known: for the audit log.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// One that no configuration knows.
    pub fn unknown(name: &str, tenant: Tenant) -> Caller {
        let (accounts, models) = (Arc::default(), Arc::default());
        Caller { name: name.to_owned(), tenant, bearer: None, accounts, models, address: None }
    }
}
