//! Secrets by reference, the stores that they lie in, and the key of the database.

use super::*;
use crate::types::reference::Store;
use std::collections::HashMap;
use std::sync::Arc;

const STORES: &str = "secrets:\n  refresh_s: 60\n  timeout_ms: 2500\n  vault: {address: \"https://vault:8200\", namespace: a/b, ca_file: /ca.pem, kv_version: 1, auth: {approle: {role_id: \"env:ROLE_ID\", secret_id: \"env:SECRET_ID\", mount: own/approle}}}\n  aws: {region: eu-west-1, endpoint: \"http://aws:1\", access_key_id: \"file:/id\", secret_access_key: \"file:/key\", role_arn: \"arn:aws:iam::1:role/r\", sts_url: \"http://sts:1\"}\n  gcp: {endpoint: \"http://gcp:1\", credentials_file: /gcp.json, token_url: \"http://token:1\"}\n  azure: {domain: vault.azure.cn, endpoint: \"http://azure:1\", tenant_id: t, client_id: c, client_secret: \"env:AZ\", token_url: \"http://entra:1\"}\n";

const REFERRING: &str = "auth: {keys: [{name: a, key: \"vault:kv/a#k\"}, {name: b, key: \"vault:kv/b#k\"}]}\nadmin: {key: \"file:/admin\"}\nstore: {encryption_key: \"env:MASTER\", former_encryption_keys: [\"aws-sm:old\"]}\nproviders:\n  - name: p\n    kind: openai_compatible\n    base_url: http://x/v1\n    headers: {X-Org: \"azure-kv:v/org\"}\n    proxy: \"env:PROXY\"\n    keys: [{name: one, key: \"gcp-sm:projects/p/secrets/s/versions/1\"}, {name: two, key: \"literal:env:NOT_READ\"}]\n";

