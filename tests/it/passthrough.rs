//! The bytes law: what a caller sends reaches the provider as it came, and so does the answer.

use crate::support::gateway::UPSTREAM_KEY;
use crate::support::{Given, Reply, Upstream, ask, script, streamed};

/// Odd spacing, a key order of its own, unknown fields, numbers no double can hold, escapes.
const ODD: &str = r#"{ "temperature":0.30000000000000004, "x_unknown" : {"deep":[1,2,{"z":null,"a":1E400}]},
   "messages":[ {"role":"user","content":"Gr\u00fc\u00df dich, \ud83e\udd80 / 🦀","name":"x"} ],"model" :  "m",
   "seed": 123456789012345678901234567890, "big":9007199254740993, "logit_bias":{"50256":-100},"metadata":{"a":"b"} }"#;

async fn send(gateway: &crate::support::Gateway, body: impl Into<String>) -> Reply {
    let request = gateway
        .client
        .post(gateway.url("/v1/chat/completions"))
        .header("content-type", "application/json; charset=utf-8")
        .body(body.into());
    Reply::of(request).await
}

#[tokio::test]
async fn a_body_arrives_byte_for_byte() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let body = ODD.replace("1E400", "1e300");
    let reply = send(&gateway, body.clone()).await;
    assert_eq!(reply.words(), "answer 1");
    let seen = upstream.last();
    assert_eq!(seen.target, "POST /v1/chat/completions");
    assert_eq!(seen.body, body.as_bytes());
}

#[tokio::test]
async fn an_alias_changes_the_models_name_and_nothing_else() {
    let upstream = Upstream::counting().await;
    let models = "models:\n  - {name: m, targets: [{provider: up, model: 'vendor/real \"m\"'}]}\n";
    let gateway = Given::one(&upstream, models).start().await;
    let body = ODD.replace("1E400", "1e300");
    assert_eq!(send(&gateway, body.clone()).await.status, 200);
    let expected = body.replace(r#""model" :  "m""#, r#""model" :  "vendor/real \"m\"""#);
    assert_ne!(expected, body);
    assert_eq!(upstream.last().body, expected.as_bytes());
    // An escaped name is the same name.
    let escaped = body.replace(r#""model" :  "m""#, r#""model" :  "\u006d""#);
    assert_eq!(send(&gateway, escaped).await.status, 200);
    assert_eq!(upstream.last().body, expected.as_bytes());
}

#[tokio::test]
async fn a_number_no_double_can_hold_passes_and_is_not_cached() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"seed":123456789012345678901234567890}"#;
    for call in 1..=2 {
        let reply = send(&gateway, body).await;
        assert_eq!((reply.cache().as_str(), reply.status), ("bypass/inexact_number", 200));
        assert_eq!((upstream.calls(), upstream.last().body.as_ref()), (call, body.as_bytes()));
    }
}

