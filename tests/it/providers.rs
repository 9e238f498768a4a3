//! The catalogue of providers: where a key goes, what is listed, and what a list price is good for.

use crate::support::process::{askonce, run};
use crate::support::script::{last_events, piece, reply, stream_end, stream_head, words};
use crate::support::{Gate, Given, Reply, Step, Upstream, ask, streamed, until, with};
use serde_json::{Value, json};
use std::fs;

/// A provider of one's own, and settings that use it.
fn house(more: &str) -> String {
    format!(
        "catalogue:\n  - {{name: house, base_url: \"${{UP}}\", auth: header, header: X-House-Key, {more}}}\n\
         providers:\n  - {{name: h, kind: house, api_key: sk-house-0123}}\n\
         cache: {{semantic: {{enabled: false}}}}\n"
    )
}

#[tokio::test]
async fn a_key_goes_where_the_catalogue_says() {
    let upstream = Upstream::counting().await;
    let gateway = Given::yaml(&house("models: none")).variable("UP", &upstream.url).start().await;
    // Without a list of models nobody was asked for it.
    assert_eq!(upstream.calls(), 0);
    let answer = gateway.chat(&ask("x")).await;
    assert_eq!((answer.status, answer.words().as_str()), (200, "answer 1"));
    let seen = upstream.last();
    assert_eq!((seen.header("x-house-key"), seen.header("authorization")), (Some("sk-house-0123"), None));
}

#[tokio::test]
async fn models_are_listed_where_the_catalogue_says() {
    let upstream = Upstream::start(|seen| {
        assert_eq!((seen.target.as_str(), seen.header("x-house-key")), ("GET /v1/all", Some("sk-house-0123")));
        reply(200, &[], r#"[{"id":"bare"}]"#)
    })
    .await;
    let gateway = Given::yaml(&house("models: /all")).variable("UP", &upstream.url).start().await;
    let list = gateway.get("/v1/models").await.json();
    assert_eq!(list["data"][0]["id"], "bare");
}

#[tokio::test]
async fn a_mirror_has_no_list_price() {
    let upstream = Upstream::counting().await;
    let yaml = "providers:\n  - {name: a, kind: openai, base_url: \"${UP}\", api_key: k, models: [gpt-4o-mini]}\n\
                cache: {semantic: {enabled: false}}\n";
    let gateway = Given::yaml(yaml).variable("UP", &upstream.url).start().await;
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]});
    gateway.chat(&body).await;
    let hit = gateway.chat(&body).await;
    assert_eq!((hit.cache().as_str(), hit.header("x-askonce-saved-usd")), ("hit/exact", ""));
}

#[tokio::test]
async fn what_a_provider_refuses_is_left_out_and_named() {
    let upstream = Upstream::counting().await;
    let more = "models: none, refuses: [seed, 'messages[].name'], limit_field: max_tokens";
    let gateway = Given::yaml(&house(more)).variable("UP", &upstream.url).start().await;
    let body = r#"{"model":"m", "seed":7,"max_completion_tokens":5,"messages":[{"role":"user","name":"ada","content":"x"}],"big":12345678901234567890123}"#;
    let request = gateway.post("/v1/chat/completions", &Value::Null).body(body);
    let reply = Reply::of(request).await;
    assert_eq!((reply.status, reply.header("x-askonce-dropped")), (200, "seed, messages[].name"));
    let expected =
        r#"{"model":"m", "max_tokens":5,"messages":[{"role":"user","content":"x"}],"big":12345678901234567890123}"#;
    assert_eq!(String::from_utf8_lossy(&upstream.last().body), expected);
    let plain = gateway.chat(&ask("nothing of that")).await;
    assert_eq!((plain.status, plain.header("x-askonce-dropped")), (200, ""));
}

/// A provider with one key of these limits, and a second one for the same model.
fn limited(limits: &str) -> String {
    format!(
        "providers:\n  - {{name: one, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m], \
         keys: [{{name: only, key: sk-one-0123, limits: {limits}}}]}}\n\
         \x20 - {{name: two, kind: openai_compatible, base_url: \"${{TWO}}\", models: [n]}}\n\
         models:\n  - {{name: m, targets: [{{provider: one}}, {{provider: two}}]}}\n  - {{name: alone, targets: [{{provider: one}}]}}\n\
         cache: {{enabled: false}}\n"
    )
}

