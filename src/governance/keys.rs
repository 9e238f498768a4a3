//! A bearer token → a caller. Closed unless the configuration says open.

use super::virtual_key::{self, VirtualKeys};
use crate::config;
use crate::types::caller::{Caller, Tenant};
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The keys of one configuration. Only digests are compared, so that neither length nor content shows in the time taken.
#[derive(Debug)]
pub struct Keys {
    open: bool,
    keys: HashMap<[u8; 32], Caller>,
    virtual_keys: Arc<VirtualKeys>,
    admin: Option<[u8; 32]>,
}

impl Keys {
    /// Reads the configured keys. Those of the admin surface are `virtual_keys`, and `admin` opens it.
    pub fn new(
        settings: &config::Auth,
        accounts: &[config::Account],
        virtual_keys: Arc<VirtualKeys>,
        admin: Option<&Secret>,
    ) -> Keys {
        let caller = |key: &config::CallerKey| Caller {
            address: None,
            name: key.name.clone(),
            tenant: Tenant::configured(&key.tenant),
            bearer: None,
            accounts: above(key.account.as_deref(), accounts),
            models: Arc::default(),
        };
        Keys {
            open: settings.open,
            keys: settings.keys.iter().map(|key| (digest(key.key.expose()), caller(key))).collect(),
            virtual_keys,
            admin: admin.map(|key| digest(key.expose())),
        }
    }

    /// Who holds `bearer` at that time. In an open gateway without that key, everyone has a tenant by the token they bring.
    pub fn caller(&self, bearer: Option<&str>, now_ms: u64) -> Result<Caller, Error> {
        let known = bearer.and_then(|token| self.known(token, now_ms));
        match (known, bearer) {
            (Some(caller), _) => Ok(caller),
            (None, None) if self.open => Ok(Caller::unknown("anonymous", Tenant("anonymous".to_owned()))),
            // Where there are keys, a wrong one is a mistake worth telling, even in an open gateway.
            (None, Some(token)) if self.open && self.keys.is_empty() && !virtual_key::is_one(token) => Ok(Caller {
                address: None,
                name: "anonymous".to_owned(),
                tenant: Tenant(format!("bearer:{}", blake3::Hash::from_bytes(digest(token)).to_hex())),
                bearer: Some(Secret::new(token)),
                accounts: Arc::default(),
                models: Arc::default(),
            }),
            (None, None) => Err(Error::new(
                ErrorKind::Unauthenticated,
                "You didn't provide an API key. Send one as `Authorization: Bearer KEY`.",
            )
            .with_code("missing_api_key")),
            (None, Some(_)) => Err(Error::new(
                ErrorKind::Unauthenticated,
                "Incorrect API key provided: this gateway does not know it.",
            )
            .with_code("invalid_api_key")),
        }
    }

    /// Who holds `token`, if it is one of these keys.
    pub fn known(&self, token: &str, now_ms: u64) -> Option<Caller> {
        // What is looked up is a digest: the time that takes tells nothing of any key.
        let known = self.keys.get(&digest(token)).cloned();
        known.or_else(|| self.virtual_keys.holder(token, now_ms).map(|caller| (*caller).clone()))
    }

    /// The tenant of that name; without one, the only tenant there is. For what an operator stores in callers' stead.
    pub fn tenant(&self, name: Option<&str>) -> Result<Tenant, Error> {
        let names: std::collections::BTreeSet<&str> = self.keys.values().map(|caller| caller.tenant.name()).collect();
        let listed = || names.iter().copied().take(20).collect::<Vec<_>>().join(", ");
        match name {
            Some(name) if names.contains(name) => Ok(Tenant::configured(name)),
            Some(name) if names.is_empty() => {
                Err(Error::invalid("tenant", format!("There is no tenant `{name}`: no keys are configured.")))
            }
            Some(name) => {
                Err(Error::invalid("tenant", format!("There is no tenant `{name}`; there are {}.", listed())))
            }
            None if self.open && names.is_empty() => Ok(Tenant("anonymous".to_owned())),
            None if names.len() == 1 && !self.open => Ok(Tenant::configured(&listed())),
            None => Err(Error::invalid(
                "tenant",
                format!("Whose answer it is has to be said: `tenant` is one of {}.", listed()),
            )),
        }
    }

    /// Does `bearer` open the admin surface?
    pub fn is_admin(&self, bearer: Option<&str>) -> bool {
        match (self.admin, bearer) {
            (Some(admin), Some(token)) => admin.ct_eq(&digest(token)).into(),
            _ => false,
        }
    }
}

/// Names of the account that is called `nearest`, and of those above it.
fn above(nearest: Option<&str>, accounts: &[config::Account]) -> Arc<[String]> {
    let find = |name: &str| accounts.iter().find(|account| account.name == name);
    std::iter::successors(nearest.and_then(find), |account| account.parent.as_deref().and_then(find))
        .map(|account| account.name.clone())
        .collect()
}

pub(super) fn digest(token: &str) -> [u8; 32] {
    blake3::derive_key("askonce 2026 bearer token v1", token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Arc<VirtualKeys> {
        Arc::new(VirtualKeys::new(virtual_key::Hasher::new([1; 32])))
    }

    fn keys(open: bool, names: &[&str]) -> Keys {
        let key = |name: &&str| config::CallerKey {
            name: (*name).to_owned(),
            key: Secret::new(format!("sk-{name}-0123456789")),
            tenant: format!("team-{name}"),
            account: None,
            expires: None,
            rights: config::Rights::default(),
        };
        let settings = config::Auth { open, keys: names.iter().map(key).collect(), issuers: Vec::new() };
        Keys::new(&settings, &[], nobody(), Some(&Secret::new("admin-key-0123456789")))
    }

    #[test]
    fn lets_in_whom_it_knows() {
        let closed = keys(false, &["a", "b"]);
        assert_eq!(closed.caller(Some("sk-b-0123456789"), 0).unwrap().tenant.0, "key:team-b");
        assert_eq!(closed.caller(None, 0).unwrap_err().code, Some("missing_api_key"));
        assert_eq!(closed.caller(Some("sk-c-0123456789"), 0).unwrap_err().code, Some("invalid_api_key"));
        let both = keys(true, &["a"]);
        assert_eq!(both.caller(None, 0).unwrap().name, "anonymous");
        assert!(both.caller(Some("wrong"), 0).is_err());
    }

    #[test]
    fn open_callers_are_tenants_by_their_token() {
        let open = keys(true, &[]);
        let tenant = |bearer| open.caller(bearer, 0).unwrap().tenant;
        assert_eq!(tenant(Some("x")), tenant(Some("x")));
        assert!(tenant(Some("x")) != tenant(Some("y")) && tenant(Some("x")) != tenant(None));
        assert!(!tenant(Some("sk-secret")).0.contains("sk-secret"));
        // A configured tenant cannot be met by a token.
        assert!(keys(false, &["a"]).caller(Some("sk-a-0123456789"), 0).unwrap().tenant.0.starts_with("key:"));
    }

    #[test]
    fn the_admin_key_is_its_own() {
        let keys = keys(true, &["a"]);
        assert!(keys.is_admin(Some("admin-key-0123456789")));
        assert!(!keys.is_admin(Some("sk-a-0123456789")) && !keys.is_admin(None));
        let none = config::Auth { open: true, keys: Vec::new(), issuers: Vec::new() };
        assert!(!Keys::new(&none, &[], nobody(), None).is_admin(Some("")));
    }
}
