//! Tenant isolation: whatever parts two requests, they never share an answer.

use crate::support::{Gateway, Given, Reply, Upstream, ask};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;

const KEYS: [&str; 3] = ["key-a-0123456789ab", "key-b-0123456789ab", "key-c-0123456789ab"];

/// Keys a and b are of one tenant, c is of another.
async fn three_keys(upstream: &Upstream, more: &str) -> Gateway {
    let auth = format!(
        "auth:\n  keys:\n    - {{name: a, key: {}, tenant: red}}\n    - {{name: b, key: {}, tenant: red}}\n    - {{name: c, key: {}}}\n{more}",
        KEYS[0], KEYS[1], KEYS[2]
    );
    Given::one(upstream, &auth).semantic().start().await
}

async fn by(gateway: &Gateway, key: &str, body: &Value) -> Reply {
    gateway.chat_with(body, &[("authorization", &format!("Bearer {key}"))]).await
}

#[tokio::test]
async fn a_wrong_key_and_a_missing_one_are_told_apart() {
    let upstream = Upstream::counting().await;
    let gateway = three_keys(&upstream, "").await;
    assert_eq!(by(&gateway, "nobody-0123456789ab", &ask("x")).await.error(), (401, "invalid_api_key".to_owned()));
    let missing = gateway.chat(&ask("x")).await;
    assert_eq!(missing.error(), (401, "missing_api_key".to_owned()));
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    for path in ["/v1/models", "/v1/models/m"] {
        assert_eq!(gateway.get(path).await.error().0, 401, "{path}");
    }
    let basic = gateway.chat_with(&ask("x"), &[("authorization", "Basic a2V5LWEtMDEyMzQ1Njc4OWFi")]).await;
    assert_eq!(basic.error().0, 401);
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn keys_of_one_tenant_share_and_others_do_not() {
    let upstream = Upstream::counting().await;
    let gateway = three_keys(&upstream, "").await;
    assert_eq!(by(&gateway, KEYS[0], &ask("x")).await.words(), "answer 1");
    assert_eq!(by(&gateway, KEYS[1], &ask("x")).await.cache(), "hit/exact");
    assert_eq!(by(&gateway, KEYS[2], &ask("x")).await.words(), "answer 2");
}

#[tokio::test]
async fn in_an_open_gateway_the_token_is_the_tenant() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "cache: {semantic: {threshold: 0.5}}").semantic().start().await;
    let question = ask("How do I reset my password?");
    assert_eq!(gateway.chat(&question).await.words(), "answer 1");
    assert_eq!(by(&gateway, "one", &question).await.words(), "answer 2");
    assert_eq!(by(&gateway, "two", &question).await.words(), "answer 3");
    assert_eq!(by(&gateway, "one", &question).await.words(), "answer 2");
    assert_eq!(gateway.chat(&question).await.words(), "answer 1");
}

/// Everything that may part two requests, each with some values; the question is always the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Variant {
    key: usize,
    system: usize,
    history: usize,
    sub_scope: usize,
    model: usize,
    fields: [usize; 6],
}