#[tokio::test]
async fn a_key_at_its_limit_leaves_the_request_to_the_next_target() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let yaml = limited("{requests_per_minute: 2}");
    let gateway = Given::yaml(&yaml).variable("ONE", &one.url).variable("TWO", &two.url).start().await;
    let mut from = Vec::new();
    for question in ["a", "b", "c", "d"] {
        let reply = gateway.chat(&with(ask(question), json!({"model": "m"}))).await;
        assert_eq!(reply.status, 200);
        from.push(reply.header("x-askonce-provider").to_owned());
    }
    assert_eq!(from, ["one", "one", "two", "two"]);
    assert_eq!(one.last().header("authorization"), Some("Bearer sk-one-0123"));
    let refused = gateway.chat(&with(ask("e"), json!({"model": "alone"}))).await;
    assert_eq!(refused.status, 429, "{:?}", refused.json());
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(one.calls(), 2, "nothing is sent with a key at its limit");
}

#[tokio::test]
async fn a_place_among_a_keys_requests_is_free_again_when_its_reply_has_ended() {
    let (gate, two) = (Gate::closed(), Upstream::counting().await);
    let held = gate.clone();
    let one = Upstream::start(move |_| {
        vec![stream_head(), piece(words("a")), Step::Gate(held.clone()), piece(last_events()), stream_end()]
    })
    .await;
    let yaml = limited("{concurrent: 1}");
    let gateway = Given::yaml(&yaml).variable("ONE", &one.url).variable("TWO", &two.url).start().await;
    let ask = |question: &str| streamed(with(ask(question), json!({"model": "m"})));
    let first = gateway.request(&ask("a")).send().await.unwrap();
    assert_eq!(first.headers()["x-askonce-provider"], "one");
    // While its stream is open, its place is taken.
    assert_eq!(gateway.chat(&with(ask("b"), json!({"stream": false}))).await.header("x-askonce-provider"), "two");
    gate.open();
    assert!(String::from_utf8_lossy(&first.bytes().await.unwrap()).contains("[DONE]"));
    until("the place is free", || async {
        gateway.chat(&ask(&format!("c{}", one.calls() + two.calls()))).await.header("x-askonce-provider") == "one"
    })
    .await;
}

#[test]
fn the_command_lists_them_and_shows_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("askonce.yaml");
    fs::write(&config, "catalogue: [{name: house, base_url: 'http://h/v1', env: HOUSE_KEY}]\n").unwrap();
    let (code, text, _) = run(&["providers"]);
    assert_eq!(code, 0);
    assert!(text.contains("\ndeepseek ") && text.contains(" 0 with a key here; "), "{text}");

    let with_keys = |arguments: &[&str]| {
        let mut command = askonce();
        command.env("DEEPSEEK_API_KEY", "sk-secret").env("HOUSE_KEY", "sk-other").env("ASKONCE_CONFIG", &config);
        String::from_utf8(command.arg("providers").args(arguments).output().unwrap().stdout).unwrap()
    };
    let text = with_keys(&[]);
    assert!(text.contains(" 2 with a key here; "), "{text}");
    let list = with_keys(&["--json"]);
    assert!(!text.contains("sk-") && !list.contains("sk-"));
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    let of = |name: &str| list.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!((of("deepseek")["key"].as_bool(), of("xai")["key"].as_bool()), (Some(true), Some(false)));
    assert_eq!((of("house")["from"].as_str(), of("house")["key"].as_bool()), (Some("configuration"), Some(true)));
    assert_eq!(of("runpod")["from"], "unconfirmed");
    let price = &of("openai")["prices"].as_array().unwrap().iter().find(|one| one["model"] == "gpt-4o-mini").unwrap();
    assert_eq!(
        (&price["input_usd_per_million_tokens"], &price["cached_input_usd_per_million_tokens"]),
        (&json!(0.15), &json!(0.075))
    );
    for kind in ["azure", "anthropic", "gemini", "vertex", "bedrock", "cohere"] {
        assert_eq!((of(kind)["kind"].as_str(), of(kind)["key"].as_bool()), (Some(kind), Some(false)));
        assert!(!of(kind)["prices"].as_array().unwrap().is_empty(), "{kind}");
    }
    let claude =
        of("anthropic")["prices"].as_array().unwrap().iter().find(|one| one["model"] == "claude-haiku-4-5").unwrap();
    assert_eq!(claude["cache_write_usd_per_million_tokens"], 1.25);
}
