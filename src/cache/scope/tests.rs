//! Isolation, by properties: requests that differ in anything of the scope never share a key.

use super::*;
use crate::types::surface::Surface;
use crate::wire::json::parse;
use crate::wire::request::{InPath, read};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

fn keys_of(body: &str, tenant: &str, sub_scope: Option<&str>) -> Option<Keys> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let json = parse(&body).unwrap();
    let request = read(Surface::ChatCompletions, &json, &body, &InPath::default()).unwrap();
    let harmless = ["stream".to_owned(), "user".to_owned()];
    let around = Circumstances {
        tenant: &Tenant(tenant.to_owned()),
        sub_scope,
        targets: &[("p", "m", &[])],
        headers: &[],
        guardrails: None,
    };
    keys(&json, &request, &around, &harmless)
}

/// A request with something in every place that counts.
fn base() -> Value {
    json!({
        "model": "m", "temperature": 0.5, "seed": 7, "n": 1, "stream": false, "user": "u",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": 1}}}],
        "response_format": {"type": "json_object"},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "reply", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "4"},
            {"role": "user", "name": "bob", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "text", "text": "What is this?"},
            ]},
        ],
    })
}

/// Every leaf of a document, as a JSON pointer.
fn leaves(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(value, format!("{at}/{key}"), out)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, value)| leaves(value, format!("{at}/{i}"), out)),
        _ => out.push(at),
    }
}

const QUESTION: &str = "/messages/4/content/1/text";

#[test]
fn every_leaf_counts_in_its_place() {
    let original = keys_of(&base().to_string(), "t", None).unwrap();
    let mut pointers = Vec::new();
    leaves(&base(), String::new(), &mut pointers);
    assert!(pointers.len() > 20);
    for pointer in pointers {
        let mut changed = base();
        let leaf = changed.pointer_mut(&pointer).unwrap();
        *leaf = match leaf {
            Value::Number(n) => json!(n.as_f64().unwrap() + 1.0),
            Value::Bool(b) => json!(!*b),
            Value::String(text) if pointer == "/messages/4/role" => json!(format!("{text}x")),
            Value::String(text) => json!(format!("{text} ")),
            _ => json!("x"),
        };
        let keys = keys_of(&changed.to_string(), "t", None).unwrap();
        let harmless = pointer == "/stream" || pointer == "/user";
        assert_eq!(keys.exact == original.exact, harmless, "{pointer}");
        assert_eq!(keys.scope == original.scope, harmless || pointer == QUESTION, "{pointer}");
        assert_eq!(keys.normalised == original.normalised, harmless || pointer == QUESTION, "{pointer}");
    }
}

#[test]
fn all_but_the_words_of_condensed_turns_counts_in_the_condensed_scope() {
    let of = |body: &Value, tenant: &str, sub_scope: Option<&str>, turns: &[usize]| {
        let body = Bytes::from(body.to_string());
        let json = parse(&body).unwrap();
        let request = read(Surface::ChatCompletions, &json, &body, &InPath::default()).unwrap();
        let harmless = ["stream".to_owned(), "user".to_owned()];
        let tenant = Tenant(tenant.to_owned());
        let around =
            Circumstances { tenant: &tenant, sub_scope, targets: &[("p", "m", &[])], headers: &[], guardrails: None };
        meaning(&json, &request, &around, &harmless, turns).unwrap()
    };
    let original = of(&base(), "t", None, &[1]);
    let mut pointers = Vec::new();
    leaves(&base(), String::new(), &mut pointers);
    for pointer in pointers {
        // What decoding refuses, and another speaker, who asks nothing.
        if pointer == "/stream" || pointer == "/messages/4/role" {
            continue;
        }
        let mut changed = base();
        *changed.pointer_mut(&pointer).unwrap() = json!("another");
        let free = [QUESTION, "/messages/1/content", "/user"].contains(&pointer.as_str());
        assert_eq!(of(&changed, "t", None, &[1]) == original, free, "{pointer}");
    }
    let scope = keys_of(&base().to_string(), "t", None).unwrap().scope;
    let all = [
        original,
        scope,
        of(&base(), "t", None, &[]),
        of(&base(), "t", None, &[1, 2]),
        of(&base(), "t", None, &[2]),
        of(&base(), "u", None, &[1]),
        of(&base(), "t", Some("a"), &[1]),
    ];
    assert!(all.iter().enumerate().all(|(at, one)| !all[..at].contains(one)));
}

