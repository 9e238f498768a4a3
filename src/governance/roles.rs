//! Roles: what each allows; and `Officer`: somebody who administers, with what they may and how far that reaches.

use super::keys::digest;
use crate::config::{self, Resolved};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::{self, Action, BUILT_IN_ROLES, Permissions, Resource, Scope};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What a built-in role allows.
fn built_in(role: &str) -> Permissions {
    use Action::{Create, Delete, Read, Update};
    use Resource::{
        Accounts, Audit, Cache, Config, Guardrails, Keys, People, Providers, Requests, Roles, Routes, Usage,
    };
    let everything = Permissions::all();
    let reading = Permissions::of(&Resource::ALL, &[Read]);
    let changing = &[Create, Update, Delete];
    match role {
        "owner" => everything,
        // Rules about rules, and what is kept for others to check, are the owner's.
        "admin" => everything.without(Permissions::of(&[Roles, Audit], changing)),
        "editor" => Permissions::of(&[Cache, Routes, Providers, Accounts, Keys, Guardrails], &Action::ALL)
            .and(Permissions::of(&[Config, Usage, Roles], &[Read])),
        "auditor" => reading,
        // No text of anybody's, and nobody's name: what the cache holds is what people asked.
        "viewer" => reading.without(Permissions::of(&[Cache, Requests, Audit, People, Resource::Tokens], &[Read])),
        "key_holder" => Permissions::of(&[Keys], &Action::ALL).and(Permissions::of(&[Usage, Accounts], &[Read])),
        _ => Permissions::NONE,
    }
}

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
    /// A token of the configuration.
    Configured,
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
    /// Names of their roles.
    pub roles: Vec<String>,
    /// What these allow.
    pub permissions: Permissions,
    /// How far that reaches.
    pub scope: Scope,
    /// How they are known.
    pub credential: Credential,
    /// Names by which an identity provider and SCIM know them; empty for programs.
    pub identities: Arc<[String]>,
}

impl Officer {
    /// Who holds the admin key.
    pub fn with_admin_key() -> Officer {
        Officer {
            name: "admin key".to_owned(),
            roles: vec!["owner".to_owned()],
            permissions: Permissions::all(),
            scope: Scope::Everything,
            credential: Credential::Key,
            identities: Arc::default(),
        }
    }

    /// May they? The error names the permission that is lacking.
    pub fn may(&self, resource: Resource, action: Action, reach: Reach) -> Result<(), Error> {
        let (permission, who) = (permission::name(resource, action), &self.name);
        let lacking = if !self.permissions.allow(resource, action) {
            format!("The {who} has not the permission `{permission}`, which this takes.")
        } else if reach == Reach::Whole && self.scope != Scope::Everything {
            let scope = self.scope.told();
            format!("This takes the permission `{permission}` for everything; the {who} has it for {scope} only.")
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Forbidden, lacking).with_code("forbidden"))
    }

    /// Does what they may reach something of the account that `above` begins with? See [`Scope::reaches`].
    pub fn reaches(&self, above: &[String]) -> bool {
        self.scope.reaches(above)
    }
}

/// What the configuration says of those who administer.
#[derive(Debug)]
pub struct Rules {
    /// Every role with what it allows, the built-in ones first.
    roles: Vec<(String, Permissions)>,
    /// Tokens of the configuration by their digests, and when they end.
    tokens: HashMap<[u8; 32], (Officer, Option<u64>)>,
    /// Each account with all above it, itself first.
    above: HashMap<String, Arc<[String]>>,
    group_roles: BTreeMap<String, String>,
    group_accounts: BTreeMap<String, String>,
}

impl Rules {
    /// Reads the configuration.
    pub fn new(settings: &Resolved) -> Rules {
        let admin = &settings.admin;
        let own = admin.roles.iter().map(|role| (role.name.clone(), role.permissions));
        let roles = BUILT_IN_ROLES.iter().map(|name| ((*name).to_owned(), built_in(name))).chain(own).collect();
        let (group_roles, group_accounts) = match &admin.sso {
            Some(sso) => (sso.roles.clone(), sso.accounts.clone()),
            None => Default::default(),
        };
        let above = settings.accounts.iter().map(|one| (one.name.clone(), chain(one, &settings.accounts))).collect();
        let mut rules = Rules { roles, tokens: HashMap::new(), above, group_roles, group_accounts };
        rules.tokens = admin.tokens.iter().map(|token| rules.configured(token)).collect();
        rules
    }

