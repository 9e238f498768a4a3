//! A bearer token → a caller. Closed unless the configuration says open.

use crate::config;
use crate::types::caller::{Caller, Tenant};
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use subtle::ConstantTimeEq;

/// The keys of one configuration. Only digests are compared, so that neither length nor content shows in the time taken.
#[derive(Debug)]
pub struct Keys {
    open: bool,
    keys: Vec<([u8; 32], Caller)>,
    admin: Option<[u8; 32]>,
}

impl Keys {
    /// Reads the configured keys. `admin` opens the admin surface.
    pub fn new(settings: &config::Auth, admin: Option<&Secret>) -> Keys {
        let caller = |key: &config::CallerKey| Caller {
            name: key.name.clone(),
            tenant: Tenant::configured(&key.tenant),
            bearer: None,
        };
        Keys {
            open: settings.open,
            keys: settings.keys.iter().map(|key| (digest(key.key.expose()), caller(key))).collect(),
            admin: admin.map(|key| digest(key.expose())),
        }
    }

    /// Who holds `bearer`. In an open gateway without that key, everyone has a tenant by the token they bring.
    pub fn caller(&self, bearer: Option<&str>) -> Result<Caller, Error> {
        let known = bearer.and_then(|token| {
            let token = digest(token);
            // All keys are compared, found or not.
            self.keys.iter().fold(
                None,
                |found, (key, caller)| {
                    if bool::from(key.ct_eq(&token)) { Some(caller) } else { found }
                },
            )
        });
        match (known, bearer) {
            (Some(caller), _) => Ok(caller.clone()),
            (None, None) if self.open => {
                Ok(Caller { name: "anonymous".to_owned(), tenant: Tenant("anonymous".to_owned()), bearer: None })
            }
            // Where there are keys, a wrong one is a mistake worth telling, even in an open gateway.
            (None, Some(token)) if self.open && self.keys.is_empty() => Ok(Caller {
                name: "anonymous".to_owned(),
                tenant: Tenant(format!("bearer:{}", blake3::Hash::from_bytes(digest(token)).to_hex())),
                bearer: Some(Secret::new(token)),
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

    /// The tenant of that name; without one, the only tenant there is. For what an operator stores in callers' stead.
    pub fn tenant(&self, name: Option<&str>) -> Result<Tenant, Error> {
        let names: std::collections::BTreeSet<&str> =
            self.keys.iter().map(|(_, caller)| caller.tenant.name()).collect();
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

fn digest(token: &str) -> [u8; 32] {
    blake3::derive_key("askonce 2026 bearer token v1", token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(open: bool, names: &[&str]) -> Keys {
        let key = |name: &&str| config::CallerKey {
            name: (*name).to_owned(),
            key: Secret::new(format!("sk-{name}-0123456789")),
            tenant: format!("team-{name}"),
        };
        let settings = config::Auth { open, keys: names.iter().map(key).collect() };
        Keys::new(&settings, Some(&Secret::new("admin-key-0123456789")))
    }

    #[test]
    fn lets_in_whom_it_knows() {
        let closed = keys(false, &["a", "b"]);
        assert_eq!(closed.caller(Some("sk-b-0123456789")).unwrap().tenant.0, "key:team-b");
        assert_eq!(closed.caller(None).unwrap_err().code, Some("missing_api_key"));
        assert_eq!(closed.caller(Some("sk-c-0123456789")).unwrap_err().code, Some("invalid_api_key"));
        let both = keys(true, &["a"]);
        assert_eq!(both.caller(None).unwrap().name, "anonymous");
        assert!(both.caller(Some("wrong")).is_err());
    }

    #[test]
    fn open_callers_are_tenants_by_their_token() {
        let open = keys(true, &[]);
        let tenant = |bearer| open.caller(bearer).unwrap().tenant;
        assert_eq!(tenant(Some("x")), tenant(Some("x")));
        assert!(tenant(Some("x")) != tenant(Some("y")) && tenant(Some("x")) != tenant(None));
        assert!(!tenant(Some("sk-secret")).0.contains("sk-secret"));
        // A configured tenant cannot be met by a token.
        assert!(keys(false, &["a"]).caller(Some("sk-a-0123456789")).unwrap().tenant.0.starts_with("key:"));
    }

    #[test]
    fn the_admin_key_is_its_own() {
        let keys = keys(true, &["a"]);
        assert!(keys.is_admin(Some("admin-key-0123456789")));
        assert!(!keys.is_admin(Some("sk-a-0123456789")) && !keys.is_admin(None));
        assert!(!Keys::new(&config::Auth { open: true, keys: Vec::new() }, None).is_admin(Some("")));
    }
}