const FIELDS: [(&str, [&str; 3]); 6] = [
    ("temperature", ["", "0.5", "0.51"]),
    (
        "tools",
        ["", r#"[{"type":"function","function":{"name":"f"}}]"#, r#"[{"type":"function","function":{"name":"g"}}]"#],
    ),
    ("response_format", ["", r#"{"type":"json_object"}"#, r#"{"type":"text"}"#]),
    ("max_tokens", ["", "10", "11"]),
    ("n", ["", "1", "2"]),
    ("x_unknown", ["", "null", r#"{"a":[1]}"#]),
];
const MODELS: [&str; 2] = ["m", "m2"];
const SYSTEMS: [&str; 4] = ["", "Be brief.", "Be  brief.", "be brief."];
const HISTORIES: [&[(&str, &str)]; 4] = [
    &[],
    &[("user", "a"), ("assistant", "b")],
    &[("user", "ab"), ("assistant", "")],
    &[("assistant", "a"), ("user", "b")],
];
const SUB_SCOPES: [&str; 3] = ["", "s1", "s2"];

fn variant() -> impl Strategy<Value = Variant> {
    let fields = proptest::array::uniform6(prop_oneof![3 => Just(0usize), 1 => 1usize..3]);
    (0..3usize, 0..4usize, 0..4usize, prop_oneof![3 => Just(0usize), 1 => 1usize..3], 0..2usize, fields).prop_map(
        |(key, system, history, sub_scope, model, fields)| Variant { key, system, history, sub_scope, model, fields },
    )
}

impl Variant {
    fn body(&self, question: &str) -> Value {
        let mut messages = Vec::new();
        if self.system > 0 {
            messages.push(json!({"role": "system", "content": SYSTEMS[self.system]}));
        }
        for (role, content) in HISTORIES[self.history] {
            messages.push(json!({"role": role, "content": content}));
        }
        messages.push(json!({"role": "user", "content": question}));
        let mut body = json!({"model": MODELS[self.model], "messages": messages});
        for ((name, values), at) in FIELDS.iter().zip(self.fields) {
            if at > 0 {
                body[*name] = serde_json::from_str(values[at]).unwrap();
            }
        }
        body
    }

    /// What has to agree for two requests to share an answer: all of it, but for keys of one tenant.
    fn sharing(&self) -> Variant {
        Variant { key: if self.key == 1 { 0 } else { self.key }, ..self.clone() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// A model of the cache: an answer for each distinct request, shared by nothing else.
    #[test]
    fn requests_that_differ_never_share_an_answer(variants in proptest::collection::vec((variant(), 0usize..3), 24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let upstream = Upstream::counting().await;
            let models = "models:\n  - {name: m2, targets: [{provider: up, model: m}]}\ncache: {semantic: {threshold: 0.5}}";
            let gateway = three_keys(&upstream, models).await;
            let mut known: HashMap<Variant, String> = HashMap::new();
            for (variant, wording) in &variants {
                // The same words, the same but for case, and other ones: so all three tiers are tried.
                let question = ["How do I reset my password?", "how do I reset my password", "How can I reset my password?"][*wording];
                let bearer = format!("Bearer {}", KEYS[variant.key]);
                let mut headers = vec![("authorization", bearer.as_str())];
                if variant.sub_scope > 0 {
                    headers.push(("x-askonce-scope", SUB_SCOPES[variant.sub_scope]));
                }
                let reply = gateway.chat_with(&variant.body(question), &headers).await;
                let words = reply.words();
                match known.get(&variant.sharing()) {
                    Some(expected) => assert_eq!((&words, reply.header("x-askonce-cache")), (expected, "hit"), "{variant:?}"),
                    None => {
                        assert_eq!(reply.header("x-askonce-cache"), "miss", "{variant:?}");
                        assert!(known.values().all(|other| *other != words), "{variant:?}");
                        known.insert(variant.sharing(), words);
                    }
                }
            }
        });
    }
}

#[tokio::test]
async fn a_gateway_that_is_opened_later_is_open_on_loopback_only() {
    let upstream = Upstream::counting().await;
    let keys = "auth:\n  keys:\n    - {name: a, key: key-a-0123456789ab}\n";
    let (open, closed) = (Given::one(&upstream, ""), Given::one(&upstream, keys));
    let gateway = closed.start().await;
    let elsewhere = [("host", "elsewhere.example"), ("authorization", "Bearer key-a-0123456789ab")];
    assert_eq!(gateway.chat_with(&ask("x"), &elsewhere).await.status, 200);
    gateway.app.reconfigure(&open.settings().0).await.unwrap();
    assert_eq!(gateway.chat(&ask("x")).await.status, 200);
    assert_eq!(gateway.chat_with(&ask("x"), &elsewhere).await.error(), (403, "wrong_host".to_owned()));
    gateway.app.reconfigure(&closed.settings().0).await.unwrap();
    assert_eq!(gateway.chat_with(&ask("x"), &elsewhere).await.status, 200);
    assert_eq!(gateway.chat(&ask("x")).await.error().0, 401);
}

#[tokio::test]
async fn a_reload_opens_no_gateway_to_the_network() {
    let upstream = Upstream::counting().await;
    let closed = Given::one(&upstream, "auth:\n  keys:\n    - {name: a, key: key-a-0123456789ab}\n");
    let (mut settings, _dir) = closed.settings();
    settings.listen = "0.0.0.0:0".to_owned();
    let app = closed.app(&settings).await.unwrap();
    // The new file says loopback, where being open is no danger; but the old address is in use until a restart.
    let refused = app.reconfigure(&Given::one(&upstream, "").settings().0).await.unwrap_err();
    assert!(refused.contains("0.0.0.0:0") && refused.contains("restart"), "{refused}");
    assert!(app.doors.keys.load().caller(None, 0).is_err(), "the keys stay in force");
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_open() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "auth: {keys: [{name: a, key: key-a-0123456789abcdef}]}").start().await;
    let body = ask("x").to_string();
    let request = |key: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {key}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        )
    };
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let mut seen = Vec::new();
    for (key, status) in [("wrong-0123456789abcdef", "401"), ("key-a-0123456789abcdef", "200")] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        // The body comes after the head was refused.
        stream.write_all(request(key).as_bytes()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let expected = format!("HTTP/1.1 {status}");
        while !String::from_utf8_lossy(&seen).contains(&expected) {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "closed before {status}: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..count]);
        }
    }
}