#[test]
fn tenants_and_sub_scopes_are_apart() {
    let body = base().to_string();
    let all = [("t", None), ("u", None), ("t", Some("")), ("t", Some("a")), ("tu", None)];
    for (i, one) in all.iter().enumerate() {
        for other in &all[i + 1..] {
            let (one, other) = (keys_of(&body, one.0, one.1).unwrap(), keys_of(&body, other.0, other.1).unwrap());
            assert!(one.scope != other.scope && one.exact != other.exact && one.normalised != other.normalised);
        }
    }
}

#[test]
fn who_answers_and_what_goes_along_count() {
    let body = Bytes::from(base().to_string());
    let json = parse(&body).unwrap();
    let request = read(Surface::ChatCompletions, &json, &body, &InPath::default()).unwrap();
    let tenant = Tenant("t".to_owned());
    let param = |name: &str, value: Option<&str>| Param { name: name.to_owned(), value: value.map(str::to_owned) };
    let (cold, hot, none) = ([param("t", Some("0"))], [param("t", Some("1"))], [param("t", None)]);
    let (both, turned) =
        ([param("t", Some("0")), param("u", Some("0"))], [param("u", Some("0")), param("t", Some("0"))]);
    type Around<'a> = (&'a [(&'a str, &'a str, &'a [Param])], &'a [(&'a str, &'a [u8])]);
    let all: [Around<'_>; 12] = [
        (&[("p", "m", &[])], &[]),
        (&[("q", "m", &[])], &[]),
        (&[("p", "n", &[])], &[]),
        (&[("p", "m", &[]), ("q", "m", &[])], &[]),
        (&[("p", "m", &[])], &[("openai-beta", b"x")]),
        (&[("p", "m", &[])], &[("openai-beta", b"y")]),
        (&[("p", "m", &cold)], &[]),
        (&[("p", "m", &hot)], &[]),
        (&[("p", "m", &none)], &[]),
        (&[("p", "m", &both)], &[]),
        (&[("p", "m", &cold), ("q", "m", &[])], &[]),
        (&[("p", "m", &[]), ("q", "m", &cold)], &[]),
    ];
    let scopes: std::collections::BTreeSet<_> = all
        .iter()
        .map(|(targets, headers)| {
            let around = Circumstances { tenant: &tenant, sub_scope: None, targets, headers, guardrails: None };
            keys(&json, &request, &around, &[]).unwrap().scope
        })
        .collect();
    assert_eq!(scopes.len(), all.len());
    let turned = Circumstances {
        tenant: &tenant,
        sub_scope: None,
        targets: &[("p", "m", &turned)],
        headers: &[],
        guardrails: None,
    };
    assert!(scopes.contains(&keys(&json, &request, &turned, &[]).unwrap().scope), "their order says nothing");
}

#[test]
fn what_was_stored_before_is_found() {
    let keys = keys_of(r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#, "t", Some("s")).unwrap();
    assert_eq!(
        keys.scope.to_string(),
        "a709d7d84aa272f50af7723502674700873a30288b453bd2e3e76f99ae03a064",
        "the digest of before there were parameters"
    );
}

#[test]
fn the_same_request_written_otherwise_is_the_same() {
    let one = r#"{"model":"m","temperature":1,"messages":[{"role":"user","content":"h\u0069"}]}"#;
    let other = r#" {"messages" : [{"content":"hi","role":"user"}], "temperature":1.0,"model":"m"}"#;
    assert_eq!(keys_of(one, "t", None), keys_of(other, "t", None));
}

#[test]
fn numbers_that_doubles_cannot_tell_apart_are_not_cached() {
    let of = |seed: &str| {
        keys_of(&format!(r#"{{"model":"m","seed":{seed},"messages":[{{"role":"user","content":"x"}}]}}"#), "t", None)
    };
    assert_eq!(of("123456789012345678901234567890"), None);
    assert_eq!(of("1e300"), None);
    assert!(of("18446744073709551615").unwrap().scope != of("18446744073709551614").unwrap().scope);
    assert!(of("-9223372036854775808").unwrap().scope != of("9223372036854775808").unwrap().scope);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ab\\[{,:\"]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[ab]{0,2}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Two requests share a scope only if all that counts is equal, whatever fields they carry.
    #[test]
    fn different_means_apart(a in any_json(), b in any_json(), question in "[a-c ]{0,4}", other in "[a-c ]{0,4}") {
        let make = |extra: &Value, question: &str| {
            json!({"model": "m", "extra": extra, "messages": [{"role": "user", "content": question}]}).to_string()
        };
        let one = keys_of(&make(&a, &question), "t", None).unwrap();
        let two = keys_of(&make(&b, &other), "t", None).unwrap();
        prop_assert_eq!(one.scope == two.scope, a == b);
        prop_assert_eq!(one.exact == two.exact, a == b && question == other);
        if a != b {
            prop_assert!(one.normalised.is_none() || one.normalised != two.normalised);
        }
    }
}
