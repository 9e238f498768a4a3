//! Ollama's own API on both sides: a provider that speaks it, and callers who do.

use crate::support::script::{piece, reply, stream_end};
use crate::support::upstream::Seen;
use crate::support::{Gateway, Given, Reply, Step, Upstream, ask, streamed, with};
use bytes::Bytes;
use serde_json::{Value, json};

/// A line of an answer.
fn line(message: Value, end: Value) -> String {
    let mut line = json!({"model": "llama3.2", "created_at": "2026-11-22T10:00:00.5Z", "message": message});
    for (key, value) in end.as_object().unwrap() {
        line[key.as_str()] = value.clone();
    }
    format!("{line}\n")
}

fn said(message: Value) -> String {
    line(with(json!({"role": "assistant", "content": ""}), message), json!({"done": false}))
}

fn done(message: Value) -> String {
    let end =
        json!({"done": true, "done_reason": "stop", "total_duration": 5, "prompt_eval_count": 26, "eval_count": 4});
    line(with(json!({"role": "assistant", "content": ""}), message), end)
}

/// Lines as a stream, in pieces of nine bytes.
fn lines(all: &[String]) -> Vec<Step> {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut steps = vec![Step::Write(Bytes::from_static(head))];
    steps.extend(all.concat().as_bytes().chunks(9).map(piece));
    steps.push(stream_end());
    steps
}

/// What the last turn says.
fn question(seen: &Seen) -> String {
    let json = seen.json();
    json["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
}

fn chat(seen: &Seen) -> Vec<Step> {
    let call = json!({"tool_calls": [{"function": {"name": "weather", "arguments": {"town": "Bern"}}}]});
    let words = || json!({"content": "It is wet."});
    // A stream is what comes unasked.
    match (question(seen).as_str(), seen.json()["stream"] != false) {
        ("missing", _) => reply(404, &[], r#"{"error":"model 'm' not found"}"#),
        ("weather", false) => reply(200, &[], done(call)),
        ("weather", true) => lines(&[said(call), done(json!({}))]),
        ("think", false) => reply(200, &[], done(json!({"content": "Yes.", "thinking": "Hm."}))),
        ("think", true) => {
            lines(&[said(json!({"thinking": "Hm."})), said(json!({"content": "Yes."})), done(json!({}))])
        }
        ("fail", true) => lines(&[said(words()), "{\"error\":\"out of memory\"}\n".to_owned()]),
        ("cut", true) => lines(&[said(words()), "{\"model\":\"lla".to_owned()]),
        ("no end", true) => lines(&[said(words())]),
        (_, false) => reply(200, &[], done(words())),
        (_, true) => lines(&[said(json!({"content": "It is"})), said(json!({"content": " wet."})), done(json!({}))]),
    }
}

/// A server of Ollama's API.
async fn ollama() -> Upstream {
    Upstream::start(|seen| match seen.target.as_str() {
        "GET /api/tags" => reply(200, &[], r#"{"models":[{"name":"m","model":"m","size":1},{"name":"nomic:v1"}]}"#),
        "POST /api/embed" => reply(
            200,
            &[],
            r#"{"model":"m","embeddings":[[0.5,-1],[0.25,2]],"total_duration":9,"prompt_eval_count":4}"#,
        ),
        "POST /api/chat" => chat(seen),
        other => panic!("asked for {other}"),
    })
    .await
}

async fn before(upstream: &Upstream) -> Gateway {
    let yaml = "providers: [{name: own, kind: ollama-native, base_url: \"${UP}\"}]\n\
                retry: {attempts: 1}\ncache: {semantic: {enabled: false}}\n";
    Given::yaml(yaml).variable("UP", upstream.url.trim_end_matches("/v1")).start().await
}

#[tokio::test]
async fn a_chat_is_asked_in_ollamas_words_and_answered_in_the_callers() {
    let upstream = ollama().await;
    let gateway = before(&upstream).await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}});
    let more = json!({"max_tokens": 9, "temperature": 0.5, "stop": "END", "num_ctx": 4096, "keep_alive": "1h",
                      "response_format": format, "reasoning_effort": "high", "user": "ada"});
    let first = gateway.chat(&with(ask("How is it?"), more.clone())).await;
    assert_eq!((first.words().as_str(), first.cache().as_str()), ("It is wet.", "miss/absent"));
    let dropped: Vec<&str> = first.header("x-askonce-dropped").split(", ").collect();
    assert_eq!(dropped, ["reasoning.effort", "user"]);
    let answer = first.json();
    assert_eq!(
        (&answer["choices"][0]["finish_reason"], &answer["usage"]["total_tokens"]),
        (&json!("stop"), &json!(30))
    );
    let sent = upstream.last();
    assert_eq!((sent.target.as_str(), sent.header("authorization")), ("POST /api/chat", None));
    let expected = json!({
        "model": "m",
        "messages": [{"role": "user", "content": "How is it?"}],
        "format": schema,
        "think": true,
        "options": {"num_predict": 9, "temperature": 0.5, "stop": ["END"], "num_ctx": 4096},
        "keep_alive": "1h",
        "stream": false,
    });
    assert_eq!(sent.json(), expected);
    let again = gateway.chat(&with(ask("How is it?"), more)).await;
    assert_eq!((again.words().as_str(), again.cache().as_str()), ("It is wet.", "hit/exact"));
    // What it cannot be made to do is refused, and nobody is asked.
    let calls = upstream.calls();
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let forced = gateway.chat(&with(ask("x"), json!({"tools": tools, "tool_choice": "required"}))).await;
    assert_eq!((forced.error(), upstream.calls()), ((400, "unsupported_by_target".to_owned()), calls));
}

