//! Who may say who is in which group, and who may still come in.
//!
//! Membership gives what a group's role allows, so only those may say of it who have all of that themselves; or else anybody with
//! permissions for people could make themselves the owner. One token is free of this, if the configuration names it: that by which the
//! identity provider itself tells who there is.

use super::Access;
use crate::governance::grants::Grant;
use crate::governance::officer::Officer;
use crate::governance::people::{Kind, Person};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::Permissions;
use std::collections::BTreeSet;

impl Access {
    /// May they say this of a person or a group? There was none `before` that is new, and there is none `after` that goes.
    pub fn may_tell(&self, officer: &Officer, before: Option<&Person>, after: Option<&Person>) -> Result<(), Error> {
        let rules = self.rules.load();
        if rules.is_directory(officer) {
            return Ok(());
        }
        for grant in self.at_stake(before, after) {
            let lacking = rules.lacking(&officer.grants, grant.permissions, &grant.scope);
            if lacking != Permissions::NONE {
                return Err(refused(officer, &grant, lacking));
            }
        }
        Ok(())
    }

    /// What the change gives to somebody, or takes from them.
    fn at_stake(&self, before: Option<&Person>, after: Option<&Person>) -> Vec<Grant> {
        let both = || before.into_iter().chain(after);
        match both().next().map(|one| one.kind) {
            Some(Kind::Group) if says_of_members(before, after) => {
                self.rules.load().of_groups(&both().map(|group| group.name().to_owned()).collect())
            }
            Some(Kind::User) if says_of_access(before, after) => {
                let identities: Vec<String> = both().flat_map(Person::identities).collect();
                self.grants_in(&self.last_told.groups_of_any(&identities), &identities)
            }
            _ => Vec::new(),
        }
    }
}

/// Does it change who is in a group of which name? One without members gives nobody anything.
fn says_of_members(before: Option<&Person>, after: Option<&Person>) -> bool {
    let members = |one: Option<&Person>| -> BTreeSet<String> {
        one.into_iter().flat_map(|group| group.members().map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    let (old, new) = (members(before), members(after));
    let name = |one: Option<&Person>| one.map(|group| group.name().to_owned());
    old != new || (name(before) != name(after) && !old.is_empty())
}

/// Does it change who somebody is, or whether they may come in?
fn says_of_access(before: Option<&Person>, after: Option<&Person>) -> bool {
    match (before, after) {
        // Somebody new is in no group; but they may be kept out.
        (None, Some(new)) => !new.is_active(),
        (Some(_), None) => true,
        (Some(old), Some(new)) => old.is_active() != new.is_active() || old.identities() != new.identities(),
        (None, None) => false,
    }
}

fn refused(officer: &Officer, grant: &Grant, lacking: Permissions) -> Error {
    let (role, scope) = (grant.roles.join(", "), grant.scope.told());
    let permission = lacking.names().into_iter().next().unwrap_or_default();
    let message = format!(
        "The {} may not say this: somebody has the role {role} ({scope}) by it, and the permission `{permission}` of that is \
         lacking. The token of the identity provider itself is named in `admin.sso.scim`.",
        officer.name
    );
    Error::new(ErrorKind::Forbidden, message).with_code("forbidden")
}
