//! Roles: what each allows; and `Rules`: what the configuration says of those who administer.

use super::governor::Governor;
use super::grants::{self, Grant};
use super::keys::digest;
use super::officer::{Credential, Officer};
use crate::config::{self, Resolved};
use crate::types::error::{Error, ErrorKind};
use crate::types::permission::{Action, BUILT_IN_ROLES, Permissions, Resource, Scope};
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

/// What the configuration says of those who administer.
#[derive(Debug)]
pub struct Rules {
    /// Every role with what it allows, the built-in ones first.
    roles: Vec<(String, Permissions)>,
    /// Tokens of the configuration by their digests.
    tokens: HashMap<[u8; 32], Officer>,
    /// Knows the accounts, those of the file and those of the admin surface.
    governor: Arc<Governor>,
    group_roles: BTreeMap<String, String>,
    group_accounts: BTreeMap<String, String>,
    /// The token by which the identity provider tells who there is.
    scim: Option<String>,
}

impl Rules {
    /// Reads the configuration. Accounts are those that `governor` knows.
    pub fn new(settings: &Resolved, governor: Arc<Governor>) -> Rules {
        let admin = &settings.admin;
        let own = admin.roles.iter().map(|role| (role.name.clone(), role.permissions));
        let roles = BUILT_IN_ROLES.iter().map(|name| ((*name).to_owned(), built_in(name))).chain(own).collect();
        let (group_roles, group_accounts, scim) = match &admin.sso {
            Some(sso) => (sso.roles.clone(), sso.accounts.clone(), sso.scim.clone()),
            None => Default::default(),
        };
        let mut rules = Rules { roles, tokens: HashMap::new(), governor, group_roles, group_accounts, scim };
        rules.tokens = admin.tokens.iter().map(|token| rules.configured(token)).collect();
        rules
    }

    fn configured(&self, token: &config::AdminToken) -> ([u8; 32], Officer) {
        let scope = match &token.scope {
            Some(account) => Scope::Accounts(Arc::from([account.clone()])),
            None => Scope::Everything,
        };
        // One that ended in 1970 has ended, too: zero stands for never.
        let expires_ms = token.expires.map_or(0, |at| u64::try_from(at.as_millisecond()).unwrap_or(0).max(1));
        let officer = Officer {
            name: format!("token `{}`", token.name),
            grants: Arc::from([self.grant(&token.roles, scope)]),
            credential: Credential::Configured(token.name.clone()),
            identities: Arc::default(),
            expires_ms,
        };
        (digest(token.key.expose()), officer)
    }

    /// Who holds a token of the configuration. The error says that it has expired.
    pub fn by_token(&self, token: &str, now_ms: u64) -> Result<Option<Officer>, Error> {
        // What is looked up is a digest: the time that takes tells nothing of any token.
        match self.tokens.get(&digest(token)) {
            None => Ok(None),
            Some(officer) if has_ended(officer.expires_ms, now_ms) => Err(expired()),
            Some(officer) => Ok(Some(officer.clone())),
        }
    }

    /// Who holds the token of the configuration that has this name, whether it has expired or not.
    pub fn token_named(&self, name: &str) -> Option<&Officer> {
        self.tokens.values().find(|one| matches!(&one.credential, Credential::Configured(own) if own == name))
    }