#[tokio::test]
async fn lines_are_a_stream_of_the_callers() {
    let upstream = ollama().await;
    let gateway = before(&upstream).await;
    let usage = json!({"stream_options": {"include_usage": true}});
    for cache in ["miss/absent", "hit/exact"] {
        let reply = gateway.chat(&with(streamed(ask("How is it?")), usage.clone())).await;
        assert_eq!((reply.cache().as_str(), reply.words().as_str()), (cache, "It is wet."));
        assert_eq!(reply.chunks().last().unwrap()["usage"]["completion_tokens"], 4);
        assert_eq!(reply.events().last().unwrap(), "[DONE]");
    }
    let claude = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "think"}]});
    let reply = Reply::of(gateway.post("/v1/messages", &streamed(claude.clone()))).await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(text.contains(r#""thinking_delta","thinking":"Hm.""#) && text.contains("event: message_stop"), "{text}");
    let whole = Reply::of(gateway.post("/v1/messages", &with(claude, json!({"temperature": 0.25})))).await.json();
    let said: Vec<&str> =
        whole["content"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!((said, &whole["content"][0]["thinking"]), (vec!["thinking", "text"], &json!("Hm.")));
}

#[tokio::test]
async fn a_call_is_given_an_id_and_its_result_goes_back_by_the_tools_name() {
    let upstream = ollama().await;
    let gateway = before(&upstream).await;
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let asked = with(ask("weather"), json!({"tools": tools}));
    let whole = gateway.chat(&asked).await.json();
    let call = &whole["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "weather", "arguments": "{\"town\":\"Bern\"}"}));
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let id = call["id"].as_str().unwrap();
    assert!(id.starts_with("call_") && id.len() > 20, "{id}");
    let chunks = gateway.chat(&with(streamed(asked.clone()), json!({"seed": 1}))).await.chunks();
    let streamed_id = chunks.iter().find_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["id"].as_str());
    assert_eq!(streamed_id, Some(id), "the same bytes have the same ids");
    let turns = json!([
        {"role": "user", "content": "weather"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id, "content": "12 degrees"},
    ]);
    assert_eq!(gateway.chat(&with(asked, json!({"messages": turns}))).await.words(), "It is wet.");
    let sent = upstream.last().json();
    let called = json!([{"id": id, "function": {"name": "weather", "arguments": {"town": "Bern"}}}]);
    assert_eq!(sent["messages"][1], json!({"role": "assistant", "content": "", "tool_calls": called}));
    let told = json!({"role": "tool", "content": "12 degrees", "tool_name": "weather", "tool_call_id": id});
    assert_eq!(sent["messages"][2], told);
}

#[tokio::test]
async fn what_goes_wrong_is_told_and_never_stored() {
    let upstream = ollama().await;
    let gateway = before(&upstream).await;
    let missing = gateway.chat(&ask("missing")).await;
    assert_eq!(missing.status, 404);
    assert!(missing.json()["error"]["message"].as_str().unwrap().contains("model 'm' not found"));
    let table =
        [("fail", "out of memory"), ("cut", "in the middle of a line"), ("no end", "without a line that says `done`")];
    for (question, why) in table {
        for _ in 0..2 {
            let calls = upstream.calls();
            let broken = gateway.chat(&streamed(ask(question))).await;
            let text = String::from_utf8(broken.body.to_vec()).unwrap();
            assert!(text.contains("It is wet.") && text.contains(why) && !text.contains("[DONE]"), "{text}");
            assert_eq!(upstream.calls(), calls + 1, "{question}");
            // To a caller of its own it is a line.
            let own = Reply::of(gateway.post("/api/chat", &streamed(ask(question)))).await;
            let last = String::from_utf8(own.body.to_vec()).unwrap().lines().last().unwrap().to_owned();
            assert!(last.starts_with("{\"error\":") && last.contains(why), "{last}");
        }
    }
}

