//! Counts of tokens: each vendor's door before each vendor's counter.

use crate::support::script;
use crate::support::{Given, Reply, Upstream};
use serde_json::json;

#[tokio::test]
async fn each_door_reaches_each_counter() {
    let upstream = Upstream::start(|seen| {
        let body = match seen.target.as_str() {
            "POST /v1/messages/count_tokens" => r#"{"input_tokens":7}"#,
            "POST /v1beta/models/m:countTokens" => {
                r#"{"totalTokens":7,"promptTokensDetails":[{"modality":"TEXT","tokenCount":7}]}"#
            }
            "POST /v1/responses/input_tokens" => r#"{"object":"response.input_tokens","input_tokens":7}"#,
            _ => return script::reply(404, &[], "{}"),
        };
        script::reply(200, &[], body)
    })
    .await;
    let yaml = "providers:\n\
                \x20 - {name: a, kind: anthropic, base_url: '${ROOT}', api_key: k, models: [m]}\n\
                \x20 - {name: g, kind: gemini, base_url: '${ROOT}', api_key: k, models: [m]}\n\
                \x20 - {name: o, kind: openai_compatible, base_url: '${UP}', surfaces: [chat, responses], models: [m]}\n\
                \x20 - {name: c, kind: openai_compatible, base_url: '${UP}', surfaces: [chat], models: [m]}\n\
                models:\n\
                \x20 - {name: at-a, targets: [{provider: a, model: m}]}\n\
                \x20 - {name: at-g, targets: [{provider: g, model: m}]}\n\
                \x20 - {name: at-o, targets: [{provider: o, model: m}]}\n\
                \x20 - {name: at-c, targets: [{provider: c, model: m}]}\n";
    let root = upstream.url.trim_end_matches("/v1");
    let gateway = Given::yaml(yaml).variable("UP", &upstream.url).variable("ROOT", root).start().await;
    let doors = |model: &str| {
        let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
        [
            (
                "/v1/messages/count_tokens".to_owned(),
                json!({"model": model, "system": "s", "messages": [{"role": "user", "content": "hi"}]}),
                json!({"input_tokens": 7}),
            ),
            (format!("/v1beta/models/{model}:countTokens"), json!({"contents": contents}), json!({"totalTokens": 7})),
            (
                "/v1/responses/input_tokens".to_owned(),
                json!({"model": model, "input": "hi"}),
                json!({"object": "response.input_tokens", "input_tokens": 7}),
            ),
        ]
    };
    for (model, own) in [("at-a", 0), ("at-g", 1), ("at-o", 2)] {
        for (at, (path, body, expected)) in doors(model).into_iter().enumerate() {
            let reply = Reply::of(gateway.post(&path, &body)).await;
            assert_eq!(reply.status, 200, "{path} at {model}: {} to {}", reply.json(), upstream.last().target);
            if at == own {
                // The provider's own bytes, whatever more they say.
                assert!(reply.json().as_object().unwrap().values().any(|value| value == 7), "{path} at {model}");
            } else {
                assert_eq!(reply.json(), expected, "{path} at {model}");
            }
            let sent = upstream.last().body;
            assert!(std::str::from_utf8(&sent).unwrap().contains("hi"), "{path} at {model}");
            assert!(upstream.last().json().get("max_tokens").is_none(), "a counter is asked for no answer");
        }
    }
    assert_eq!(upstream.calls(), 9);
    for (path, body, _) in doors("at-c") {
        let reply = Reply::of(gateway.post(&path, &body)).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(String::from_utf8_lossy(&reply.body).contains("does not serve the surface"), "{path}");
    }
    assert_eq!(upstream.calls(), 9);
}
