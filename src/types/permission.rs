//! `Permissions`: what somebody who administers may be allowed to do: actions on kinds of things; and `Scope`: to whose.

use std::fmt;
use std::sync::Arc;

/// The roles that are there without being configured, the mightiest first.
pub const BUILT_IN_ROLES: [&str; 6] = ["owner", "admin", "editor", "auditor", "viewer", "key_holder"];

/// What there is to administer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Resource {
    /// Stored answers, and what the cache's judgement knows.
    Cache,
    /// Where requests may go, and how each way there is; shadows and canaries.
    Routes,
    /// Providers, their prices, and whether the secrets that are referred to could be read.
    Providers,
    /// The configuration as a whole.
    Config,
    /// Organisations, customers, teams and users, with their budgets and limits.
    Accounts,
    /// Virtual keys.
    Keys,
    /// What was used, and what it cost.
    Usage,
    /// The audit log.
    Audit,
    /// The log of requests.
    Requests,
    /// People who administer, and their groups.
    People,
    /// Roles.
    Roles,
    /// Tokens of the admin surface.
    Tokens,
    /// Guardrails.
    Guardrails,
}

/// What may be done with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Action {
    /// Look at it.
    Read,
    /// Make a new one.
    Create,
    /// Change it, or have it do something.
    Update,
    /// Take it away for good.
    Delete,
}

impl Resource {
    /// All of them.
    pub const ALL: [Resource; 13] = [
        Resource::Cache,
        Resource::Routes,
        Resource::Providers,
        Resource::Config,
        Resource::Accounts,
        Resource::Keys,
        Resource::Usage,
        Resource::Audit,
        Resource::Requests,
        Resource::People,
        Resource::Roles,
        Resource::Tokens,
        Resource::Guardrails,
    ];

    /// In configuration, paths and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::Cache => "cache",
            Resource::Routes => "routes",
            Resource::Providers => "providers",
            Resource::Config => "config",
            Resource::Accounts => "accounts",
            Resource::Keys => "keys",
            Resource::Usage => "usage",
            Resource::Audit => "audit",
            Resource::Requests => "requests",
            Resource::People => "people",
            Resource::Roles => "roles",
            Resource::Tokens => "tokens",
            Resource::Guardrails => "guardrails",
        }
    }
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 4] = [Action::Read, Action::Create, Action::Update, Action::Delete];

    /// In configuration and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }
}

/// A set of permissions: which actions on which resources.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u128);

impl Permissions {
    /// None at all.
    pub const NONE: Permissions = Permissions(0);

    /// Every action on everything.
    pub fn all() -> Permissions {
        Permissions::of(&Resource::ALL, &Action::ALL)
    }

    /// Each of `actions` on each of `resources`.
    pub fn of(resources: &[Resource], actions: &[Action]) -> Permissions {
        let pairs = resources.iter().flat_map(|resource| actions.iter().map(|action| bit(*resource, *action)));
        Permissions(pairs.fold(0, |all, one| all | one))
    }

    /// What `text` names: `cache:read`, `cache:*`, `*:read`, or `*` for everything.
    pub fn named(text: &str) -> Option<Permissions> {
        let (resource, action) = if text == "*" { ("*", "*") } else { text.split_once(':')? };
        let one = Resource::ALL.into_iter().find(|one| one.as_str() == resource);
        let resources = if resource == "*" { Resource::ALL.to_vec() } else { vec![one?] };
        let one = Action::ALL.into_iter().find(|one| one.as_str() == action);
        let actions = if action == "*" { Action::ALL.to_vec() } else { vec![one?] };
        Some(Permissions::of(&resources, &actions))
    }

    /// Both together.
    pub fn and(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }

    /// Without those of `other`.
    pub fn without(self, other: Permissions) -> Permissions {
        Permissions(self.0 & !other.0)
    }

    /// Those that are in `other` as well.
    pub fn common(self, other: Permissions) -> Permissions {
        Permissions(self.0 & other.0)
    }

    /// Is this one among them?
    pub fn allow(self, resource: Resource, action: Action) -> bool {
        self.0 & bit(resource, action) != 0
    }

    /// Is each of them among those of `other`?
    pub fn are_within(self, other: Permissions) -> bool {
        self.without(other) == Permissions::NONE
    }

    /// Their names, as in `cache:read`.
    pub fn names(self) -> Vec<String> {
        let all = Resource::ALL.into_iter().flat_map(|resource| Action::ALL.map(|action| (resource, action)));
        all.filter(|(resource, action)| self.allow(*resource, *action)).map(|(on, to)| name(on, to)).collect()
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The name of one permission: `cache:read`.
pub fn name(resource: Resource, action: Action) -> String {
    format!("{}:{}", resource.as_str(), action.as_str())
}

fn bit(resource: Resource, action: Action) -> u128 {
    1 << (resource as u32 * Action::ALL.len() as u32 + action as u32)
}

/// How far somebody's permissions reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// To everything.
    Everything,
    /// To these accounts, and to all below them. None of them: to nothing.
    Accounts(Arc<[String]>),
}

impl Scope {
    /// Does it reach something of the account that `above` begins with? `above` names that account and those above it, the nearest
    /// first; it is empty for what belongs to no account.
    pub fn reaches(&self, above: &[String]) -> bool {
        match self {
            Scope::Everything => true,
            Scope::Accounts(accounts) => above.iter().any(|one| accounts.contains(one)),
        }
    }

    /// For messages: `everything`, or the accounts.
    pub fn told(&self) -> String {
        match self {
            Scope::Everything => "everything".to_owned(),
            Scope::Accounts(accounts) => accounts.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for resource in Resource::ALL {
            for action in Action::ALL {
                let one = Permissions::named(&name(resource, action)).unwrap();
                assert_eq!((one, one.names()), (Permissions::of(&[resource], &[action]), vec![name(resource, action)]));
            }
        }
        assert_eq!(Permissions::named("*"), Some(Permissions::all()));
        assert_eq!(Permissions::named("*:*"), Some(Permissions::all()));
        assert_eq!(Permissions::named("cache:*").unwrap().names().len(), Action::ALL.len());
        assert_eq!(Permissions::named("*:read").unwrap().names().len(), Resource::ALL.len());
        for wrong in ["", "cache", "cache:", ":read", "cache:fly", "cash:read", "cache:read ", "**", "*:"] {
            assert_eq!(Permissions::named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sets_add_up() {
        let read = Permissions::named("*:read").unwrap();
        let cache = Permissions::named("cache:*").unwrap();
        let both = read.and(cache);
        assert!(read.are_within(both) && cache.are_within(both) && !both.are_within(read));
        assert!(!both.without(cache).allow(Resource::Cache, Action::Read));
        assert_eq!(read.common(cache), Permissions::named("cache:read").unwrap());
        assert!(both.without(cache).allow(Resource::Keys, Action::Read));
        assert!(!Permissions::NONE.allow(Resource::Cache, Action::Read));
    }

    #[test]
    fn a_scope_reaches_what_is_below_it() {
        let above = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let team = Scope::Accounts(Arc::from(above(&["team"])));
        assert!(team.reaches(&above(&["ada", "team", "house"])) && team.reaches(&above(&["team", "house"])));
        assert!(!team.reaches(&above(&["house"])) && !team.reaches(&[]));
        assert!(Scope::Everything.reaches(&[]) && !Scope::Accounts(Arc::default()).reaches(&above(&["house"])));
    }
}