    /// Is it the identity provider itself that tells who there is?
    pub fn is_directory(&self, officer: &Officer) -> bool {
        matches!((&officer.credential, &self.scim), (Credential::Configured(own), Some(scim)) if own == scim)
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

    /// What these roles allow, as far as `scope` reaches.
    pub fn grant(&self, roles: &[String], scope: Scope) -> Grant {
        Grant { roles: roles.to_vec(), permissions: self.permissions(roles), scope }
    }

    /// The account and all above it, itself first. `None`: there is no such account.
    pub fn above(&self, account: &str) -> Option<Arc<[String]>> {
        self.governor.kind_of_account(account)?;
        Some(self.governor.accounts_from(Some(account)))
    }

    /// Are these still an account and all above it?
    pub fn still_are(&self, accounts: &[String]) -> bool {
        self.governor.still_are(accounts)
    }

    /// What somebody in these groups may: for each group that has a role, that role, as far as that group's account reaches.
    pub fn of_groups(&self, groups: &BTreeSet<String>) -> Vec<Grant> {
        // Groups of one role may stand together: it is the same role, whichever of them gives it.
        let mut by_role: BTreeMap<&String, Vec<Grant>> = BTreeMap::new();
        for (group, role) in groups.iter().filter_map(|group| Some((group, self.group_roles.get(group)?))) {
            let account = self.group_accounts.get(group);
            let scope = account.map_or(Scope::Everything, |name| Scope::Accounts(Arc::from([name.clone()])));
            by_role.entry(role).or_default().push(self.grant(std::slice::from_ref(role), scope));
        }
        let joined =
            |(role, parts): (&String, Vec<Grant>)| self.grant(std::slice::from_ref(role), grants::united(parts.iter()));
        by_role.into_iter().map(joined).collect()
    }

    /// Those of `permissions` that `grants` do not give as far as `scope` reaches.
    pub fn lacking(&self, grants: &[Grant], permissions: Permissions, scope: &Scope) -> Permissions {
        grants::lacking(grants, permissions, scope, &|account| self.above(account))
    }

    /// As far as `grants` give all of `permissions` at once.
    pub fn farthest(&self, grants: &[Grant], permissions: Permissions) -> Scope {
        grants::farthest(grants, permissions, &|account| self.above(account))
    }

    /// `grants`, as far as `limit` gives them as well.
    pub fn narrowed(&self, grants: &[Grant], limit: &[Grant]) -> Vec<Grant> {
        grants::narrowed(grants, limit, &|account| self.above(account))
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

/// Is it over? What never ends has zero.
pub(super) fn has_ended(expires_ms: u64, now_ms: u64) -> bool {
    expires_ms > 0 && expires_ms <= now_ms
}

/// A token has ended.
pub(super) fn expired() -> Error {
    Error::new(ErrorKind::Unauthenticated, "This token of the admin surface has expired.").with_code("expired_token")
}

#[cfg(test)]
mod tests {
    use super::super::officer::Reach;
    use super::*;

    fn rules(yaml: &str) -> Rules {
        let settings = config::parse(yaml, "a.yaml", &config::Overrides::default(), &|_| Some("/tmp".to_owned()));
        let settings = settings.unwrap();
        let governor = Governor::new(&settings, false, HashMap::new(), 0);
        Rules::new(&settings, Arc::new(governor))
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

    const ACCOUNTS: &str = "accounts: [{name: house, kind: organisation}, {name: team, kind: team, in: house}, {name: other, kind: organisation}]\n";
    const SSO: &str = "  sso:\n    issuer: https://i.example\n    client_id: c\n    redirect_url: https://g.example/admin/auth/callback\n";

    fn of(rules: &Rules, names: &[&str]) -> Vec<Grant> {
        rules.of_groups(&names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn each_group_has_a_role_and_that_reaches_as_far_as_its_account() {
        let groups = "    roles: {leads: admin, all: viewer, others: admin, ops: purger}\n    accounts: {leads: team, others: other}\n";
        let roles = "admin:\n  roles: [{name: purger, allow: ['cache:delete']}]\n";
        let rules = rules(&format!("{ACCOUNTS}{roles}{SSO}{groups}"));
        let scope = |names: &[&str]| Scope::Accounts(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of(&rules, &["nobody"]), []);
        assert_eq!(of(&rules, &["ops", "nobody"])[0].permissions, Permissions::named("cache:delete").unwrap());
        // The admin of one team who sees all is no admin of all.
        let both = of(&rules, &["leads", "all"]);
        assert_eq!(grants::scope_of(&both, Resource::Keys, Action::Delete), scope(&["team"]));
        assert_eq!(grants::scope_of(&both, Resource::Routes, Action::Read), Scope::Everything);
        let officer = Officer { grants: both.into(), ..Officer::with_admin_key() };
        assert!(officer.may(Resource::Config, Action::Update, Reach::Whole).is_err());
        assert!(officer.may(Resource::Config, Action::Read, Reach::Whole).is_ok());
        assert!(officer.may(Resource::Keys, Action::Update, Reach::Accounts).is_ok());
        let (team, other) = (rules.above("team").unwrap(), rules.above("other").unwrap());
        assert!(officer.reaches(Resource::Keys, Action::Delete, &team));
        assert!(!officer.reaches(Resource::Keys, Action::Delete, &other));
        // One role of two groups is one grant.
        let two = of(&rules, &["leads", "others"]);
        assert_eq!((two.len(), &two[0].scope), (1, &scope(&["other", "team"])));
        // Whoever loses a group has nothing that they had not before.
        for lost in ["leads", "all", "others"] {
            let all = of(&rules, &["leads", "all", "others"]);
            let left: Vec<&str> = ["leads", "all", "others"].into_iter().filter(|one| *one != lost).collect();
            for grant in of(&rules, &left) {
                assert_eq!(rules.lacking(&all, grant.permissions, &grant.scope), Permissions::NONE, "{lost}");
            }
        }
    }

    #[test]
    fn scopes_are_within_one_another() {
        let rules = rules(ACCOUNTS);
        let scope = |name: &str| Scope::Accounts(Arc::from([name.to_owned()]));
        assert!(
            rules.is_within(&scope("team"), &scope("house")) && rules.is_within(&scope("house"), &Scope::Everything)
        );
        assert!(!rules.is_within(&scope("house"), &scope("team")));
        assert!(
            !rules.is_within(&Scope::Everything, &scope("house")) && !rules.is_within(&scope("gone"), &scope("house"))
        );
    }

    #[test]
    fn accounts_of_the_admin_surface_are_known_too() {
        let rules = rules(ACCOUNTS);
        assert!(rules.above("lab").is_none());
        let lab = config::read_account(r#"{"name": "lab", "kind": "team", "in": "house"}"#).unwrap();
        rules.governor.set_account(&lab, crate::governance::Source::Api, 0);
        assert_eq!(rules.above("lab").unwrap().as_ref(), ["lab", "house"]);
        assert!(rules.still_are(&rules.above("lab").unwrap()) && !rules.still_are(&["lab".to_owned()]));
        assert!(!rules.still_are(&["lab", "other"].map(str::to_owned)) && rules.still_are(&[]));
        rules.governor.remove_account("lab");
        assert!(rules.above("lab").is_none() && !rules.still_are(&["lab", "house"].map(str::to_owned)));
    }

    #[test]
    fn tokens_of_the_configuration_end() {
        let rules = rules(
            "admin: {tokens: [{name: ci, key: ci-0123456789abcdef, roles: [viewer]}, \
             {name: old, key: old-0123456789abcdef, roles: [owner], expires: '2020-01-01T00:00:00Z'}]}",
        );
        let ci = rules.by_token("ci-0123456789abcdef", 0).unwrap().unwrap();
        assert_eq!(ci.name, "token `ci`");
        assert_eq!((rules.token_named("ci"), rules.token_named("nobody")), (Some(&ci), None));
        assert_eq!(ci.may(Resource::Routes, Action::Read, Reach::Whole).map_err(|_| ()), Ok(()));
        let refused = ci.may(Resource::Cache, Action::Delete, Reach::Whole).unwrap_err();
        assert_eq!((refused.status(), refused.code), (403, Some("forbidden")));
        assert!(refused.message.contains("`cache:delete`"), "{refused}");
        assert!(rules.by_token("old-0123456789abcdef", 1_577_836_799_999).unwrap().is_some());
        assert_eq!(rules.by_token("old-0123456789abcdef", 1_577_836_800_000).unwrap_err().code, Some("expired_token"));
        assert!(rules.by_token("nobody", 0).unwrap().is_none());
    }
}
