//! Orders: both forms in which they are asked for, before each provider that gives them.

use crate::support::script;
use crate::support::{Gateway, Given, Reply, Upstream};
use serde_json::{Value, json};

/// What each provider says of three documents: the last is the best.
async fn upstream() -> Upstream {
    Upstream::start(|seen| {
        let bad = seen.json()["query"] == "bad";
        let ranks =
            |score: &str| json!([{"index": 2, score: 0.9}, {"index": 0, score: 0.5}, {"index": 1, score: 0.25}]);
        match seen.target.as_str() {
            "POST /rerank" if bad => script::reply(422, &[], r#"{"error":"too many texts","error_type":"Validation"}"#),
            _ if bad => script::reply(422, &[], r#"{"message":"too many texts"}"#),
            "POST /rerank" => script::reply(200, &[], ranks("score").to_string()),
            _ => {
                let meta = json!({"billed_units": {"search_units": 1}});
                let body = json!({"id": "r", "results": ranks("relevance_score"), "meta": meta});
                script::reply(200, &[], body.to_string())
            }
        }
    })
    .await
}

/// A gateway before one of each; the models are named after their providers.
async fn gateway(upstream: &Upstream) -> Gateway {
    let root = upstream.url.trim_end_matches("/v1");
    let yaml = "providers:\n\
                \x20 - {name: tei, kind: tei, base_url: '${UP}', models: [tei]}\n\
                \x20 - {name: jina, kind: jina, base_url: '${UP}', api_key: k, models: [jina]}\n\
                \x20 - {name: cohere, kind: cohere, base_url: '${ROOT}', api_key: k, models: [cohere]}\n\
                \x20 - {name: chat, kind: openai_compatible, base_url: '${UP}', models: [chat]}\n\
                \x20 - {name: aws, kind: bedrock, base_url: '${ROOT}', models: ['amazon.rerank-v1:0'],\n\
                \x20    aws: {region: eu-west-1, access_key_id: AKID, secret_access_key: hush-hush}}\n\
                models:\n\
                \x20 - {name: bedrock, targets: [{provider: aws, model: 'cohere.rerank-v3-5:0'}]}\n\
                \x20 - {name: rerank, targets: [{provider: tei, model: whatever}]}\n\
                retry: {attempts: 1}\n";
    Given::yaml(yaml).variable("UP", &upstream.url).variable("ROOT", root).start().await
}

fn named(model: &str) -> Value {
    json!({"model": model, "query": "q", "documents": ["a", "b", "c"], "top_n": 2, "return_documents": true})
}

fn bare(model: &str) -> Value {
    json!({"model": model, "query": "q", "texts": ["a", "b", "c"], "return_text": true})
}

#[tokio::test]
async fn the_named_form_reaches_every_provider() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream).await;
    let texts = json!({"query": "q", "texts": ["a", "b", "c"], "return_text": true, "truncate": true});
    let coheres = json!({"query": "q", "documents": ["a", "b", "c"], "api_version": 2, "top_n": 2});
    let amazons = json!({"query": "q", "documents": ["a", "b", "c"]});
    let table = [
        ("tei", "POST /rerank", texts),
        ("jina", "POST /v1/rerank", named("jina")),
        ("cohere", "POST /v2/rerank", named("cohere")),
        ("bedrock", "POST /model/cohere.rerank-v3-5%3A0/invoke", coheres),
        ("amazon.rerank-v1:0", "POST /model/amazon.rerank-v1%3A0/invoke", amazons),
    ];
    for (model, target, sent) in table {
        for path in ["/v2/rerank", "/v1/rerank", "/rerank"] {
            let reply = Reply::of(gateway.post(path, &named(model))).await;
            assert_eq!(reply.status, 200, "{model}: {}", reply.json());
            let results = reply.json()["results"].as_array().unwrap().clone();
            assert_eq!(results[0]["index"], 2, "{model}");
            assert_eq!(results[0]["relevance_score"], 0.9, "{model}");
            if matches!(model, "tei" | "bedrock" | "amazon.rerank-v1:0") {
                assert_eq!((results.len(), &results[1]["document"]), (2, &json!({"text": "a"})), "{model}");
            }
        }
        let seen = upstream.last();
        assert_eq!((seen.target.as_str(), seen.json()), (target, sent), "{model}");
    }
    assert_eq!(upstream.calls(), 5, "the other paths were answered from memory");
}