#[tokio::test]
async fn an_answer_comes_back_byte_for_byte() {
    let odd = br#" {"choices" : [ {"index":0,"message":{"role":"assistant","content":"h\u00e9","reasoning_content":"so"},
        "logprobs":{"content":[]}, "finish_reason":"stop","x":1.10} ],"x_new":{"b":1,"a":[ ]},"id":"abc", "created":5 }"#;
    let upstream = Upstream::start(move |_| {
        let headers = [
            ("x-ratelimit-remaining-requests", "41"),
            ("openai-processing-ms", "7"),
            ("x-request-id", "up-7"),
            ("set-cookie", "session=secret"),
            ("content-type", "application/json; charset=utf-8"),
        ];
        script::reply(200, &headers, odd)
    })
    .await;
    let gateway = Given::one(&upstream, "").start().await;
    let fresh = gateway.chat(&ask("x")).await;
    assert_eq!(fresh.body, odd.as_slice());
    assert_eq!(fresh.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(fresh.header("x-ratelimit-remaining-requests"), "41");
    assert_eq!(fresh.header("openai-processing-ms"), "7");
    assert_eq!(fresh.header("x-upstream-request-id"), "up-7");
    assert_eq!(fresh.header("set-cookie"), "");
    // From the cache the same bytes, but for the id and the date.
    let again = gateway.chat(&ask("x")).await;
    assert_eq!(again.cache(), "hit/exact");
    let (id, created) = (again.id(), again.json()["created"].to_string());
    let expected = String::from_utf8_lossy(odd)
        .replace(r#""abc""#, &format!("\"{id}\""))
        .replace(r#""created":5"#, &format!(r#""created":{created}"#));
    assert_eq!(again.body, expected.as_bytes());
    assert!(id.starts_with("chatcmpl-") && created.len() == 10, "{id} {created}");
}

#[tokio::test]
async fn a_streams_bytes_are_those_of_the_provider() {
    let said = format!(
        ": keep-alive\n\n{}event: message\r\ndata: {{\"choices\":[{{\"delta\":{{\"content\":\"b\"}}, \"index\":0}}],\"x\" : 1.0}}\r\n\r\n{}",
        script::words("a"),
        script::last_events()
    );
    let all = said.clone();
    let upstream = Upstream::start(move |_| {
        // Cut anywhere, in the middle of events too.
        let mut steps = vec![script::stream_head()];
        steps.extend(all.as_bytes().chunks(7).map(script::piece));
        steps.push(script::stream_end());
        steps
    })
    .await;
    let gateway = Given::one(&upstream, "").start().await;
    let reply = gateway.chat(&streamed(ask("x"))).await;
    assert_eq!(String::from_utf8_lossy(&reply.body), said);
    assert_eq!(reply.header("cache-control"), "no-cache");
    let again = gateway.chat(&streamed(ask("x"))).await;
    assert_eq!((again.cache().as_str(), again.words().as_str()), ("hit/exact", "ab"));
}

#[tokio::test]
async fn the_providers_key_takes_the_callers_place() {
    let upstream = Upstream::counting().await;
    let keys = "auth:\n  keys:\n    - {name: web, key: caller-key-0123456789}\n";
    let gateway = Given::one(&upstream, keys).start().await;
    let headers = [
        ("authorization", "Bearer caller-key-0123456789"),
        ("openai-organization", "org-1"),
        ("openai-beta", "assistants=v2"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.1.2.3"),
        ("x-api-key", "caller-other-key"),
    ];
    assert_eq!(gateway.chat_with(&ask("x"), &headers).await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {UPSTREAM_KEY}").as_str()));
    // Who is billed under the gateway's key is not for callers to say.
    assert_eq!(seen.header("openai-organization"), None);
    assert_eq!(seen.header("openai-beta"), Some("assistants=v2"));
    assert!(seen.header("traceparent").is_some());
    for own in ["cookie", "x-forwarded-for", "x-api-key"] {
        assert_eq!(seen.header(own), None, "{own} is not the provider's business");
    }
    let all = format!("{:?}", seen.headers);
    assert!(!all.contains("caller-key"), "{all}");
}

#[tokio::test]
async fn without_a_key_of_its_own_the_gateway_passes_the_callers() {
    let upstream = Upstream::counting().await;
    let yaml = "providers:\n  - {name: up, kind: openai_compatible, base_url: \"${UP}\", models: [m], headers: {x-team: \"blue\"}}\n";
    let gateway = Given::yaml(yaml).variable("UP", &upstream.url).start().await;
    let mine = [("authorization", "Bearer sk-callers-own")];
    assert_eq!(gateway.chat_with(&ask("x"), &mine).await.status, 200);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer sk-callers-own"));
    assert_eq!(upstream.last().header("x-team"), Some("blue"));
    assert_eq!(gateway.chat(&ask("x")).await.status, 200);
    assert_eq!(upstream.last().header("authorization"), None);
}

#[tokio::test]
async fn a_request_id_goes_in_and_out() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let named = gateway.chat_with(&ask("x"), &[("x-request-id", "mine-1.2:3")]).await;
    assert_eq!(named.header("x-request-id"), "mine-1.2:3");
    let odd = gateway.chat_with(&ask("x"), &[("x-request-id", "no good {id}")]).await;
    let made = odd.header("x-request-id");
    assert!(made.starts_with("req_") && made.len() == 28, "{made}");
    // Errors have one too.
    let wrong = gateway.get("/nowhere").await;
    assert_eq!((wrong.status, wrong.header("x-request-id").len()), (404, 28));
}

#[tokio::test]
async fn v1_may_be_left_out() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let reply = Reply::of(gateway.post("/chat/completions", &ask("x"))).await;
    assert_eq!(reply.words(), "answer 1");
    assert_eq!(gateway.chat(&ask("x")).await.cache(), "hit/exact");
}
