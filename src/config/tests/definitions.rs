//! Definitions beside the entries of the file; prices.

use crate::config::{Definition, Draft, MASK, Overrides, Section, Unfit, has_secrets, mask, unmask};
use serde_json::{Map, Value, json};
use std::sync::Arc;

fn draft(yaml: &str) -> Draft {
    Draft::parse(yaml.to_owned(), "file.yaml", &Overrides::default(), Arc::new(|_| Some("/home".to_owned()))).unwrap()
}

fn one(section: Section, entry: &Value) -> Definition {
    let name = entry["name"].as_str().unwrap().to_owned();
    Definition { section, name, json: entry.to_string() }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

const FILE: &str = "providers: [{name: up, kind: openai_compatible, base_url: 'http://up.example/v1', api_key: sk-of-file}]\n\
                    models: [{name: m, targets: [{provider: up}]}]\n";

#[test]
fn they_stand_behind_the_entries_of_the_file_and_may_refer_to_each_other() {
    let provider =
        json!({"name": "b", "kind": "openai_compatible", "base_url": "http://b.example/v1", "api_key": "sk-b"});
    let model = json!({"name": "n", "targets": [{"provider": "b"}, {"provider": "up"}]});
    let all = vec![one(Section::Models, &model), one(Section::Providers, &provider)];
    let with = draft(FILE).with(all.clone()).unwrap();
    let names: Vec<&str> = with.settings().providers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["up", "b"]);
    assert_eq!(with.settings().models.len(), 2);
    assert_eq!(with.settings().default_provider.as_deref(), Some("up"), "the file's only one is still everybody's");
    assert_eq!(draft(FILE).settings().default_provider, None);
    assert_eq!(draft("").with(all[1..].to_vec()).unwrap().settings().providers.len(), 1);
    let (name, shown) = &draft(FILE).of_file(Section::Providers)[0];
    assert_eq!((name.as_str(), &shown["api_key"]), ("up", &json!(MASK)));
}

#[test]
fn who_is_at_fault_is_told_with_a_key_of_its_own() {
    let good = json!({"name": "b", "kind": "openai_compatible", "base_url": "http://b.example/v1"});
    let cases = [
        (
            Section::Models,
            json!({"name": "n", "targets": [{"provider": "c"}]}),
            "targets[0].provider",
            "no provider `c`",
        ),
        (Section::Models, json!({"name": "m", "targets": [{"provider": "b"}]}), "", "another model has the name `m`"),
        (Section::Providers, json!({"name": "c", "kind": "openai_compatible"}), "", "`base_url` is missing"),
        (Section::Providers, json!({"name": "up", "kind": "openai"}), "", "another provider has the name `up`"),
        (
            Section::Providers,
            json!({"name": "c", "kind": "openai", "api_key": "vault:a/b#c"}),
            "api_key",
            "store `vault`",
        ),
        (Section::Prices, json!({"name": "p", "provider": "b", "model": "*"}), "", "`price` is missing"),
    ];
    for (section, entry, key, says) in cases {
        let all = vec![one(Section::Providers, &good), one(section, &entry)];
        match draft(FILE).with(all) {
            Err(Unfit::Definition(1, error)) => {
                assert_eq!(error.key, key, "{error}");
                assert!(error.message.contains(says), "{error}");
            }
            other => panic!("{entry}: {other:?}"),
        }
    }
    let open = "secrets: {vault: {address: 'https://vault.example', auth: {token: t-0123456789}}}\nadmin: {secret_stores: [vault]}\n";
    let refers = json!({"name": "c", "kind": "openai", "api_key": "vault:a/b#c"});
    let with = draft(open).with(vec![one(Section::Providers, &refers)]).unwrap();
    assert_eq!(with.place("providers[0].api_key"), Some(0));
    assert_eq!(with.settings().secrets.references.len(), 1);
}

#[test]
fn every_secret_of_a_provider_is_masked() {
    let secret = |at: u32| format!("secret-number-{at}");
    let mut entry = object(json!({
        "name": "a", "kind": "azure", "base_url": "https://a.openai.azure.com", "api_key": secret(1),
        "headers": {"x-one": secret(2)}, "keys": [{"name": "k", "key": secret(3)}], "proxy": secret(4),
        "aws": {"access_key_id": secret(5), "secret_access_key": secret(6), "session_token": secret(7), "external_id": secret(8)},
        "azure": {"client_id": "app", "tenant_id": "t", "client_secret": secret(9)},
    }));
    let whole = entry.clone();
    assert!(has_secrets(Section::Providers, &entry));
    mask(Section::Providers, &mut entry);
    assert!(!Value::Object(entry.clone()).to_string().contains("secret-number"), "{entry:?}");
    assert_eq!(entry["azure"]["client_id"], "app");
    let mut back = entry.clone();
    unmask(&mut back, &whole).unwrap();
    assert_eq!(back, whole);
    for (key, value) in
        [("base_url", json!("https://b.openai.azure.com")), ("kind", json!("openai")), ("proxy", json!("none"))]
    {
        let mut moved = entry.clone();
        moved.insert(key.to_owned(), value);
        assert_eq!(unmask(&mut moved, &whole), Err(key.to_owned()));
    }
    let mut other = object(json!({"keys": [{"name": "other", "key": MASK}]}));
    for key in ["kind", "base_url", "proxy", "aws", "azure"] {
        other.insert(key.to_owned(), entry[key].clone());
    }
    assert_eq!(unmask(&mut other, &whole), Err("keys[0].key".to_owned()), "each key has its own secret");
    let mut refers = object(json!({"name": "a", "api_key": "vault:a/b#c"}));
    assert!(!has_secrets(Section::Providers, &refers));
    mask(Section::Providers, &mut refers);
    assert_eq!(refers["api_key"], "vault:a/b#c");
}
