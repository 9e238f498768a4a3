//! Every surface of conversations before a provider that speaks OpenAI's wire only: translation, cache, what is lost.

use crate::support::gateway::{Gateway, Given};
use crate::support::reply::Reply;
use crate::support::script;
use crate::support::upstream::Upstream;
use serde_json::{Value, json};

const QUESTION: &str = "Which city is the capital of France?";

/// Path and body of the question at each surface, and where its answer has the words.
fn asked(surface: &str) -> (&'static str, Value, &'static str) {
    let text = QUESTION;
    let block = json!([{"text": text}]);
    let user = json!([{"role": "user", "content": text}]);
    match surface {
        "messages" => ("/v1/messages", json!({"model": "m", "max_tokens": 9, "messages": user}), "/content/0/text"),
        "responses" => ("/v1/responses", json!({"model": "m", "input": text}), "/output/0/content/0/text"),
        "generate_content" => (
            "/v1beta/models/m:generateContent",
            json!({"contents": [{"role": "user", "parts": block}]}),
            "/candidates/0/content/parts/0/text",
        ),
        "converse" => (
            "/model/m/converse",
            json!({"messages": [{"role": "user", "content": block}]}),
            "/output/message/content/0/text",
        ),
        "cohere" => ("/v2/chat", json!({"model": "m", "messages": user}), "/message/content/0/text"),
        "ollama" => ("/api/chat", json!({"model": "m", "messages": user, "stream": false}), "/message/content"),
        "invoke" => (
            "/model/m/invoke",
            json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": user}),
            "/content/0/text",
        ),
        _ => ("/v1/chat/completions", json!({"model": "m", "messages": user}), "/choices/0/message/content"),
    }
}

async fn ask(gateway: &Gateway, surface: &str) -> (Reply, Value) {
    let (path, body, words) = asked(surface);
    let reply = Reply::of(gateway.post(path, &body)).await;
    assert_eq!(reply.status, 200, "{surface}: {}", String::from_utf8_lossy(&reply.body));
    let said = reply.json().pointer(words).cloned().unwrap_or_default();
    (reply, said)
}

const CHATS: [&str; 7] = ["chat", "messages", "responses", "generate_content", "converse", "cohere", "ollama"];

#[tokio::test]
async fn each_surface_has_answers_of_its_own() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").semantic().start().await;
    for (at, surface) in CHATS.into_iter().enumerate() {
        let (first, words) = ask(&gateway, surface).await;
        assert_eq!((first.cache().as_str(), words), ("miss/absent", json!(format!("answer {}", at + 1))), "{surface}");
        let (again, words) = ask(&gateway, surface).await;
        assert_eq!((again.cache().as_str(), words), ("hit/exact", json!(format!("answer {}", at + 1))), "{surface}");
        assert_eq!(again.header("x-askonce-cost-usd"), "0.000000");
    }
    let (invoked, words) = ask(&gateway, "invoke").await;
    assert_eq!((invoked.cache().as_str(), words), ("bypass/surface", json!("answer 8")));
    assert_eq!(upstream.calls(), 8);
}

#[tokio::test]
async fn surfaces_share_where_the_operator_says_so() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "cache: {share_across_surfaces: true}").semantic().start().await;
    // The limit counts: surfaces that ask for none share with each other, the one that has to name one does not.
    for surface in CHATS.into_iter().filter(|surface| *surface != "messages") {
        let (reply, words) = ask(&gateway, surface).await;
        let expected = if surface == "chat" { "miss/absent" } else { "hit/exact" };
        assert_eq!((reply.cache().as_str(), words), (expected, json!("answer 1")), "{surface}");
    }
    assert_eq!(ask(&gateway, "messages").await.0.cache(), "miss/absent");
    let two = |document: &str| {
        let parts = json!([{"type": "text", "text": document}, {"type": "text", "text": "Summarise this."}]);
        json!({"model": "m", "messages": [{"role": "user", "content": parts}]})
    };
    gateway.chat(&two("The harvest of apples was good this year in the north of the country.")).await;
    let other = gateway.chat(&two("A bridge over the river is closed for repairs until the end of May.")).await;
    assert!(other.cache().starts_with("miss"), "another document is another question: {}", other.cache());
}

