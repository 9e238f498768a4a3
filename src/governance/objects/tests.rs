//! Objects that are made, changed and taken away, and what is in force of them.

use super::*;
use crate::config::Overrides;
use crate::governance::virtual_key::Hasher;
use crate::governance::{Asked, Entering};
use crate::types::directives::Directives;

const NOW: u64 = 1_000_000;

fn settings(yaml: &str) -> config::Resolved {
    let env = |name: &str| (name == "HOME").then(|| "/nowhere".to_owned());
    config::parse(yaml, "a.yaml", &Overrides::default(), &env).unwrap_or_else(|error| panic!("{error}"))
}

async fn objects(yaml: &str, database: Database) -> Objects {
    let settings = settings(yaml);
    let governor = Arc::new(Governor::new(&settings, false, HashMap::new(), NOW));
    let keys = Arc::new(VirtualKeys::new(Hasher::new([3; 32])));
    Objects::open(database, governor, keys, &settings, Arc::default(), NOW).await.unwrap()
}

fn bytes(value: Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String) {
    let error = result.unwrap_err();
    (error.status(), error.code.unwrap_or_default().to_owned())
}

impl Objects {
    /// Whether `secret` may ask for `model`: an error's code, if not.
    fn may(&self, secret: &Secret, model: &str, now_ms: u64) -> Result<Caller, String> {
        let caller = self.keys.holder(secret.expose(), now_ms).ok_or("unknown")?;
        let about = Entering { surface: None, address: None, now_ms, path: "/" };
        let told = |error: Error| error.code.unwrap_or_default().to_owned();
        self.governor.enter(&caller, &about, &mut Directives::default()).map_err(told)?;
        self.governor.admit(&caller, &Asked { model, ..Asked::default() }, now_ms).map_err(told)?;
        Ok((*caller).clone())
    }
}

