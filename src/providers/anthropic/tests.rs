//! What goes over a real socket, and what comes back.

use super::*;
use crate::config::ProviderKind;
use crate::types::caller::Tenant;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Gives these replies one after the other, each on a connection of its own, and tells the requests.
async fn serve(replies: Vec<(u16, &'static str, String)>) -> (String, mpsc::Receiver<String>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (told, requests) = mpsc::channel(8);
    tokio::spawn(async move {
        for (status, kind, body) in replies {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !is_whole(&request) {
                let read = socket.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..read]);
            }
            told.send(String::from_utf8(request).unwrap()).await.unwrap();
            let reply = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nrequest-id: req_1\r\nanthropic-ratelimit-requests-limit: 9\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    (base_url, requests)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn settings(base_url: String, key: Option<&str>) -> config::Provider {
    let plain = config::Provider::plain("claude", ProviderKind::Anthropic, base_url);
    config::Provider { api_key: key.map(Secret::new), ..plain }
}

fn call(surface: Surface, headers: &[(&'static str, &'static str)], bearer: Option<&str>) -> Call {
    let header =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Call {
        surface,
        model: "m".into(),
        key: None,
        body: Bytes::from_static(br#"{"model":"m", "x":1.0}"#),
        stream: false,
        include_usage: false,
        tenant: Tenant("t".into()),
        bearer: bearer.map(Secret::new),
        headers: headers.iter().map(header).collect(),
    }
}

/// The request that a call becomes.
async fn sent(change: impl FnOnce(&mut config::Provider), key: Option<&str>, call: Call) -> String {
    let (base_url, mut requests) = serve(vec![(200, "application/json", "{}".into())]).await;
    let mut settings = settings(base_url, key);
    change(&mut settings);
    Anthropic::new(&settings).unwrap().send(call).await.map(drop).unwrap();
    requests.recv().await.unwrap()
}

#[tokio::test]
async fn a_request_goes_as_it_came_with_key_version_and_betas() {
    let headers = [("anthropic-beta", "files-api-2025-04-14"), ("openai-beta", "x"), ("traceparent", "00-1")];
    let request = sent(|_| {}, Some("sk-ant-api03-1"), call(Surface::Messages, &headers, Some("caller"))).await;
    assert!(request.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"model\":\"m\", \"x\":1.0}"), "{request}");
    for line in [
        "x-api-key: sk-ant-api03-1",
        "anthropic-version: 2023-06-01",
        "anthropic-beta: files-api-2025-04-14",
        "traceparent: 00-1",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line}: {request}");
    }
    assert!(!request.contains("openai-beta") && !request.contains("authorization"), "{request}");
}

#[tokio::test]
async fn the_version_is_the_operators_or_the_callers() {
    let headers = [("anthropic-version", "2026-10-21")];
    let request = sent(|one| one.base_url += "/v1", None, call(Surface::CountTokens, &headers, None)).await;
    assert!(request.starts_with("POST /v1/messages/count_tokens HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nanthropic-version: 2026-10-21\r\n"), "{request}");
    let own = |one: &mut config::Provider| one.cloud.api_version = Some("2023-01-01".into());
    let request = sent(own, None, call(Surface::Messages, &headers, None)).await;
    assert!(request.contains("\r\nanthropic-version: 2023-01-01\r\n"), "{request}");
    assert!(!request.contains("2026-10-21"), "{request}");
}

#[tokio::test]
async fn keys_and_tokens_go_where_they_belong() {
    let messages = |headers: &[_], bearer| call(Surface::Messages, headers, bearer);
    // Of the caller, where the gateway has none.
    let request = sent(|_| {}, None, messages(&[], Some("sk-ant-api03-2"))).await;
    assert!(request.contains("\r\nx-api-key: sk-ant-api03-2\r\n"), "{request}");
    let beta = [("anthropic-beta", "claude-code-20250219")];
    let request = sent(|_| {}, None, messages(&beta, Some("sk-ant-oat01-3"))).await;
    assert!(request.contains("\r\nauthorization: Bearer sk-ant-oat01-3\r\n"), "{request}");
    assert!(request.contains("\r\nanthropic-beta: claude-code-20250219,oauth-2025-04-20\r\n"), "{request}");
    // Where somebody else wants it.
    let request = sent(|one| one.key_header = Some("api-key".into()), Some("k"), messages(&[], None)).await;
    assert!(request.contains("\r\napi-key: k\r\n") && !request.contains("x-api-key"), "{request}");
}

#[tokio::test]
async fn a_stream_comes_with_its_headers() {
    let body = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let (base_url, mut requests) = serve(vec![(200, "text/event-stream", body.into())]).await;
    let provider = Anthropic::new(&settings(base_url, Some("k"))).unwrap();
    let reply = provider.send(Call { stream: true, ..call(Surface::Messages, &[], None) }).await.ok().unwrap();
    assert!(requests.recv().await.unwrap().contains("\r\naccept: text/event-stream\r\n"));
    assert_eq!(reply.content_type, "text/event-stream");
    let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("x-upstream-request-id"), Some("req_1"));
    assert_eq!(header("anthropic-ratelimit-requests-limit"), Some("9"));
    let pieces: Vec<Bytes> = reply.body.map(Result::unwrap).collect().await;
    assert_eq!(pieces.concat(), body.as_bytes());
}

#[tokio::test]
async fn a_refused_key_of_the_gateway_is_not_the_callers_fault() {
    let refusal = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
    let busy = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    for (key, status, body, code, kept) in [
        (Some("k"), 401, refusal, Some("upstream_unauthorized"), false),
        (None, 401, refusal, None, true),
        (Some("k"), 529, busy, None, true),
    ] {
        let (base_url, _requests) = serve(vec![(status, "application/json", body.into())]).await;
        let provider = Anthropic::new(&settings(base_url, key)).unwrap();
        let error = provider.send(call(Surface::Messages, &[], None)).await.err().unwrap();
        assert_eq!((error.status(), error.code, error.reply.is_some()), (status, code, kept));
    }
}

#[tokio::test]
async fn models_are_listed_page_by_page() {
    let page = |id: &str, more: bool| {
        let body = format!(r#"{{"data":[{{"type":"model","id":"{id}"}}],"has_more":{more},"last_id":"{id}"}}"#);
        (200, "application/json", body)
    };
    let (base_url, mut requests) = serve(vec![page("claude-a", true), page("claude-b", false)]).await;
    let provider = Anthropic::new(&settings(base_url, Some("k"))).unwrap();
    assert_eq!(provider.models().await.unwrap(), ["claude-a", "claude-b"]);
    assert!(requests.recv().await.unwrap().starts_with("GET /v1/models?limit=1000 HTTP/1.1\r\n"));
    assert!(requests.recv().await.unwrap().starts_with("GET /v1/models?limit=1000&after_id=claude-a HTTP/1.1\r\n"));
    let (base_url, _requests) = serve(vec![(200, "application/json", "[]".into())]).await;
    let provider = Anthropic::new(&settings(base_url, None)).unwrap();
    assert!(provider.models().await.unwrap_err().message.contains("no model list"));
}

#[test]
fn it_is_sent_its_own_wire_and_conversations_translated() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let provider = Anthropic::new(&settings("http://127.0.0.1:1".into(), None)).unwrap();
    for chat in Surface::CHATS {
        assert_eq!(provider.speaks(chat), Some(Surface::Messages));
    }
    assert_eq!(provider.speaks(Surface::CountTokens), Some(Surface::CountTokens));
    assert_eq!(provider.speaks(Surface::Embeddings), None);
}

#[test]
fn a_beta_is_added_to_those_of_all_lines() {
    let of = |lines: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(BETA, HeaderValue::from_static(line));
        }
        add_beta(&mut headers, "new");
        headers.get_all(BETA).iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(&[]), ["new"]);
    assert_eq!(of(&["a", "b, c"]), ["a,b, c,new"]);
    assert_eq!(of(&["a", "b, new"]), ["a", "b, new"]);
}