#[tokio::test]
async fn a_conversation_goes_on_whoever_answers_it() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let (first, _) = ask(&gateway, "responses").await;
    // A response that comes from the cache can be gone on from, too.
    let (hit, _) = ask(&gateway, "responses").await;
    assert_ne!(first.id(), hit.id());
    for id in [first.id(), hit.id()] {
        let body = json!({"model": "m", "previous_response_id": id, "input": "And of Italy?"});
        assert_eq!(Reply::of(gateway.post("/v1/responses", &body)).await.status, 200);
        let sent = upstream.last().json();
        let said: Vec<&str> =
            sent["messages"].as_array().unwrap().iter().map(|one| one["content"].as_str().unwrap()).collect();
        assert_eq!(said, [QUESTION, "answer 1", "And of Italy?"]);
    }
    let unknown = json!({"model": "m", "previous_response_id": "resp_nobody", "input": "x"});
    let refused = Reply::of(gateway.post("/v1/responses", &unknown)).await;
    assert_eq!(refused.error(), (400, "previous_response_not_found".to_owned()));
    let item =
        json!([{"type": "item_reference", "id": first.json()["output"][0]["id"]}, {"role": "user", "content": "So?"}]);
    let reply = Reply::of(gateway.post("/v1/responses", &json!({"model": "m", "input": item}))).await;
    assert_eq!((reply.status, &upstream.last().json()["messages"][0]["content"]), (200, &json!("answer 1")));
}

#[tokio::test]
async fn what_is_lost_is_named_or_refused() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let (path, body, _) = asked("messages");
    let with = |name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        body
    };
    let reply = Reply::of(gateway.post(path, &with("top_k", json!(5)))).await;
    assert_eq!((reply.status, reply.header("x-askonce-dropped")), (200, "top_k"));
    let tools = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let refused = Reply::of(gateway.post(path, &with("tools", tools))).await;
    assert_eq!((refused.status, &refused.json()["type"]), (400, &json!("error")));
    let told = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(told.contains("up") && told.contains("tools"), "{told}");
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test]
async fn streams_are_translated_and_end_as_their_wire_ends() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let mut body = asked("messages").1;
    body["stream"] = json!(true);
    for expected in ["miss/absent", "hit/exact"] {
        let reply = Reply::of(gateway.post("/v1/messages", &body)).await;
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        assert_eq!(reply.cache(), expected);
        assert!(text.starts_with("event: message_start\n") && text.contains("event: message_stop\n"), "{text}");
        assert!(text.contains("text_delta"), "{text}");
    }
    let list = Reply::of(gateway.post("/v1beta/models/m:streamGenerateContent", &asked("generate_content").1)).await;
    assert!(list.json().is_array(), "without alt=sse it is one list");
    let frames = Reply::of(gateway.post("/model/m/converse-stream", &asked("converse").1)).await;
    assert_eq!(frames.header("content-type"), "application/vnd.amazon.eventstream");
    assert!(frames.body.windows(11).any(|bytes| bytes == b"messageStop"));
}

#[tokio::test]
async fn errors_are_told_in_the_callers_dialect() {
    let upstream = Upstream::start(|_| {
        script::reply(
            429,
            &[("retry-after", "7")],
            r#"{"error": {"message": "slow down", "type": "rate_limit_error"}}"#,
        )
    })
    .await;
    let gateway = Given::one(&upstream, "retry: {attempts: 1}").start().await;
    let table = [
        ("messages", "/error/type", json!("rate_limit_error")),
        ("generate_content", "/error/status", json!("RESOURCE_EXHAUSTED")),
        ("converse", "/__type", json!("ThrottlingException")),
        ("responses", "/error/type", json!("rate_limit_error")),
        ("ollama", "/error", json!("Provider `up` answered with status 429. It says: slow down")),
    ];
    for (surface, place, expected) in table {
        let (path, body, _) = asked(surface);
        let reply = Reply::of(gateway.post(path, &body)).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, "7"), "{surface}");
        assert_eq!(reply.json().pointer(place), Some(&expected), "{surface}: {}", reply.json());
        assert!(reply.json().to_string().contains("slow down"), "{surface}: {}", reply.json());
    }
}
