//! Tables, and random JSON against the same removal made on a tree.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn quirks(refused: &[&str], limit: Option<&str>) -> Quirks {
    let refused: Vec<String> = refused.iter().map(|path| (*path).to_owned()).collect();
    Quirks::new(&refused, limit)
}

fn apply(quirks: &Quirks, body: &str) -> (String, Vec<String>) {
    let (bytes, dropped) = quirks.apply(&Bytes::copy_from_slice(body.as_bytes()));
    (String::from_utf8(bytes.to_vec()).unwrap(), dropped)
}

#[test]
fn leaves_out_what_is_refused() {
    let refuses = quirks(&["seed", "logit_bias", "messages[].name", "a.b.c", "tools[].function.strict"], None);
    let table: [(&str, &str, &[&str]); 14] = [
        (r#"{"model":"m", "seed":1 , "x":1.0}"#, r#"{"model":"m", "x":1.0}"#, &["seed"]),
        (r#"{"seed":1,"model":"m"}"#, r#"{"model":"m"}"#, &["seed"]),
        (r#"{"model":"m" , "seed":{"a":[1]} }"#, r#"{"model":"m" }"#, &["seed"]),
        (r#"{ "seed":1 }"#, "{  }", &["seed"]),
        (r#"{"seed":1,"logit_bias":{"50256":-100}}"#, "{}", &["seed", "logit_bias"]),
        (r#"{"x":1,"seed":1,"logit_bias":{} ,"y":2}"#, r#"{"x":1,"y":2}"#, &["seed", "logit_bias"]),
        (r#"{"x":1,"seed":1,"y":2,"logit_bias":{}}"#, r#"{"x":1,"y":2}"#, &["seed", "logit_bias"]),
        (
            r#"{"messages":[{"role":"user","name":"ada","content":"name"},{"name":"b"}],"name":"kept"}"#,
            r#"{"messages":[{"role":"user","content":"name"},{}],"name":"kept"}"#,
            &["messages[].name"],
        ),
        // A field of that name elsewhere, or below something of another kind, is another field.
        (r#"{"messages":{"name":1},"x":{"seed":1}}"#, r#"{"messages":{"name":1},"x":{"seed":1}}"#, &[]),
        (r#"{"a":{"b":{"c":1,"d":2},"c":3}}"#, r#"{"a":{"b":{"d":2},"c":3}}"#, &["a.b.c"]),
        (r#"{"a":[{"b":{"c":1}}]}"#, r#"{"a":[{"b":{"c":1}}]}"#, &[]),
        (
            r#"{"tools":[{"function":{"strict":true,"name":"f"}},1,"strict"],"seed":null}"#,
            r#"{"tools":[{"function":{"name":"f"}},1,"strict"]}"#,
            &["tools[].function.strict", "seed"],
        ),
        (r#"{"s\u0065ed":1,"t":"\"seed\":1"}"#, r#"{"t":"\"seed\":1"}"#, &["seed"]),
        (r#"{"text":"the seed, \\","x":[]}"#, r#"{"text":"the seed, \\","x":[]}"#, &[]),
    ];
    for (body, expected, dropped) in table {
        let (text, names) = apply(&refuses, body);
        assert_eq!(
            (text.as_str(), &names.iter().map(String::as_str).collect::<Vec<_>>()[..]),
            (expected, dropped),
            "{body}"
        );
    }
}

#[test]
fn the_limit_has_the_name_that_is_understood() {
    let (old, new) = (quirks(&[], Some("max_tokens")), quirks(&["seed"], Some("max_completion_tokens")));
    let table = [
        (&old, r#"{"max_completion_tokens": 5,"m":1}"#, r#"{"max_tokens": 5,"m":1}"#, ""),
        (
            &old,
            r#"{"max_tokens": 5,"x":{"max_completion_tokens":1}}"#,
            r#"{"max_tokens": 5,"x":{"max_completion_tokens":1}}"#,
            "",
        ),
        (
            &old,
            r#"{"max_tokens":5,"max_completion_tokens":6,"z":1}"#,
            r#"{"max_tokens":5,"z":1}"#,
            "max_completion_tokens",
        ),
        (&new, r#"{"seed":1,"max_tokens":6}"#, r#"{"max_completion_tokens":6}"#, "seed"),
        (&new, r#"{"max_tokens":6,"max_completion_tokens":7}"#, r#"{"max_completion_tokens":7}"#, "max_tokens"),
    ];
    for (quirks, body, expected, dropped) in table {
        let (text, names) = apply(quirks, body);
        assert_eq!((text.as_str(), names.join(",").as_str()), (expected, dropped), "{body}");
    }
    assert!(quirks(&[], Some("max_words")).is_empty());
}

#[test]
fn what_is_no_object_comes_back() {
    let refuses = quirks(&["seed"], Some("max_tokens"));
    let deep = format!("{{\"seed\":{}", "[".repeat(100_000));
    for body in ["", "[]", "seed", "{\"seed\"", "{\"seed\":1", "{\"seed\":1,}", "\"\\", "{\"a\\", deep.as_str()] {
        assert_eq!(apply(&refuses, body), (body.to_owned(), vec![]));
    }
}

fn json() -> impl Strategy<Value = Value> {
    let name =
        prop::sample::select(vec!["seed", "name", "messages", "max_tokens", "max_completion_tokens", "x", "é\"\\"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        "[ -~é\n\"\\\\]{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["seed", "\"seed\":1,"]).prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5)
                .prop_map(|all| all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    });
    prop::collection::vec(
        (prop::sample::select(vec!["seed", "messages", "max_tokens", "max_completion_tokens", "y"]), inner),
        0..6,
    )
    .prop_map(|all| all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The same on a tree.
fn expected(value: &Value) -> Value {
    let mut value = value.clone();
    let fields = value.as_object_mut().unwrap();
    fields.remove("seed");
    if let Some(limit) = fields.remove("max_completion_tokens") {
        fields.entry("max_tokens").or_insert(limit);
    }
    if let Some(messages) = fields.get_mut("messages").and_then(Value::as_array_mut) {
        fn strip(items: &mut [Value]) {
            for item in items {
                match item {
                    Value::Object(message) => {
                        message.remove("name");
                    }
                    Value::Array(items) => strip(items),
                    _ => {}
                }
            }
        }
        strip(messages);
    }
    value
}

proptest! {
    #[test]
    fn bytes_change_as_a_tree_would_and_no_further(value in json(), spaced: bool) {
        let rules = quirks(&["seed", "messages[].name"], Some("max_tokens"));
        let body = if spaced { format!(" {value:#} ") } else { value.to_string() };
        // Numbers are as they read back.
        let value: Value = serde_json::from_str(&body).unwrap();
        let (text, dropped) = apply(&rules, &body);
        let expected = expected(&value);
        prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &expected, "{}", body);
        if expected == value {
            prop_assert_eq!(&text, &body);
            prop_assert!(dropped.is_empty());
        }
        let renamed = value.get("max_completion_tokens").is_some() && value.get("max_tokens").is_none();
        if !spaced && !renamed && value.to_string().as_str() == body {
            // Without spaces there is one way to write it, so that all else has to be as it was.
            prop_assert_eq!(&text, &expected.to_string());
        }
        prop_assert_eq!(apply(&rules, &text), (text.clone(), vec![]), "once is enough");
        // Names that nobody asks for change nothing, whatever the bytes.
        let none = quirks(&["not_there"], None);
        prop_assert_eq!(apply(&none, &body), (body, vec![]));
    }

    #[test]
    fn any_bytes_come_back_or_are_changed(body: Vec<u8>) {
        let rules = quirks(&["seed", "messages[].name"], Some("max_tokens"));
        let _ = rules.apply(&Bytes::from(body));
    }
}
