//! What the mock upstream says, as hyper's client and ours read it.

use super::super::client::Endpoint;
use super::super::stop::Stop;
use super::{MODEL, MockSettings, PROMPT, chat_body, load, mark, requests, start_mock};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::Duration;

/// What hyper's client makes of the mock upstream: status, content type and body.
fn ask_with_hyper(endpoint: &Endpoint, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(endpoint.host()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::builder().method(method).uri(path).header("host", endpoint.host());
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (status, kind) =
            (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    })
}

#[test]
fn the_mock_answers_in_one_body() {
    let mock = start_mock(PROMPT);
    let body = chat_body(MODEL, "Why?", false);
    let (status, kind, text) = ask_with_hyper(&mock, "POST", "/v1/chat/completions", &body);
    assert_eq!((status, kind.as_str()), (200, "application/json"));
    let answer: Value = serde_json::from_str(&text).unwrap();
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.starts_with(&mark("Why?")) && content.split(' ').count() == 6, "{content}");
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"], json!({"prompt_tokens": 1, "completion_tokens": 6, "total_tokens": 7}));
    let (_, _, other) = ask_with_hyper(&mock, "POST", "/v1/chat/completions", &chat_body(MODEL, "How?", false));
    assert!(!other.contains(&mark("Why?")), "{other}");
    let (status, _, models) = ask_with_hyper(&mock, "GET", "/v1/models", "");
    assert!(status == 200 && models.contains(MODEL), "{models}");
}

#[test]
fn the_mock_streams_the_same_answer() {
    let mock = start_mock(PROMPT);
    let (_, _, whole) = ask_with_hyper(&mock, "POST", "/v1/chat/completions", &chat_body(MODEL, "Why?", false));
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let (status, kind, text) = ask_with_hyper(&mock, "POST", "/v1/chat/completions", &chat_body(MODEL, "Why?", true));
    assert_eq!((status, kind.as_str()), (200, "text/event-stream"));
    let events: Vec<&str> = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let deltas = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(deltas.collect::<String>(), whole["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[6]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[7]["usage"], whole["usage"]);
    assert_eq!(chunks.len(), 8);
}

#[test]
fn the_mock_says_what_it_did_not_understand() {
    let mock = start_mock(PROMPT);
    let cases = [
        ("POST", "/v1/embeddings", "{}", 404, "/v1/embeddings"),
        ("POST", "/v1/chat/completions", "{", 400, "not a chat request"),
        ("POST", "/v1/chat/completions", r#"{"model": "m", "messages": []}"#, 400, "a user message"),
    ];
    for (method, path, body, wanted, words) in cases {
        let (status, _, text) = ask_with_hyper(&mock, method, path, body);
        assert_eq!(status, wanted, "{text}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert!(error["error"]["message"].as_str().unwrap().contains(words), "{text}");
    }
}

#[test]
fn the_mock_keeps_its_delays() {
    let delays =
        MockSettings { latency: Duration::from_millis(40), chunk_latency: Duration::from_millis(10), chunks: 6 };
    let mock = start_mock(delays);
    let (one_body, streams) = (requests(&mock, 1, false), requests(&mock, 1, true));
    let stop = Stop::default();
    let once = |requests| load(&mock, requests, &stop).with_connections(1).open(&[0], Duration::ZERO, &mut ());
    let plain = once(&one_body);
    let streamed = once(&streams);
    let ms = |times: &[u64]| times[0] as f64 / 1e6;
    assert_eq!(plain.faults.total() + streamed.faults.total(), 0);
    // Never early; late only as far as a busy machine makes it.
    assert!((40.0..140.0).contains(&ms(&plain.latency_ns)), "{plain:?}");
    assert!((40.0..140.0).contains(&ms(&streamed.first_byte_ns)), "{streamed:?}");
    assert!((90.0..190.0).contains(&ms(&streamed.latency_ns)), "{streamed:?}");
}