fn draft(text: &str) -> Draft {
    Draft::parse(text.to_owned(), "a.yaml", &Overrides::default(), Arc::new(env))
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn references_stand_wherever_a_secret_does_and_are_shown() {
    let text = format!("{STORES}{REFERRING}");
    let settings = read(&text).unwrap();
    let found: Vec<(&str, &str)> =
        settings.secrets.references.iter().map(|one| (one.key.as_str(), one.reference.as_str())).collect();
    for expected in [
        ("secrets.vault.auth.approle.secret_id", "env:SECRET_ID"),
        ("secrets.aws.access_key_id", "file:/id"),
        ("auth.keys[0].key", "vault:kv/a#k"),
        ("admin.key", "file:/admin"),
        ("store.encryption_key", "env:MASTER"),
        ("store.former_encryption_keys[0]", "aws-sm:old"),
        ("providers[0].headers.X-Org", "azure-kv:v/org"),
        ("providers[0].proxy", "env:PROXY"),
        ("providers[0].keys[0].key", "gcp-sm:projects/p/secrets/s/versions/1"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert!(settings.secrets.references.iter().all(|one| !one.read && one.at.is_some()));
    assert_eq!(found.len(), 13);
    let shown = settings.show();
    assert!(found.iter().all(|(_, reference)| shown.contains(reference)), "{shown}");
    // A secret that only looks like a reference is masked; what is shown can be read again.
    assert!(!shown.contains("NOT_READ") && shown.contains("[secret]"));
    let again = read(&shown).unwrap();
    let stores = |settings: &Resolved| Secrets { references: Vec::new(), ..settings.secrets.clone() };
    assert_eq!(stores(&again), stores(&settings));
    assert_eq!((again.store, again.admin), (settings.store, settings.admin));
}

#[test]
fn values_are_put_in_their_places_and_checked_there() {
    let draft = draft(&format!("{STORES}{REFERRING}"));
    let mut values: HashMap<String, Secret> = draft
        .settings()
        .secrets
        .references
        .iter()
        .map(|one| (one.reference.as_str().to_owned(), Secret::new(format!("{HIDDEN}-{}", one.key))))
        .collect();
    let put = |values: &mut HashMap<String, Secret>, reference: &str, value: &str| {
        values.insert(reference.to_owned(), Secret::new(value));
    };
    put(&mut values, "env:PROXY", "http://u:pw@proxy:1");
    for master in ["env:MASTER", "aws-sm:old"] {
        put(&mut values, master, &"0f".repeat(32));
    }
    let settings = draft.filled(&values).unwrap();
    assert!(settings.secrets.references.iter().all(|one| one.read));
    assert_eq!(settings.auth.keys[1].key.expose(), format!("{HIDDEN}-auth.keys[1].key"));
    assert_eq!(settings.providers[0].keys[1].key.expose(), "env:NOT_READ");
    assert_eq!(master_key(settings.store.encryption_key.as_ref().unwrap()), Some([0x0f; 32]));
    assert_eq!(settings.show(), draft.settings().show(), "what is shown tells nothing of the values");
    let table = [
        (
            "vault:kv/b#k",
            values["vault:kv/a#k"].expose().to_owned(),
            "auth.keys[1]: the key is the same as that of `a`",
        ),
        ("vault:kv/b#k", "short".to_owned(), "auth.keys[1].key: expected a key of at least 16 characters"),
        ("file:/admin", values["vault:kv/a#k"].expose().to_owned(), "the same as that of the caller `a`"),
        ("azure-kv:v/org", " x ".to_owned(), "providers[0].headers.X-Org: expected the value of an HTTP header"),
        ("env:PROXY", format!("ftp://{HIDDEN}"), "providers[0].proxy: expected the address of a proxy"),
        ("env:MASTER", HIDDEN.to_owned(), "store.encryption_key: expected 32 bytes"),
        ("file:/id", format!("{HIDDEN}\n"), "secrets.aws.access_key_id: expected visible ASCII"),
    ];
    for (reference, value, words) in table {
        let mut wrong = values.clone();
        put(&mut wrong, reference, &value);
        let error = draft.filled(&wrong).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains(HIDDEN), "{error}");
    }
}

#[test]
fn what_a_variable_holds_is_no_reference() {
    let env = |name: &str| Some(if name == "HOME" { "/home/ada".to_owned() } else { "vault:a/b#c".to_owned() });
    let parse = |text: &str| parse(text, "a.yaml", &Overrides::default(), &env).unwrap();
    let settings = parse("admin: {key: '${K}0123456789'}");
    assert_eq!(settings.admin.key.unwrap().expose(), "vault:a/b#c0123456789");
    assert!(settings.secrets.references.is_empty());
    let within = read("admin: {key: 'file:/run/${COUNT}/key'}").unwrap();
    assert_eq!(within.secrets.references[0].reference.place, "/run/7/key");
    // Other texts that begin so are what they are.
    let settings = read("topics: [{name: t, examples: ['env:X', 'vault:a']}]\nadmin: {key: 'env:X'}").unwrap();
    assert_eq!((settings.secrets.references.len(), settings.secrets.references[0].reference.store), (1, Store::Env));
}

#[test]
fn stores_that_cannot_be_opened_are_refused() {
    let vault = |inside: &str| format!("secrets: {{vault: {{address: \"http://v:1\", auth: {inside}}}}}");
    let refers = |reference: &str| format!("admin: {{key: \"{reference}\"}}");
    let table = [
        (refers("vault:a/b#c"), "secrets.vault: the settings refer to Vault, and its address is not known"),
        (refers("azure-kv:a/b"), "secrets.azure: the settings refer to Azure Key Vault, and nothing says how"),
        (
            refers("vault:sk-hidden"),
            "admin.key: a reference to the store `vault` that has not the form `vault:MOUNT/PATH#FIELD`",
        ),
        ("secrets: {vualt: {}}".to_owned(), "secrets: unknown key `vualt`"),
        ("secrets: {refresh_s: 0}".to_owned(), "secrets.refresh_s: expected a whole number from 1"),
        (vault("{}"), "secrets.vault.auth: how Vault is signed in to is not known"),
        (vault("{token: a, approle: {role_id: b}}"), "secrets.vault.auth: `token` and `approle` are two ways"),
        (
            vault("{token: 'vault:a/b#c'}"),
            "secrets.vault.auth.token: what opens a store cannot lie in the store `vault`",
        ),
        (vault("{approle: {}}"), "the key `role_id` is missing"),
        (vault("{approle: {role_id: a, mount: a/../b}}"), "mount: expected the path of a mount"),
        (vault("{kubernetes: {}}"), "the key `role` is missing"),
        ("secrets: {vault: {address: nowhere, auth: {token: a}}}".to_owned(), "secrets.vault.address: "),
        ("secrets: {aws: {access_key_id: a}}".to_owned(), "`access_key_id` is there and `secret_access_key` is not"),
        ("secrets: {azure: {client_id: a}}".to_owned(), "`client_id` is there and `tenant_id` is not"),
        ("secrets: {azure: {domain: 'a/b'}}".to_owned(), "secrets.azure.domain: expected a domain"),
        ("store: {encryption_key: short}".to_owned(), "store.encryption_key: expected 32 bytes"),
        ("store: {former_encryption_keys: [a]}".to_owned(), "there are former keys and no `encryption_key`"),
    ];
    for (text, words) in table {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("hidden"), "{error}\n{words}");
    }
}
