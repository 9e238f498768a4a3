//! `Grant`: permissions, and how far these reach. What somebody may is a list of grants, and each is looked at by itself: what one
//! group gives is never joined with how far another one reaches.

use crate::types::permission::{Action, Permissions, Resource, Scope};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Some permissions, and how far they reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The roles that it is by.
    pub roles: Vec<String>,
    /// What these allow.
    pub permissions: Permissions,
    /// How far that reaches.
    pub scope: Scope,
}

/// Tells an account and all above it, itself first; `None`, if there is no such account.
pub type Above<'a> = &'a dyn Fn(&str) -> Option<Arc<[String]>>;

/// How far one permission reaches, by all of `grants` together.
pub fn scope_of(grants: &[Grant], resource: Resource, action: Action) -> Scope {
    united(grants.iter().filter(|grant| grant.permissions.allow(resource, action)))
}

/// How far they reach together, whatever each of them allows.
pub fn united<'g>(grants: impl Iterator<Item = &'g Grant>) -> Scope {
    let mut accounts = BTreeSet::new();
    for grant in grants {
        match &grant.scope {
            Scope::Everything => return Scope::Everything,
            Scope::Accounts(some) => accounts.extend(some.iter().cloned()),
        }
    }
    Scope::Accounts(accounts.into_iter().collect())
}

/// Those of `permissions` that `grants` do not give as far as `scope` reaches.
pub fn lacking(grants: &[Grant], permissions: Permissions, scope: &Scope, above: Above<'_>) -> Permissions {
    // What belongs to no account that there is, only those give who reach everything.
    let lacking_at = |place: &[String]| {
        let there = grants.iter().filter(|grant| grant.scope.reaches(place));
        there.fold(permissions, |left, grant| left.without(grant.permissions))
    };
    match scope {
        Scope::Everything => lacking_at(&[]),
        Scope::Accounts(accounts) => accounts
            .iter()
            .fold(Permissions::NONE, |all, account| all.and(lacking_at(&above(account).unwrap_or_default()))),
    }
}

/// As far as `grants` give all of `permissions` at once.
pub fn farthest(grants: &[Grant], permissions: Permissions, above: Above<'_>) -> Scope {
    if lacking(grants, permissions, &Scope::Everything, above) == Permissions::NONE {
        return Scope::Everything;
    }
    let Scope::Accounts(all) = united(grants.iter().filter(|grant| grant.scope != Scope::Everything)) else {
        return Scope::Accounts(Arc::default());
    };
    let whole = |account: &&String| {
        let one = Scope::Accounts(Arc::from([(*account).clone()]));
        lacking(grants, permissions, &one, above) == Permissions::NONE
    };
    Scope::Accounts(all.iter().filter(whole).cloned().collect())
}

/// What both lists give: `grants`, as far as `limit` gives that as well.
pub fn narrowed(grants: &[Grant], limit: &[Grant], above: Above<'_>) -> Vec<Grant> {
    let mut whole = Vec::new();
    // By account, so that however often something is narrowed, there is no more of it than there are accounts.
    let mut parts: BTreeMap<Option<String>, Grant> = BTreeMap::new();
    for grant in grants {
        if lacking(limit, grant.permissions, &grant.scope, above) == Permissions::NONE {
            whole.push(grant.clone());
            continue;
        }
        for other in limit {
            let permissions = grant.permissions.common(other.permissions);
            if permissions == Permissions::NONE {
                continue;
            }
            for place in common(&grant.scope, &other.scope, above) {
                let scope = place.as_ref().map_or(Scope::Everything, |name| Scope::Accounts(Arc::from([name.clone()])));
                let part =
                    parts.entry(place).or_insert(Grant { roles: Vec::new(), permissions: Permissions::NONE, scope });
                part.permissions = part.permissions.and(permissions);
                part.roles.extend(grant.roles.iter().cloned());
                part.roles.sort_unstable();
                part.roles.dedup();
            }
        }
    }
    whole.extend(parts.into_values());
    whole
}