#[tokio::test]
async fn the_bare_form_reaches_every_provider() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream).await;
    let documents =
        |model: &str| json!({"model": model, "query": "q", "documents": ["a", "b", "c"], "return_documents": true});
    let coheres = json!({"query": "q", "documents": ["a", "b", "c"], "api_version": 2});
    let table = [
        ("jina", "POST /v1/rerank", documents("jina")),
        ("cohere", "POST /v2/rerank", documents("cohere")),
        ("bedrock", "POST /model/cohere.rerank-v3-5%3A0/invoke", coheres),
    ];
    let expected = json!([
        {"index": 2, "score": 0.9, "text": "c"}, {"index": 0, "score": 0.5, "text": "a"}, {"index": 1, "score": 0.25, "text": "b"}
    ]);
    for (model, target, sent) in table {
        for cache in ["miss/absent", "hit/exact"] {
            let reply = Reply::of(gateway.post("/rerank", &bare(model))).await;
            assert_eq!((reply.cache().as_str(), reply.json()), (cache, expected.clone()), "{model}");
        }
        let seen = upstream.last();
        assert_eq!((seen.target.as_str(), seen.json()), (target, sent), "{model}");
    }
}

#[tokio::test]
async fn the_same_form_passes_byte_for_byte() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream).await;
    let post = |path: &str, body: &'static str| {
        Reply::of(gateway.client.post(gateway.url(path)).header("content-type", "application/json").body(body))
    };
    let answer =
        json!([{"index": 2, "score": 0.9}, {"index": 0, "score": 0.5}, {"index": 1, "score": 0.25}]).to_string();
    let named_one = post(
        "/rerank",
        r#"{"texts":[ "a","b","c"],"model" : "tei/x", "query":"q","truncation_direction":"Left", "n":1.0}"#,
    )
    .await;
    assert_eq!(named_one.body, answer);
    let sent = r#"{"texts":[ "a","b","c"],"model" : "x", "query":"q","truncation_direction":"Left", "n":1.0}"#;
    assert_eq!(upstream.last().body, sent);
    // Its own clients name no model.
    let unnamed = r#"{"query":"q", "texts":["a", "b", "c"],"raw_scores":true}"#;
    for path in ["/rerank", "/v1/rerank"] {
        assert_eq!(post(path, unnamed).await.body, answer);
    }
    assert_eq!((upstream.last().target.as_str(), upstream.last().body.as_ref()), ("POST /rerank", unnamed.as_bytes()));
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test]
async fn errors_are_told_in_the_form_that_was_asked_in() {
    let upstream = upstream().await;
    let gateway = gateway(&upstream).await;
    let bad = |mut body: Value| {
        body["query"] = json!("bad");
        body
    };
    let error = |reply: Reply| (reply.status, reply.json());
    let own = error(Reply::of(gateway.post("/rerank", &bad(bare("tei")))).await);
    assert_eq!(own, (422, json!({"error": "too many texts", "error_type": "Validation"})));
    let (status, told) = error(Reply::of(gateway.post("/rerank", &bad(bare("cohere")))).await);
    assert_eq!((status, &told["error_type"]), (422, &json!("Validation")));
    assert!(told["error"].as_str().unwrap().ends_with("It says: too many texts"), "{told}");
    let (status, told) = error(Reply::of(gateway.post("/rerank", &bad(named("tei")))).await);
    assert!(status == 422 && told["message"].as_str().unwrap().ends_with("It says: too many texts"), "{told}");
    let (status, told) = error(Reply::of(gateway.post("/rerank", &bare("chat"))).await);
    assert!(status == 400 && told["error"].as_str().unwrap().contains("`rerank_texts`"), "{told}");
    let (status, told) = error(Reply::of(gateway.post("/v2/rerank", &named("chat"))).await);
    assert!(status == 400 && told["message"].as_str().unwrap().contains("`rerank`"), "{told}");
    let mut raw = bare("cohere");
    raw["raw_scores"] = json!(true);
    let (status, told) = error(Reply::of(gateway.post("/rerank", &raw)).await);
    assert!(status == 400 && told["error"].as_str().unwrap().contains("between 0 and 1"), "{told}");
}

#[tokio::test]
async fn a_document_that_was_not_asked_about_is_the_providers_fault() {
    let upstream = Upstream::start(|_| script::reply(200, &[], r#"[{"index":7,"score":0.5}]"#)).await;
    let gateway = gateway(&upstream).await;
    let reply = Reply::of(gateway.post("/v2/rerank", &named("tei"))).await;
    assert_eq!(reply.status, 502, "{}", reply.json());
}