#[tokio::test]
async fn a_key_is_good_from_the_moment_it_is_made_to_the_moment_it_is_taken_away() {
    let database = Database::in_memory().await.unwrap();
    let objects = objects("accounts: [{name: house, kind: organisation}]", database.clone()).await;
    let team = json(r#"{"name": "lab", "kind": "team", "in": "house", "models": ["small", "large"]}"#);
    objects.create_account(&team, false, NOW).await.unwrap();
    let key = json(r#"{"name": "ci", "account": "lab", "rate_limits": [{"requests": 2, "per": "day"}]}"#);
    let (object, secret) = objects.create_key(&key, false, NOW).await.unwrap();
    let secret = secret.unwrap();
    assert!(secret.expose().starts_with(object.hint.trim_end_matches('…')) && object.version > 1);
    let caller = objects.may(&secret, "small", NOW).unwrap();
    assert_eq!(&*caller.accounts, ["lab".to_owned(), "house".to_owned()]);
    assert_eq!(objects.may(&secret, "huge", NOW).unwrap_err(), "model_not_allowed", "of the team");
    // Another process finds it as it was, and nobody can read the secret there.
    let again = super::tests::objects("accounts: [{name: house, kind: organisation}]", database.clone()).await;
    assert!(again.may(&secret, "large", NOW).is_ok());
    let hashes = database.hashes(None).await.unwrap();
    assert!(hashes.len() == 1 && !hashes[0].hash.contains(&secret.expose()[6..]));
    // Switched off and on again; then taken away.
    let off = Condition { version: Some(object.version), dry_run: false };
    objects.patch(Kind::Key, "ci", br#"{"enabled": false}"#, off, NOW).await.unwrap();
    assert_eq!(objects.may(&secret, "small", NOW).unwrap_err(), "disabled_api_key");
    assert_eq!(code(objects.patch(Kind::Key, "ci", b"{}", off, NOW).await), (412, "version_changed".into()));
    let any = Condition::default();
    objects.patch(Kind::Key, "ci", br#"{"enabled": null}"#, any, NOW).await.unwrap();
    assert!(objects.may(&secret, "small", NOW).is_ok());
    assert_eq!(objects.may(&secret, "small", NOW).unwrap_err(), "rate_limit_exceeded", "what was used stays used");
    assert_eq!(code(objects.delete(Kind::Account, "lab", any, NOW).await), (409, "account_not_empty".into()));
    objects.delete(Kind::Key, "ci", any, NOW).await.unwrap();
    assert_eq!(objects.may(&secret, "small", NOW).unwrap_err(), "unknown");
    assert!(database.hashes(None).await.unwrap().is_empty());
    objects.delete(Kind::Account, "lab", any, NOW).await.unwrap();
    assert_eq!(code(objects.get(Kind::Account, "lab").await), (404, "object_not_found".into()));
    // The name may be used again; by then it is another tenant.
    let (_, other) = objects.create_key(br#"{"name": "ci"}"#, false, NOW).await.unwrap();
    assert!(objects.may(&other.unwrap(), "huge", NOW).unwrap().tenant != caller.tenant);
    // The other process hears of all that.
    again.refresh(NOW).await.unwrap();
    assert_eq!(again.may(&secret, "small", NOW).unwrap_err(), "unknown");
}

fn json(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[tokio::test]
async fn a_rotated_key_is_good_beside_the_new_one_for_as_long_as_was_said() {
    let objects = objects("", Database::in_memory().await.unwrap()).await;
    let any = Condition::default();
    let first = objects.create_key(br#"{"name": "k"}"#, false, NOW).await.unwrap().1.unwrap();
    let second = objects.rotate("k", Duration::from_millis(100), any, NOW).await.unwrap().1.unwrap();
    assert!(objects.may(&first, "m", NOW + 99).is_ok() && objects.may(&second, "m", NOW + 99).is_ok());
    assert!(objects.may(&first, "m", NOW + 100).is_err() && objects.may(&second, "m", NOW + 1_000_000).is_ok());
    let third = objects.rotate("k", Duration::ZERO, any, NOW + 1).await.unwrap().1.unwrap();
    assert!(objects.may(&second, "m", NOW + 1).is_err() && objects.may(&third, "m", NOW + 1).is_ok());
    assert!(objects.may(&first, "m", NOW + 1).is_err(), "no old one is good for longer than the latest word");
    let dry = Condition { dry_run: true, ..any };
    assert!(objects.rotate("k", Duration::ZERO, dry, NOW).await.unwrap().1.is_none());
    assert!(objects.may(&third, "m", NOW).is_ok());
}

#[tokio::test]
async fn each_object_has_one_owner() {
    let yaml = "accounts: [{name: house, kind: organisation}]\nauth: {keys: [{name: k, key: sk-one-0123456789, account: house}]}";
    let database = Database::in_memory().await.unwrap();
    let objects = objects(yaml, database.clone()).await;
    let any = Condition::default();
    assert_eq!(code(objects.patch(Kind::Key, "k", b"{}", any, NOW).await), (409, "owned_by_file".into()));
    assert_eq!(code(objects.delete(Kind::Account, "house", any, NOW).await), (409, "owned_by_file".into()));
    assert_eq!(code(objects.create_key(br#"{"name": "k"}"#, false, NOW).await), (409, "name_taken".into()));
    let made = objects.create_key(br#"{"name": "l", "models": ["x"]}"#, false, NOW).await.unwrap().1.unwrap();
    assert_eq!(code(objects.create_key(br#"{"name": "l"}"#, false, NOW).await), (409, "name_taken".into()));
    let (page, more) = objects.page(Kind::Key, "", 1).await.unwrap();
    assert_eq!((page[0].name(), page[0].source, more), ("k", Source::File, true));
    let (page, more) = objects.page(Kind::Key, "k", 1).await.unwrap();
    assert_eq!((page[0].name(), page[0].source, more), ("l", Source::Api, false));
    // The file takes the name: its key is in force, until it lets go of it.
    let both = settings(&yaml.replace("account: house}", "account: house}, {name: l, key: sk-two-0123456789}"));
    objects.governor.reconfigure(&both, NOW);
    objects.reconfigure(&both, NOW).await.unwrap();
    assert_eq!(objects.may(&made, "x", NOW).unwrap_err(), "unknown");
    let (page, _) = objects.page(Kind::Key, "k", 5).await.unwrap();
    assert_eq!(
        page.iter().map(|one| (one.source, one.shadowed)).collect::<Vec<_>>(),
        [(Source::Api, true), (Source::File, false)]
    );
    let before = settings(yaml);
    objects.governor.reconfigure(&before, NOW);
    objects.reconfigure(&before, NOW).await.unwrap();
    assert!(objects.may(&made, "x", NOW).is_ok() && objects.may(&made, "y", NOW).is_err());
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_says_where() {
    let objects = objects("accounts: [{name: lab, kind: team}]", Database::in_memory().await.unwrap()).await;
    for (body, param) in [
        (r#"{"name": "a"}"#, ""),
        (r#"{"name": "a", "kind": "band"}"#, "kind"),
        (r#"{"name": "a", "kind": "customer", "in": "lab"}"#, "in"),
        (r#"{"name": "a", "kind": "user", "in": "nobody"}"#, "in"),
        (r#"{"name": "a b", "kind": "user"}"#, "name"),
        (r#"{"name": "a", "kind": "user", "budget": []}"#, ""),
        (r#"{"name": "a", "kind": "user", "budgets": [{"usd": -1, "per": "day"}]}"#, "budgets[0].usd"),
        (r#"{"name": "a", "kind": "user", "addresses": ["10.0.0"]}"#, "addresses[0]"),
        (r#"{"name": "a", "kind": "user", "surfaces": ["chat"]}"#, "surfaces[0]"),
    ] {
        let error = objects.create_account(body.as_bytes(), false, NOW).await.unwrap_err();
        assert_eq!((error.status(), error.param.as_deref()), (400, Some(param)), "{body}: {error}");
    }
    assert_eq!(objects.create_account(b"[1]", false, NOW).await.unwrap_err().status(), 400);
    assert_eq!(objects.create_key(br#"{"name": "k", "account": "x"}"#, false, NOW).await.unwrap_err().status(), 400);
    let dry = objects.create_account(br#"{"name": "a", "kind": "user", "in": "lab"}"#, true, NOW).await.unwrap();
    assert_eq!(dry.name(), "a");
    assert_eq!(code(objects.get(Kind::Account, "a").await).0, 404, "only tried");
}

#[tokio::test]
async fn an_account_that_moves_takes_its_keys_along() {
    let objects = objects(
        "accounts: [{name: a, kind: customer}, {name: b, kind: customer}]",
        Database::in_memory().await.unwrap(),
    )
    .await;
    objects.create_account(br#"{"name": "lab", "kind": "team", "in": "a"}"#, false, NOW).await.unwrap();
    let secret = objects.create_key(br#"{"name": "k", "account": "lab"}"#, false, NOW).await.unwrap().1.unwrap();
    assert_eq!(objects.may(&secret, "m", NOW).unwrap().accounts.join(" "), "lab a");
    objects.patch(Kind::Account, "lab", br#"{"in": "b", "models": ["m"]}"#, Condition::default(), NOW).await.unwrap();
    assert_eq!(objects.may(&secret, "m", NOW).unwrap().accounts.join(" "), "lab b");
    assert!(objects.may(&secret, "n", NOW).is_err());
    let renamed = objects.patch(Kind::Account, "lab", br#"{"name": "x"}"#, Condition::default(), NOW).await;
    assert_eq!(renamed.unwrap_err().param.as_deref(), Some("name"));
}

#[test]
fn a_patch_merges() {
    let merged = |one: Value, other: Value| {
        let (Value::Object(mut one), Value::Object(other)) = (one, other) else { panic!() };
        merge(&mut one, other);
        Value::Object(one)
    };
    use serde_json::json;
    // The cases of RFC 7396, appendix A, whose documents are objects.
    for (one, other, both) in [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
    ] {
        assert_eq!(merged(one, other), both);
    }
    assert!(read(&bytes(json!({"a": "x".repeat(MOST_BYTES)}))).is_err());
}
