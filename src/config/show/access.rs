//! Who administers, and whose tokens callers may show, as YAML.

use super::{Yaml, quoted, secret, text, texts};
use crate::config::resolved::{Admin, Issuer, Sso};
use std::collections::BTreeMap;

pub(super) fn admin(yaml: &mut Yaml, admin: &Admin) {
    if *admin == Admin::default() {
        return;
    }
    yaml.map("admin", |yaml| {
        yaml.maybe("key", admin.key.as_ref().map(secret));
        yaml.maybe("listen", admin.listen.as_deref().map(text));
        yaml.list("roles", &admin.roles, |yaml, role| {
            yaml.line("name", &text(&role.name));
            yaml.line("allow", &texts(&role.allow));
        });
        yaml.list("tokens", &admin.tokens, |yaml, token| {
            yaml.line("name", &text(&token.name));
            yaml.line("key", &secret(&token.key));
            yaml.line("roles", &texts(&token.roles));
            yaml.maybe("scope", token.scope.as_deref().map(text));
            yaml.maybe("expires", token.expires.map(|at| quoted(&at.to_string())));
        });
        if let Some(settings) = &admin.sso {
            yaml.map("sso", |yaml| sso(yaml, settings));
        }
        if !admin.secret_stores.is_empty() {
            let words: Vec<String> = admin.secret_stores.iter().map(|store| store.as_str().to_owned()).collect();
            yaml.line("secret_stores", &texts(&words));
        }
    });
}

fn sso(yaml: &mut Yaml, sso: &Sso) {
    yaml.line("issuer", &text(&sso.issuer));
    yaml.line("client_id", &text(&sso.client_id));
    yaml.maybe("client_secret", sso.client_secret.as_ref().map(secret));
    yaml.line("redirect_url", &text(&sso.redirect_url));
    yaml.line("scopes", &texts(&sso.scopes));
    yaml.line("groups_claim", &text(&sso.groups_claim));
    yaml.maybe("user_claim", sso.user_claim.as_deref().map(text));
    groups(yaml, "roles", &sso.roles);
    groups(yaml, "accounts", &sso.accounts);
    yaml.maybe("scim", sso.scim.as_deref().map(text));
    yaml.line("idle_timeout_s", &sso.idle_timeout.as_secs().to_string());
    yaml.line("session_timeout_s", &sso.session_timeout.as_secs().to_string());
}

fn groups(yaml: &mut Yaml, key: &str, groups: &BTreeMap<String, String>) {
    if groups.is_empty() {
        return;
    }
    yaml.map(key, |yaml| groups.iter().for_each(|(group, what)| yaml.line(&quoted(group), &text(what))));
}

pub(super) fn issuers(yaml: &mut Yaml, issuers: &[Issuer]) {
    if issuers.is_empty() {
        return;
    }
    yaml.list("issuers", issuers, |yaml, issuer| {
        yaml.line("name", &text(&issuer.name));
        yaml.line("issuer", &text(&issuer.issuer));
        yaml.line("audience", &texts(&issuer.audiences));
        yaml.maybe("jwks_url", issuer.jwks_url.as_deref().map(text));
        yaml.line("algorithms", &texts(&issuer.algorithms));
        yaml.line("clock_skew_s", &issuer.clock_skew.as_secs().to_string());
        yaml.line("refresh_s", &issuer.refresh.as_secs().to_string());
        yaml.line("replay", issuer.replay.as_str());
        yaml.map("claims", |yaml| {
            yaml.line("name", &text(&issuer.claims.name));
            yaml.maybe("account", issuer.claims.account.as_deref().map(text));
            yaml.maybe("tenant", issuer.claims.tenant.as_deref().map(text));
            yaml.maybe("models", issuer.claims.models.as_deref().map(text));
        });
        yaml.maybe("account", issuer.account.as_deref().map(text));
        if !issuer.models.is_empty() {
            yaml.line("models", &texts(&issuer.models));
        }
    });
}
