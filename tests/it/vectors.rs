//! Vectors of Bedrock's models, whichever wire they are asked for in.

use crate::support::script::{self, Step};
use crate::support::{Gateway, Given, Reply, Upstream};
use serde_json::{Value, json};
use std::time::Duration;

const TITAN: &str = "amazon.titan-embed-text-v2:0";
const NOVA: &str = "amazon.nova-2-multimodal-embeddings-v1:0";
const COHERE: &str = "us.cohere.embed-v4:0";

/// A gateway before Bedrock, with a model of each family; `titan` has someone else to go to.
async fn gateway(upstream: &Upstream) -> Gateway {
    let yaml = format!(
        "providers:\n  - {{name: aws, kind: bedrock, base_url: \"${{UP}}\", models: ['{TITAN}', '{NOVA}', '{COHERE}', claude],\n     \
         aws: {{region: eu-west-1, access_key_id: AKID, secret_access_key: hush-hush}}}}\n\
         models:\n  - {{name: titan, targets: [{{provider: aws, model: '{TITAN}'}}]}}\n\
         retry: {{attempts: 1}}\n"
    );
    Given::yaml(&yaml).variable("UP", upstream.url.trim_end_matches("/v1")).start().await
}

/// Titan, which answers with the length of the text. The text `slow` takes a while, and `bad` is refused.
async fn titan() -> Upstream {
    Upstream::start(|seen| {
        let text = seen.json()["inputText"].as_str().unwrap_or_default().to_owned();
        if text == "bad" {
            return script::reply(
                400,
                &[("x-amzn-errortype", "ValidationException")],
                r#"{"message":"400 Bad Request: too long"}"#,
            );
        }
        let pause = Step::Pause(Duration::from_millis(if text == "slow" { 150 } else { 0 }));
        let body = json!({"embedding": [text.len(), 0.5], "inputTextTokenCount": 2}).to_string();
        [vec![pause], script::reply(200, &[("x-amzn-bedrock-input-token-count", "2")], body)].concat()
    })
    .await
}

#[tokio::test]
async fn several_texts_are_several_calls_and_one_answer_in_their_order() {
    let upstream = titan().await;
    let gateway = gateway(&upstream).await;
    let body = json!({"model": "titan", "input": ["slow", "a", "abc"], "dimensions": 256, "user": "u"});
    for expected in ["miss/absent", "hit/exact"] {
        let reply = Reply::of(gateway.post("/v1/embeddings", &body)).await;
        assert_eq!((reply.status, reply.cache().as_str()), (200, expected), "{}", reply.json());
        let told = reply.json();
        let vectors: Vec<&Value> = told["data"].as_array().unwrap().iter().map(|one| &one["embedding"]).collect();
        assert_eq!(vectors, [&json!([4, 0.5]), &json!([1, 0.5]), &json!([3, 0.5])]);
        assert_eq!((&told["model"], &told["usage"]["prompt_tokens"]), (&json!("titan"), &json!(6)));
        assert_eq!(reply.header("x-amzn-bedrock-input-token-count"), "", "that of one call is not that of all");
        if expected.starts_with("miss") {
            assert_eq!(reply.header("x-askonce-dropped"), "user");
        }
    }
    assert_eq!(upstream.calls(), 3);
    for seen in upstream.seen() {
        assert_eq!(seen.target, "POST /model/amazon.titan-embed-text-v2%3A0/invoke");
        assert!(seen.header("authorization").unwrap().starts_with("AWS4-HMAC-SHA256 Credential=AKID/"));
        assert_eq!(seen.json()["dimensions"], 256);
    }
}

#[tokio::test]
async fn every_surface_of_vectors_reaches_them() {
    let upstream = titan().await;
    let gateway = gateway(&upstream).await;
    let content = |text: &str| json!({"model": "models/titan", "content": {"parts": [{"text": text}]}});
    let table = [
        ("/v1/embeddings", json!({"model": "titan", "input": "abc"}), "/data/0/embedding"),
        ("/v1beta/models/titan:embedContent", content("abc"), "/embedding/values"),
        (
            "/v1beta/models/titan:batchEmbedContents",
            json!({"requests": [content("a"), content("abc")]}),
            "/embeddings/1/values",
        ),
        (
            "/v2/embed",
            json!({"model": "titan", "texts": ["a", "abc"], "input_type": "search_query"}),
            "/embeddings/float/1",
        ),
    ];
    for (path, body, at) in table {
        let reply = Reply::of(gateway.post(path, &body)).await;
        assert_eq!(reply.json().pointer(at), Some(&json!([3, 0.5])), "{path}: {}", reply.json());
    }
    assert_eq!(upstream.calls(), 6);
}