#[tokio::test]
async fn vectors_and_models_are_found() {
    let upstream = ollama().await;
    let gateway = before(&upstream).await;
    let names = |list: &Value, field: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&gateway.get("/v1/models").await.json()["data"], "id"), ["m", "nomic:v1"]);
    assert_eq!(names(&gateway.get("/api/tags").await.json()["models"], "model"), ["m", "nomic:v1"]);
    assert!(gateway.get("/api/version").await.json()["version"].is_string());
    let asked = json!({"model": "nomic:v1", "input": ["a", "b"], "dimensions": 2});
    let vectors = Reply::of(gateway.post("/v1/embeddings", &asked)).await.json();
    assert_eq!((&vectors["data"][1]["embedding"], &vectors["usage"]["total_tokens"]), (&json!([0.25, 2]), &json!(4)));
    assert_eq!(upstream.last().json(), asked);
    let own = Reply::of(gateway.post("/api/embed", &with(asked, json!({"truncate": false})))).await.json();
    assert_eq!((&own["embeddings"], &own["total_duration"]), (&json!([[0.5, -1], [0.25, 2]]), &json!(9)));
}

#[tokio::test]
async fn a_caller_of_its_own_gets_its_bytes() {
    let upstream = ollama().await;
    let gateway = before(&upstream).await;
    let body = r#"{"model": "m", "options":{"min_p":0.10}, "new_field": 1e2, "messages":[{"role":"user","content":"How is it?"}]}"#;
    let send = || gateway.post("/api/chat", &Value::Null).body(body);
    let first = Reply::of(send()).await;
    assert_eq!((first.status, first.header("content-type")), (200, "application/x-ndjson"));
    assert_eq!(String::from_utf8_lossy(&upstream.last().body), body);
    let expected = [said(json!({"content": "It is"})), said(json!({"content": " wet."})), done(json!({}))].concat();
    assert_eq!(String::from_utf8_lossy(&first.body), expected);
    let again = Reply::of(send()).await;
    let played: Vec<Value> =
        String::from_utf8_lossy(&again.body).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: String = played.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    let last = played.last().unwrap();
    assert_eq!((again.cache().as_str(), words.as_str()), ("hit/exact", "It is wet."));
    assert_eq!((&last["done"], &last["done_reason"], &last["eval_count"]), (&json!(true), &json!("stop"), &json!(4)));
    let whole = Reply::of(gateway.post("/api/chat", &with(ask("How is it?"), json!({"stream": false})))).await;
    assert_eq!(
        (whole.header("content-type"), &whole.json()["message"]["content"]),
        ("application/json", &json!("It is wet."))
    );
}

#[tokio::test]
async fn its_door_stands_before_any_provider() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let asked = with(ask("How is it?"), json!({"think": false, "options": {"num_predict": 7, "num_ctx": 512}}));
    for (path, cache) in [("/api/chat", "miss/absent"), ("/ollama/api/chat", "hit/exact")] {
        let reply = Reply::of(gateway.post(path, &asked)).await;
        assert_eq!((reply.cache().as_str(), reply.header("content-type")), (cache, "application/x-ndjson"), "{path}");
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let words: String = lines.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
        assert_eq!((words.as_str(), &lines[0]["model"], &lines[0]["done"]), ("answer 1", &json!("m"), &json!(false)));
        assert_eq!(
            (&lines.last().unwrap()["done"], &lines.last().unwrap()["done_reason"]),
            (&json!(true), &json!("stop"))
        );
    }
    let sent = upstream.last().json();
    assert_eq!((&sent["max_tokens"], &sent["stream"], &sent["options"]), (&json!(7), &json!(true), &Value::Null));
    let whole = Reply::of(gateway.post("/api/chat", &with(asked, json!({"stream": false, "keep_alive": 0})))).await;
    assert_eq!(whole.json()["message"], json!({"role": "assistant", "content": "answer 2"}));
    assert!(!whole.json()["created_at"].as_str().unwrap().starts_with("1970"), "{}", whole.json());
    assert_eq!(whole.header("x-askonce-dropped"), "keep_alive, options.num_ctx, reasoning");
    let wrong = Reply::of(gateway.post("/api/chat", &json!({"model": "m", "messages": [{"content": "x"}]}))).await;
    assert_eq!((wrong.status, wrong.json()["error"].is_string()), (400, true));
    let unknown = gateway.get("/api/show").await;
    assert_eq!((unknown.status, unknown.json()["error"].is_string()), (404, true));
}
