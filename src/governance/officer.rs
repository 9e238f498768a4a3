//! `Officer`: somebody who administers, with what they may and how far that reaches.

use super::grants::{self, Grant};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::{self, Action, Permissions, Resource, Scope};
use std::sync::Arc;

/// How far a decision asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// What is asked for belongs to no account: the permission has to reach everything.
    Whole,
    /// What is asked for belongs to accounts: whoever has the permission for one of them gets what is of theirs.
    Accounts,
}

/// By what somebody is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// The admin key of the configuration or the data directory.
    Key,
    /// A token of the configuration: its name.
    Configured(String),
    /// A token that was made by API: its id.
    Token(String),
    /// Somebody who signed in: the session's digest.
    Session([u8; 32]),
}

/// Somebody who administers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Officer {
    /// For the audit log: `admin key`, ``token `ci` ``, ``user `ada` ``.
    pub name: String,
    /// What they may: something is theirs if any one of these gives it.
    pub grants: Arc<[Grant]>,
    /// How they are known.
    pub credential: Credential,
    /// Names by which an identity provider and SCIM know them; empty for programs.
    pub identities: Arc<[String]>,
    /// When what they show ends, in milliseconds since 1970; zero: never. That of people is zero: a session is not who they are.
    pub expires_ms: u64,
}

impl Officer {
    /// Who holds the admin key.
    pub fn with_admin_key() -> Officer {
        let owner =
            Grant { roles: vec!["owner".to_owned()], permissions: Permissions::all(), scope: Scope::Everything };
        Officer {
            name: "admin key".to_owned(),
            grants: Arc::from([owner]),
            credential: Credential::Key,
            identities: Arc::default(),
            expires_ms: 0,
        }
    }

    /// By what they are known for good: the identity provider's `sub`, or the id of a token; empty for who has no more than a name.
    pub fn id(&self) -> &str {
        match &self.credential {
            Credential::Token(id) => id,
            // The `sub` is told first.
            Credential::Session(_) => {
                self.identities.iter().find_map(|one| one.strip_prefix("id:")).unwrap_or_default()
            }
            Credential::Key | Credential::Configured(_) => "",
        }
    }

    /// May they? The error names the permission that is lacking.
    pub fn may(&self, resource: Resource, action: Action, reach: Reach) -> Result<(), Error> {
        let (permission, who) = (permission::name(resource, action), &self.name);
        let lacking = if !self.permissions().allow(resource, action) {
            format!("The {who} has not the permission `{permission}`, which this takes.")
        } else {
            match self.scope_of(resource, action) {
                Scope::Accounts(accounts) if reach == Reach::Whole => {
                    let scope = accounts.join(", ");
                    format!(
                        "This takes the permission `{permission}` for everything; the {who} has it for {scope} only."
                    )
                }
                _ => return Ok(()),
            }
        };
        Err(Error::new(ErrorKind::Forbidden, lacking).with_code("forbidden"))
    }

    /// How far they have that permission.
    pub fn scope_of(&self, resource: Resource, action: Action) -> Scope {
        grants::scope_of(&self.grants, resource, action)
    }

    /// Have they that permission for the account that `above` begins with? See [`Scope::reaches`].
    pub fn reaches(&self, resource: Resource, action: Action, above: &[String]) -> bool {
        self.grants.iter().any(|grant| grant.permissions.allow(resource, action) && grant.scope.reaches(above))
    }

    /// Names of their roles, each once.
    pub fn roles(&self) -> Vec<&str> {
        let mut roles: Vec<&str> = Vec::new();
        for role in self.grants.iter().flat_map(|grant| &grant.roles) {
            if !roles.contains(&role.as_str()) {
                roles.push(role);
            }
        }
        roles
    }

    /// All that they may somewhere.
    pub fn permissions(&self) -> Permissions {
        self.grants.iter().fold(Permissions::NONE, |all, grant| all.and(grant.permissions))
    }

    /// As far as anything reaches that they may.
    pub fn scope(&self) -> Scope {
        grants::united(self.grants.iter())
    }
}