#[tokio::test]
async fn the_calls_of_one_request_wait_for_each_others_key() {
    let upstream = titan().await;
    let yaml = format!(
        "providers:\n  - {{name: aws, kind: bedrock, base_url: \"${{UP}}\", models: ['{TITAN}'], aws: {{region: eu-west-1}},\n     \
         keys: [{{name: k, key: hush-hush, limits: {{concurrent: 2}}}}]}}\nretry: {{attempts: 1}}\n"
    );
    let gateway = Given::yaml(&yaml).variable("UP", upstream.url.trim_end_matches("/v1")).start().await;
    let texts: Vec<String> = (1..=9).map(|n| "a".repeat(n)).collect();
    let reply = Reply::of(gateway.post("/v1/embeddings", &json!({"model": TITAN, "input": texts}))).await;
    assert_eq!((reply.status, &reply.json()["data"][8]["embedding"]), (200, &json!([9, 0.5])), "{}", reply.json());
    assert_eq!(upstream.calls(), 9, "none was sent twice");
}

#[tokio::test]
async fn one_text_that_fails_fails_all_in_the_callers_words() {
    let upstream = titan().await;
    let gateway = gateway(&upstream).await;
    let texts = ["a", "bad", "abc"];
    let openai = Reply::of(gateway.post("/v1/embeddings", &json!({"model": "titan", "input": texts}))).await;
    let message = openai.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(openai.status == 400 && message.ends_with("400 Bad Request: too long"), "{} {message}", openai.status);
    let cohere =
        Reply::of(gateway.post("/v2/embed", &json!({"model": "titan", "texts": texts, "input_type": "image"}))).await;
    let message = cohere.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(cohere.status == 400 && message.ends_with("400 Bad Request: too long"), "{} {message}", cohere.status);
}

#[tokio::test]
async fn cohere_and_nova_have_bodies_of_their_own() {
    let upstream = Upstream::start(|seen| {
        let asked = seen.json();
        let body = match asked["taskType"].as_str() {
            Some(_) => json!({"embeddings": [{"embeddingType": "TEXT", "embedding": [0.25]}]}),
            None => json!({"id": "c", "embeddings": {"int8": [[1], [2]]}, "response_type": "embeddings_by_type"}),
        };
        script::reply(200, &[("x-amzn-bedrock-input-token-count", "3")], body.to_string())
    })
    .await;
    let gateway = gateway(&upstream).await;
    let asked = json!({"model": COHERE, "texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["int8"], "truncate": "START"});
    let reply = Reply::of(gateway.post("/v2/embed", &asked)).await;
    assert_eq!(reply.json()["embeddings"], json!({"int8": [[1], [2]]}), "{}", reply.json());
    assert_eq!(reply.json()["meta"]["billed_units"]["input_tokens"], 3, "told by the head of the reply");
    let sent = upstream.last();
    assert_eq!(sent.target, "POST /model/us.cohere.embed-v4%3A0/invoke");
    let expected =
        json!({"input_type": "search_query", "texts": ["a", "b"], "embedding_types": ["int8"], "truncate": "LEFT"});
    assert_eq!(sent.json(), expected);
    let reply = Reply::of(gateway.post("/v1/embeddings", &json!({"model": NOVA, "input": ["a", "b"]}))).await;
    assert_eq!(
        (&reply.json()["data"][1]["embedding"], &reply.json()["usage"]["prompt_tokens"]),
        (&json!([0.25]), &json!(6))
    );
    let none = Reply::of(gateway.post("/v1/embeddings", &json!({"model": "claude", "input": "a"}))).await;
    assert_eq!(none.error(), (400, "unsupported_by_target".to_owned()));
    let message = none.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`aws`") && message.contains("`claude`"), "{message}");
}

#[tokio::test]
async fn an_answer_that_lacks_a_vector_is_the_providers_fault() {
    let upstream = Upstream::start(|_| script::reply(200, &[], r#"{"embeddings":{"float":[[1]]}}"#)).await;
    let gateway = gateway(&upstream).await;
    let reply = Reply::of(gateway.post("/v1/embeddings", &json!({"model": COHERE, "input": ["a", "b"]}))).await;
    assert_eq!(reply.status, 502, "{}", reply.json());
}
