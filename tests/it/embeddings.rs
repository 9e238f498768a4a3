//! Embeddings made on the host, and those of a provider.

use crate::support::{Gateway, Given, Reply, Upstream, ask, script, with};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

async fn embed(gateway: &Gateway, body: Value) -> Reply {
    Reply::of(gateway.post("/v1/embeddings", &with(json!({"model": "fake"}), body))).await
}

fn vectors(reply: &Reply) -> Vec<Vec<f32>> {
    let json = reply.json();
    let data = json["data"].as_array().unwrap_or_else(|| panic!("{json}"));
    let vector = |(at, one): (usize, &Value)| {
        assert_eq!((&one["object"], &one["index"]), (&json!("embedding"), &json!(at)));
        match &one["embedding"] {
            Value::String(text) => {
                let bytes = BASE64_STANDARD.decode(text).unwrap();
                bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
            }
            other => serde_json::from_value(other.clone()).unwrap(),
        }
    };
    data.iter().enumerate().map(vector).collect()
}

#[tokio::test]
async fn every_surface_of_vectors_reaches_the_model_of_this_host() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").semantic().start().await;
    let own = embed(&gateway, json!({"input": "a cat"})).await.json()["data"][0]["embedding"].clone();
    let table = [
        ("/api/embed", json!({"model": "fake", "input": "a cat"}), "/embeddings/0"),
        (
            "/v2/embed",
            json!({"model": "fake", "texts": ["a cat"], "input_type": "search_query"}),
            "/embeddings/float/0",
        ),
        ("/v1beta/models/fake:embedContent", json!({"content": {"parts": [{"text": "a cat"}]}}), "/embedding/values"),
    ];
    for (path, body, at) in table {
        let reply = Reply::of(gateway.post(path, &body)).await;
        assert_eq!((reply.status, reply.json().pointer(at)), (200, Some(&own)), "{path}: {}", reply.json());
    }
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn texts_become_unit_vectors_in_order() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").semantic().start().await;
    let reply = embed(&gateway, json!({"input": ["a cat", "a dog", "a cat"]})).await;
    assert_eq!((reply.status, reply.cache().as_str()), (200, "bypass/local"));
    let json = reply.json();
    assert_eq!((&json["object"], &json["model"]), (&json!("list"), &json!("fake")));
    assert!(json["usage"]["prompt_tokens"].as_u64().unwrap() > 3);
    assert_eq!(json["usage"]["prompt_tokens"], json["usage"]["total_tokens"]);
    let all = vectors(&reply);
    assert!(all.len() == 3 && all[0] == all[2] && all[0] != all[1]);
    for vector in &all {
        let norm: f32 = vector.iter().map(|value| value * value).sum();
        assert!(vector.len() == 384 && (norm - 1.0).abs() < 1e-4);
    }
    // One alone is as in company, and base64 says the same as floats.
    let alone = embed(&gateway, json!({"input": "a dog", "encoding_format": "float", "dimensions": 384})).await;
    let coded = embed(&gateway, json!({"input": ["a dog"], "encoding_format": "base64"})).await;
    assert_eq!((&vectors(&alone)[0], &vectors(&coded)[0]), (&all[1], &all[1]));
    assert!(coded.json()["data"][0]["embedding"].is_string());
    let many: Vec<String> = (0..300).map(|number| format!("text {number}")).collect();
    assert_eq!(vectors(&embed(&gateway, json!({"input": many})).await).len(), 300);
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test]
async fn what_the_model_cannot_do_is_refused() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").semantic().start().await;
    let table = [
        (json!({"input": "x", "dimensions": 128}), "dimensions"),
        (json!({"input": "x", "dimensions": "384"}), "dimensions"),
        (json!({"input": "x", "encoding_format": "int8"}), "encoding_format"),
        (json!({"input": [1, 2, 3]}), "input"),
        (json!({"input": [[1, 2], [3]]}), "input"),
        (json!({"input": ["x", null]}), "input"),
        (json!({"input": {"text": "x"}}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": null}), "input"),
        (json!({}), "input"),
        (json!({"input": vec!["x"; 2049]}), "input"),
    ];
    for (body, param) in table {
        let told = embed(&gateway, body.clone()).await;
        let json = told.json();
        assert_eq!((told.error().0, json["error"]["param"].as_str()), (400, Some(param)), "{json}");
    }
    assert_eq!(embed(&gateway, json!({"input": ["x", ""]})).await.error().0, 400);
    let chat = gateway.chat(&with(ask("x"), json!({"model": "fake"}))).await;
    assert_eq!(chat.error().0, 400);
    assert!(chat.json()["error"]["message"].as_str().unwrap().contains("it serves embeddings"));
}

#[tokio::test]
async fn a_text_too_long_is_said_to_be_cut() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").semantic().start().await;
    let reply = embed(&gateway, json!({"input": ["short", "word ".repeat(5_000)]})).await;
    assert_eq!((reply.status, reply.header("x-askonce-truncated")), (200, "1"));
}

#[tokio::test]
async fn a_providers_embeddings_pass_and_are_kept() {
    let body = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10000000000000001,1]}],"model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}"#;
    let upstream = Upstream::start(move |_| script::reply(200, &[], body)).await;
    let gateway = Given::one(&upstream, "").semantic().start().await;
    for expected in ["miss/absent", "hit/exact"] {
        let reply = embed(&gateway, json!({"model": "m", "input": "How do I reset my password?"})).await;
        assert_eq!((reply.cache().as_str(), reply.body.as_ref()), (expected, body.as_bytes()));
    }
    assert_eq!(upstream.last().target, "POST /v1/embeddings");
    // Near is not the same: a vector is for its own text.
    let near = embed(&gateway, json!({"model": "m", "input": "how do I reset my password?"})).await;
    assert_eq!(near.cache(), "miss/absent");
}
