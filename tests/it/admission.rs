//! Only complete answers are kept, and tool calls are never shared by meaning.

use crate::support::script::{event, piece, reply, stream_end, stream_head, words};
use crate::support::{Given, Upstream, ask, script, streamed, until, with};
use serde_json::{Value, json};

/// A provider that answers everything with one choice, plain or streamed.
async fn saying(choice: Value) -> Upstream {
    Upstream::start(move |seen| {
        let mut body = script::chat_body("");
        body["choices"] = json!([choice]);
        if !seen.wants_stream() {
            return reply(200, &[], body.to_string());
        }
        let mut last = choice.clone();
        let message = last.as_object_mut().unwrap().remove("message").unwrap();
        last["delta"] = message;
        let chunk = event(&json!({"id": "c", "choices": [last]}));
        vec![stream_head(), piece(words("")), piece(chunk), piece("data: [DONE]\n\n"), stream_end()]
    })
    .await
}

fn choice(finish_reason: Value) -> Value {
    json!({"index": 0, "message": {"role": "assistant", "content": "some words"}, "finish_reason": finish_reason})
}

#[tokio::test]
async fn unfinished_answers_are_not_kept() {
    let mut refusal = choice(json!("stop"));
    refusal["message"]["refusal"] = json!("I cannot help with that.");
    let ways = [
        (choice(json!("length")), false),
        (choice(json!("content_filter")), false),
        (choice(json!(null)), false),
        (choice(json!("a_new_reason")), false),
        (refusal, false),
        (choice(json!("stop")), true),
    ];
    for (choice, kept) in ways {
        for shape in [ask("x"), streamed(ask("x"))] {
            let upstream = saying(choice.clone()).await;
            let gateway = Given::one(&upstream, "").start().await;
            for call in 1..=2 {
                let reply = gateway.chat(&shape).await;
                assert_eq!(reply.words(), "some words");
                let hit = reply.header("x-askonce-cache") == "hit";
                assert_eq!(hit, kept && call == 2, "{choice} {shape}");
            }
            assert_eq!(gateway.entries().await, u64::from(kept), "{choice} {shape}");
        }
    }
}

