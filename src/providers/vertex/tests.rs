//! Vertex AI against a server on this machine.

use super::*;
use crate::providers::google_stub::{Stub, body_of, call, settings};

fn vertex(base_url: &str, key: Option<&str>, token_url: Option<&str>) -> Vertex {
    let mut settings = settings(base_url, key);
    settings.cloud.token_url = token_url.map(str::to_owned);
    settings.cloud.project = token_url.map(|_| "p".to_owned());
    settings.cloud.region = token_url.map(|_| "europe-west4".to_owned());
    Vertex::with_env(&settings, &|_| None).unwrap()
}

#[tokio::test]
async fn calls_go_to_their_publishers_with_one_token() {
    let tokens = Stub::start(vec![(200, r#"{"access_token":"t-1","expires_in":3600}"#)]).await;
    let stub = Stub::start(vec![(200, "{}"); 5]).await;
    let vertex = vertex(&stub.url, None, Some(&tokens.url));
    let claude = r#"{"model":"claude-x","max_tokens":1,"stream":true}"#;
    for one in [
        call(Surface::GenerateContent, "gemini-2.5-flash", "{\"a\": 1}"),
        Call { stream: true, ..call(Surface::GenerateContent, "google/gemini-2.5-flash", "{}") },
        Call { stream: true, ..call(Surface::Messages, "claude-x@20260101", claude) },
        call(Surface::CountTokens, "claude-x", claude),
        call(Surface::CountContent, "m", r#"{"generateContentRequest":{"model":"models/m","contents":[]}}"#),
    ] {
        vertex.send(one).await.unwrap();
    }
    let seen = stub.seen();
    let at = "POST /v1/projects/p/locations/europe-west4/publishers";
    let expected = [
        ("google/models/gemini-2.5-flash:generateContent", "{\"a\": 1}"),
        ("google/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "{}"),
        (
            "anthropic/models/claude-x@20260101:streamRawPredict",
            r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":1,"stream":true}"#,
        ),
        ("anthropic/models/count-tokens:rawPredict", r#"{"model":"claude-x","max_tokens":1,"stream":true}"#),
        ("google/models/m:countTokens", r#"{"contents":[]}"#),
    ];
    for (one, (path, body)) in seen.iter().zip(expected) {
        assert_eq!((one.line.clone(), one.body.as_str()), (format!("{at}/{path} HTTP/1.1"), body));
        assert_eq!(one.header("authorization"), Some("Bearer t-1"));
        assert_eq!((one.header("x-goog-user-project"), one.header("x-goog-api-key")), (None, None));
    }
    assert_eq!((seen.len(), tokens.seen().len()), (5, 1));
    let speaks = |surface, model: &str| vertex.speaks_for(surface, model);
    assert_eq!(speaks(Surface::ChatCompletions, "claude-x"), Some(Surface::Messages));
    assert_eq!(speaks(Surface::Messages, "gemini-2.5-flash"), Some(Surface::GenerateContent));
    assert_eq!(speaks(Surface::EmbedContent, "claude-x"), None);
    assert_eq!(speaks(Surface::Images, "imagen"), None);
}

#[tokio::test]
async fn a_key_goes_to_express_mode_and_needs_no_project() {
    let stub = Stub::start(vec![(200, "{}")]).await;
    let vertex = vertex(&stub.url, Some("k-1"), None);
    vertex.send(call(Surface::GenerateContent, "m", "{}")).await.unwrap();
    let seen = stub.seen();
    assert_eq!(seen[0].line, "POST /v1/publishers/google/models/m:generateContent HTTP/1.1");
    assert_eq!((seen[0].header("x-goog-api-key"), seen[0].header("authorization")), (Some("k-1"), None));
}

#[tokio::test]
async fn older_embeddings_are_predicted() {
    let predicted = r#"{"predictions":[{"embeddings":{"values":[0.5,1.0],"statistics":{"token_count":2}}}]}"#;
    let stub = Stub::start(vec![(200, predicted), (200, predicted), (200, "{}")]).await;
    let vertex = vertex(&stub.url, Some("k"), None);
    let one = r#"{"model":"models/x","content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY"}"#;
    let reply = vertex.send(call(Surface::EmbedContent, "text-embedding-005", one)).await.unwrap();
    let usage = r#""usageMetadata":{"promptTokenCount":2,"totalTokenCount":2}"#;
    assert_eq!(body_of(reply).await, format!(r#"{{"embedding":{{"values":[0.5,1.0]}},{usage}}}"#));
    let batch = format!(r#"{{"requests":[{one}]}}"#);
    let reply = vertex.send(call(Surface::EmbedContent, "gemini-embedding-001", &batch)).await.unwrap();
    assert_eq!(body_of(reply).await, format!(r#"{{"embeddings":[{{"values":[0.5,1.0]}}],{usage}}}"#));
    let broken = vertex.send(call(Surface::EmbedContent, "gemini-embedding-001", &batch)).await.err().unwrap();
    assert_eq!(broken.kind, ErrorKind::UpstreamBroken);
    let seen = stub.seen();
    assert_eq!(seen[0].line, "POST /v1/publishers/google/models/text-embedding-005:predict HTTP/1.1");
    assert_eq!(seen[0].body, r#"{"instances":[{"content":"a","task_type":"RETRIEVAL_QUERY"}]}"#);
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew_and_the_refusal_is_not_told() {
    let tokens = Stub::start(vec![
        (200, r#"{"access_token":"t-1","expires_in":3600}"#),
        (200, r#"{"access_token":"t-2","expires_in":3600}"#),
    ])
    .await;
    let stub = Stub::start(vec![(401, r#"{"error":{"message":"t-1 is old"}}"#), (200, "{}")]).await;
    let vertex = vertex(&stub.url, None, Some(&tokens.url));
    let error = vertex.send(call(Surface::GenerateContent, "m", "{}")).await.err().unwrap();
    assert_eq!((error.kind, error.code), (ErrorKind::UpstreamStatus(401), Some("upstream_unauthorized")));
    assert!(!format!("{error:?} {vertex:?}").contains("t-1"));
    vertex.send(call(Surface::GenerateContent, "m", "{}")).await.unwrap();
    assert_eq!(stub.seen()[1].header("authorization"), Some("Bearer t-2"));
}

#[tokio::test]
async fn models_are_listed() {
    let tokens = Stub::start(vec![(200, r#"{"access_token":"t","expires_in":3600}"#)]).await;
    let list = r#"{"publisherModels":[{"name":"publishers/google/models/gemini-2.5-flash"}]}"#;
    let stub = Stub::start(vec![(200, list)]).await;
    let vertex = vertex(&stub.url, None, Some(&tokens.url));
    assert_eq!(vertex.models().await.unwrap(), ["gemini-2.5-flash"]);
    let seen = &stub.seen()[0];
    assert_eq!(seen.line, "GET /v1beta1/publishers/google/models?pageSize=300 HTTP/1.1");
    assert_eq!(seen.header("x-goog-user-project"), Some("p"));
}