    fn configured(&self, token: &config::AdminToken) -> ([u8; 32], (Officer, Option<u64>)) {
        let scope = match &token.scope {
            Some(account) => Scope::Accounts(Arc::from([account.clone()])),
            None => Scope::Everything,
        };
        let officer = Officer {
            name: format!("token `{}`", token.name),
            permissions: self.permissions(&token.roles),
            roles: token.roles.clone(),
            scope,
            credential: Credential::Configured,
            identities: Arc::default(),
        };
        let expires_ms = token.expires.map(|at| u64::try_from(at.as_millisecond()).unwrap_or(0));
        (digest(token.key.expose()), (officer, expires_ms))
    }

    /// Who holds a token of the configuration. The error says that it has expired.
    pub fn by_token(&self, token: &str, now_ms: u64) -> Result<Option<Officer>, Error> {
        // What is looked up is a digest: the time that takes tells nothing of any token.
        match self.tokens.get(&digest(token)) {
            None => Ok(None),
            Some((_, Some(end))) if *end <= now_ms => Err(expired()),
            Some((officer, _)) => Ok(Some(officer.clone())),
        }
    }

    /// Every role with what it allows.
    pub fn roles(&self) -> &[(String, Permissions)] {
        &self.roles
    }

    /// Is there a role of that name?
    pub fn knows_role(&self, name: &str) -> bool {
        self.roles.iter().any(|(role, _)| role == name)
    }

    /// What these roles allow together. A role that is no more allows nothing.
    pub fn permissions(&self, names: &[String]) -> Permissions {
        let named = self.roles.iter().filter(|(role, _)| names.contains(role));
        named.fold(Permissions::NONE, |all, (_, one)| all.and(*one))
    }

    /// The account and all above it, itself first. `None`: there is no such account.
    pub fn above(&self, account: &str) -> Option<Arc<[String]>> {
        self.above.get(account).cloned()
    }

    /// The roles and the scope of somebody in these groups: no role, where no group has one.
    pub fn of_groups(&self, groups: &BTreeSet<String>) -> (Vec<String>, Scope) {
        let of = |table: &BTreeMap<String, String>| {
            let found: BTreeSet<String> = groups.iter().filter_map(|group| table.get(group).cloned()).collect();
            found.into_iter().collect::<Vec<String>>()
        };
        let accounts = of(&self.group_accounts);
        let scope = if accounts.is_empty() { Scope::Everything } else { Scope::Accounts(Arc::from(accounts)) };
        (of(&self.group_roles), scope)
    }

    /// Does `inner` reach no further than `outer`?
    pub fn is_within(&self, inner: &Scope, outer: &Scope) -> bool {
        match (inner, outer) {
            (_, Scope::Everything) => true,
            (Scope::Everything, Scope::Accounts(_)) => false,
            (Scope::Accounts(accounts), _) => {
                accounts.iter().all(|one| self.above(one).is_some_and(|above| outer.reaches(&above)))
            }
        }
    }
}

/// A token has ended.
pub(super) fn expired() -> Error {
    Error::new(ErrorKind::Unauthenticated, "This token of the admin surface has expired.").with_code("expired_token")
}