#[tokio::test]
async fn error_answers_are_not_kept() {
    for (status, body) in [
        (400, r#"{"error":{"message":"no","type":"t","param":null,"code":null}}"#),
        (404, "gone"),
        (500, ""),
        (200, r#"{"error":{"message":"in disguise"}}"#),
        (200, "<html>"),
    ] {
        let upstream = Upstream::start(move |_| reply(status, &[], body)).await;
        let gateway = Given::one(&upstream, "retry: {attempts: 1}").start().await;
        for call in 1..=2 {
            let reply = gateway.chat(&ask("x")).await;
            assert!(reply.status >= 400, "{status} {body}");
            assert_eq!(upstream.calls(), call, "{status} {body}");
        }
        assert_eq!(gateway.entries().await, 0);
    }
}

#[tokio::test]
async fn tool_calls_are_for_the_same_words_only() {
    let call = json!({"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
        "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}}]}});
    for stream in [false, true] {
        let upstream = saying(call.clone()).await;
        let gateway = Given::one(&upstream, "cache: {semantic: {threshold: 0.5}}").semantic().start().await;
        let tools = json!({"stream": stream, "tools": [{"type": "function", "function": {"name": "weather"}}]});
        let rome = with(ask("What is the weather like in Rome today?"), tools.clone());
        assert_eq!(gateway.chat(&rome).await.cache(), "miss/absent");
        let again = gateway.chat(&rome).await;
        assert_eq!(again.cache(), "hit/exact");
        let arguments = if stream {
            let chunks = again.chunks();
            let calls = chunks
                .iter()
                .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str());
            calls.collect::<String>()
        } else {
            again.json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap().to_owned()
        };
        assert_eq!(arguments, "{\"city\":\"Rome\"}");
        let near = with(ask("What is the weather like in Rome, today?"), tools.clone());
        assert!(gateway.chat(&near).await.cache().starts_with("miss/"), "other words, though only by a comma");
        assert_eq!(gateway.held().await["vectors"], 0);
    }
}

#[tokio::test]
async fn answers_over_the_limit_are_passed_and_not_kept() {
    let text = "w ".repeat(5_000);
    let said = text.clone();
    let upstream =
        Upstream::start(
            move |seen| {
                if seen.wants_stream() { script::streamed_answer(&said) } else { script::answer(&said) }
            },
        )
        .await;
    let gateway = Given::one(&upstream, "cache: {max_answer_bytes: 5000}").start().await;
    for shape in [ask("x"), streamed(ask("x"))] {
        for _ in 0..2 {
            let reply = gateway.chat(&shape).await;
            assert!(reply.words() == text && reply.cache() == "miss/absent");
        }
    }
    assert_eq!((gateway.entries().await, upstream.calls()), (0, 4));
}

#[tokio::test]
async fn everything_an_answer_carries_is_kept() {
    let choice = |index: u64| {
        json!({"index": index, "finish_reason": "stop",
            "logprobs": {"content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]},
            "message": {"role": "assistant", "content": format!("a{index}"), "reasoning_content": "I think", "annotations": [],
                "x_new": {"deep": [1, 2]}}})
    };
    let mut body = script::chat_body("");
    body["choices"] = json!([choice(0), choice(1)]);
    body["service_tier"] = json!("flex");
    body["system_fingerprint"] = json!("fp_1");
    body["usage"]["completion_tokens_details"] = json!({"reasoning_tokens": 3});
    let said = body.clone();
    let upstream = Upstream::start(move |_| reply(200, &[], said.to_string())).await;
    let gateway = Given::one(&upstream, "").start().await;
    gateway.chat(&ask("x")).await;
    let mut hit = gateway.chat(&ask("x")).await.json();
    hit["id"] = body["id"].clone();
    hit["created"] = body["created"].clone();
    assert_eq!(hit, body);
    // As a stream, all of it in deltas.
    let stream = gateway.chat(&streamed(ask("x"))).await;
    assert_eq!(stream.cache(), "hit/exact");
    let chunks = stream.chunks();
    for index in 0..2 {
        let of: Vec<&Value> = chunks
            .iter()
            .flat_map(|chunk| chunk["choices"].as_array().unwrap())
            .filter(|choice| choice["index"] == index)
            .collect();
        let all = |field: &str| of.iter().filter_map(|choice| choice["delta"][field].as_str()).collect::<String>();
        assert_eq!((all("content"), all("reasoning_content")), (format!("a{index}"), "I think".to_owned()));
        assert!(of.iter().any(|choice| choice["delta"]["x_new"] == json!({"deep": [1, 2]})));
        assert!(of.iter().any(|choice| choice["logprobs"]["content"][0]["token"] == "a"));
    }
    assert!(chunks.iter().all(|chunk| chunk["service_tier"] == "flex"));
}

#[tokio::test]
async fn a_question_is_embedded_once() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "cache: {semantic: {threshold: 0.6}}").semantic().start().await;
    // What the memo was asked: every text that anybody wanted a vector of.
    let asked = || {
        let memo = gateway.app.doors.pipeline.cache().stats().embedder.unwrap().memo;
        (memo.misses, memo.hits)
    };
    gateway.chat(&ask("How do I reset my password?")).await;
    until("its vector is in the index", || async { gateway.held().await["vectors"] == 1 }).await;
    assert_eq!(asked(), (1, 0), "looked up and stored with one vector");
    gateway.chat(&ask("How do I reset my password?")).await;
    assert_eq!(asked(), (1, 0), "the exact tier needs none");
    assert_eq!(gateway.chat(&ask("How can I reset my password?")).await.cache(), "hit/semantic");
    assert_eq!(asked(), (2, 0));
    // Where nothing is looked up, the answer's question is embedded when it is stored: here, from memory.
    gateway.chat_with(&ask("How do I reset my password?"), &[("cache-control", "no-cache")]).await;
    until("it is embedded", || async { asked() == (2, 1) }).await;
    assert_eq!(gateway.app.doors.pipeline.cache().stats().embedder.unwrap().texts, 2);
}
