//! The catalogue of providers: where a key goes, what is listed, and what a list price is good for.

use crate::support::process::{askonce, run};
use crate::support::script::reply;
use crate::support::{Given, Upstream, ask};
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
    assert_eq!(price["input_usd_per_million_tokens"], 0.15);
}