/// Where two scopes meet: accounts, each with all below it; `None` stands for everything.
fn common(one: &Scope, other: &Scope, above: Above<'_>) -> Vec<Option<String>> {
    let within = |inner: &[String], outer: &Scope| {
        let is_within = |name: &&String| above(name).is_some_and(|above| outer.reaches(&above));
        inner.iter().filter(is_within).cloned().map(Some).collect::<Vec<_>>()
    };
    match (one, other) {
        (Scope::Everything, Scope::Everything) => vec![None],
        (Scope::Everything, Scope::Accounts(accounts)) | (Scope::Accounts(accounts), Scope::Everything) => {
            accounts.iter().cloned().map(Some).collect()
        }
        (Scope::Accounts(mine), Scope::Accounts(theirs)) => {
            let mut both = within(mine, other);
            both.extend(within(theirs, one));
            both
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `team` is in `house`, `ada` in `team`; `far` is apart.
    fn above(name: &str) -> Option<Arc<[String]>> {
        let chain: &[&str] = match name {
            "house" => &["house"],
            "team" => &["team", "house"],
            "ada" => &["ada", "team", "house"],
            "far" => &["far"],
            _ => return None,
        };
        Some(chain.iter().map(|one| (*one).to_owned()).collect())
    }

    fn scope(accounts: &[&str]) -> Scope {
        match accounts {
            ["*"] => Scope::Everything,
            some => Scope::Accounts(some.iter().map(|one| (*one).to_owned()).collect()),
        }
    }

    fn grant(allow: &str, accounts: &[&str]) -> Grant {
        let names = allow.split(' ').map(|one| Permissions::named(one).unwrap());
        let permissions = names.fold(Permissions::NONE, Permissions::and);
        Grant { roles: vec![allow.to_owned()], permissions, scope: scope(accounts) }
    }

    #[test]
    fn each_grant_reaches_as_far_as_itself() {
        let all = [grant("*", &["team"]), grant("*:read", &["*"])];
        assert_eq!(scope_of(&all, Resource::Keys, Action::Read), Scope::Everything);
        assert_eq!(scope_of(&all, Resource::Keys, Action::Delete), scope(&["team"]));
        let lacks = |allow: &str, accounts: &[&str]| {
            lacking(&all, Permissions::named(allow).unwrap(), &scope(accounts), &above) != Permissions::NONE
        };
        assert!(!lacks("*", &["team"]) && !lacks("*", &["ada", "team"]) && !lacks("*:read", &["*"]));
        assert!(lacks("*", &["*"]) && lacks("keys:*", &["house"]) && lacks("keys:*", &["team", "far"]));
        assert!(lacks("keys:delete", &["gone"]) && !lacks("keys:read", &["gone"]));
        assert_eq!(farthest(&all, Permissions::all(), &above), scope(&["team"]));
        assert_eq!(farthest(&all, Permissions::named("*:read").unwrap(), &above), Scope::Everything);
        assert_eq!(farthest(&all[1..], Permissions::all(), &above), scope(&[]));
    }

    #[test]
    fn what_is_narrowed_is_what_both_give() {
        let token = [grant("keys:* usage:read", &["house"])];
        assert_eq!(narrowed(&token, &[grant("*", &["*"])], &above), token);
        let maker = [grant("keys:*", &["team"]), grant("usage:read", &["*"])];
        let left = narrowed(&token, &maker, &above);
        assert_eq!(scope_of(&left, Resource::Keys, Action::Update), scope(&["team"]));
        assert_eq!(scope_of(&left, Resource::Usage, Action::Read), scope(&["house"]));
        assert_eq!(narrowed(&token, &[grant("*", &["far"])], &above), []);
        assert_eq!(narrowed(&token, &[], &above), []);
        assert_eq!(narrowed(&token, &[grant("cache:*", &["*"])], &above), []);
    }

    fn lists() -> impl Strategy<Value = Vec<Grant>> {
        let allow = prop::sample::select(vec!["*", "*:read", "keys:*", "keys:read usage:read", "tokens:*"]);
        let places =
            vec![vec!["*"], vec!["house"], vec!["team"], vec!["ada", "far"], vec!["far", "house"], vec!["gone"]];
        let one = (allow, prop::sample::select(places)).prop_map(|(allow, accounts)| grant(allow, &accounts));
        prop::collection::vec(one, 0..4)
    }

    proptest! {
        /// At each place, and of each permission: it is left exactly where both lists have it.
        #[test]
        fn nothing_is_won_and_nothing_lost(mine in lists(), theirs in lists()) {
            let left = narrowed(&mine, &theirs, &above);
            for place in ["house", "team", "ada", "far", ""] {
                let place = above(place).unwrap_or_default();
                let at = |list: &[Grant]| {
                    let there = list.iter().filter(|grant| grant.scope.reaches(&place));
                    there.fold(Permissions::NONE, |all, grant| all.and(grant.permissions))
                };
                prop_assert_eq!(at(&left), at(&mine).common(at(&theirs)), "{:?}", place);
            }
        }
    }
}