/// The account, and all above it.
fn chain(account: &config::Account, accounts: &[config::Account]) -> Arc<[String]> {
    let find = |name: &str| accounts.iter().find(|one| one.name == name);
    let all = std::iter::successors(Some(account), |one| one.parent.as_deref().and_then(find));
    all.map(|one| one.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(yaml: &str) -> Rules {
        Rules::new(&config::parse(yaml, "a.yaml", &config::Overrides::default(), &|_| Some("/tmp".to_owned())).unwrap())
    }

    #[test]
    fn every_built_in_role_allows_something_and_less_than_the_one_that_made_it() {
        for role in BUILT_IN_ROLES {
            assert!(built_in(role) != Permissions::NONE, "{role}");
            assert_eq!(built_in(role) == Permissions::all(), role == "owner", "{role}");
        }
        assert_eq!(built_in("king"), Permissions::NONE);
        assert!(built_in("viewer").are_within(built_in("auditor")));
        assert!(!built_in("viewer").allow(Resource::Requests, Action::Read));
        assert!(!built_in("admin").allow(Resource::Roles, Action::Update));
        for role in ["auditor", "viewer"] {
            let changes = [Action::Create, Action::Update, Action::Delete];
            assert!(built_in(role).are_within(Permissions::all().without(Permissions::of(&Resource::ALL, &changes))));
        }
    }

    #[test]
    fn the_guide_has_the_table_of_roles() {
        let mut table = BUILT_IN_ROLES.map(|role| format!("`{role}` |")).join(" ");
        table = format!("| | {table}\n|---|{}\n", "---|".repeat(BUILT_IN_ROLES.len()));
        for resource in Resource::ALL {
            let cell = |role: &str| {
                let letters = Action::ALL.into_iter().filter(|action| built_in(role).allow(resource, *action));
                let letters: String = letters.map(|action| &action.as_str()[..1]).collect();
                if letters.is_empty() { "–".to_owned() } else { letters }
            };
            table += &format!("| `{}` | {} |\n", resource.as_str(), BUILT_IN_ROLES.map(cell).join(" | "));
        }
        assert!(include_str!("../../docs/access.md").contains(&table), "docs/access.md lacks\n{table}");
    }

    #[test]
    fn groups_have_roles_and_accounts() {
        let rules = rules(
            "accounts: [{name: house, kind: organisation}, {name: team, kind: team, in: house}, {name: other, kind: organisation}]\n\
             admin:\n  roles: [{name: purger, allow: ['cache:delete']}]\n  \
             sso:\n    issuer: https://i.example\n    client_id: c\n    redirect_url: https://g.example/admin/auth/callback\n    \
             roles: {ops: purger, lords: owner}\n    accounts: {ops: team}\n",
        );
        let of = |names: &[&str]| rules.of_groups(&names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of(&["nobody"]), (vec![], Scope::Everything));
        let (roles, scope) = of(&["ops", "nobody"]);
        assert_eq!(rules.permissions(&roles), Permissions::named("cache:delete").unwrap());
        assert!(scope.reaches(&rules.above("team").unwrap()) && !scope.reaches(&rules.above("house").unwrap()));
        let house = Scope::Accounts(Arc::from(["house".to_owned()]));
        assert!(rules.is_within(&scope, &house) && rules.is_within(&house, &Scope::Everything));
        assert!(!rules.is_within(&house, &scope) && !rules.is_within(&Scope::Everything, &house));
        let gone = Scope::Accounts(Arc::from(["gone".to_owned()]));
        assert!(!rules.is_within(&gone, &house));
    }

    #[test]
    fn tokens_of_the_configuration_end() {
        let rules = rules(
            "admin: {tokens: [{name: ci, key: ci-0123456789abcdef, roles: [viewer]}, \
             {name: old, key: old-0123456789abcdef, roles: [owner], expires: '2020-01-01T00:00:00Z'}]}",
        );
        let ci = rules.by_token("ci-0123456789abcdef", 0).unwrap().unwrap();
        assert_eq!(ci.name, "token `ci`");
        assert_eq!(ci.may(Resource::Routes, Action::Read, Reach::Whole).map_err(|_| ()), Ok(()));
        let refused = ci.may(Resource::Cache, Action::Delete, Reach::Whole).unwrap_err();
        assert_eq!((refused.status(), refused.code), (403, Some("forbidden")));
        assert!(refused.message.contains("`cache:delete`"), "{refused}");
        assert!(rules.by_token("old-0123456789abcdef", 1_577_836_799_999).unwrap().is_some());
        assert_eq!(rules.by_token("old-0123456789abcdef", 1_577_836_800_000).unwrap_err().code, Some("expired_token"));
        assert!(rules.by_token("nobody", 0).unwrap().is_none());
    }
}
