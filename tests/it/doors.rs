//! The other doors: completions, models, health, metrics; and an orderly end.

use crate::support::gateway::{ADMIN_KEY, UPSTREAM_KEY};
use crate::support::script::{event, last_events, piece, reply, stream_end, stream_head, words};
use crate::support::{Gate, Given, Reply, Step, Upstream, ask, script, streamed, until, with};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn completions_are_kept_for_the_same_prompt_only() {
    let upstream = Upstream::start(|seen| {
        let text = format!("text {}", seen.number);
        if seen.wants_stream() {
            let chunk = |text: &str, finish: Value| {
                event(&json!({"id": "cmpl-up", "object": "text_completion", "created": 1, "model": "m",
                    "choices": [{"index": 0, "text": text, "finish_reason": finish, "logprobs": null}]}))
            };
            let (one, two) = text.split_at(5);
            return vec![
                stream_head(),
                piece(chunk(one, json!(null))),
                piece(chunk(two, json!("stop"))),
                piece("data: [DONE]\n\n"),
                stream_end(),
            ];
        }
        let body = json!({"id": "cmpl-up", "object": "text_completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": null}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
        reply(200, &[], body.to_string())
    })
    .await;
    let gateway = Given::one(&upstream, "cache: {semantic: {threshold: 0.5}}").semantic().start().await;
    let complete = |body: Value| Reply::of(gateway.post("/v1/completions", &with(json!({"model": "m"}), body)));
    let text = |reply: &Reply| reply.json()["choices"][0]["text"].as_str().unwrap().to_owned();
    let first = complete(json!({"prompt": "Once upon a time there was"})).await;
    assert_eq!((text(&first).as_str(), upstream.last().target.as_str()), ("text 1", "POST /v1/completions"));
    let again = complete(json!({"prompt": "Once upon a time there was"})).await;
    assert_eq!((again.cache().as_str(), text(&again).as_str()), ("hit/exact", "text 1"));
    assert!(again.id().starts_with("cmpl-") && again.id() != first.id());
    let near = complete(json!({"prompt": "once upon a time there was"})).await;
    assert_eq!((near.cache().as_str(), text(&near).as_str()), ("miss/absent", "text 2"));
    let played = complete(json!({"prompt": "Once upon a time there was", "stream": true})).await;
    let said: String = played.chunks().iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!((played.cache().as_str(), said.as_str()), ("hit/exact", "text 1"));
    // And the other way round, with a list of prompts.
    complete(json!({"prompt": ["a", "b"], "stream": true})).await;
    let folded = complete(json!({"prompt": ["a", "b"]})).await;
    assert_eq!((folded.cache().as_str(), text(&folded).as_str()), ("hit/exact", "text 3"));
    assert_eq!(complete(json!({"prompt": []})).await.error().0, 400);
    assert_eq!(complete(json!({"prompt": 5})).await.error().0, 400);
}

#[tokio::test]
async fn models_are_listed_once_each() {
    let upstream = Upstream::start(|seen| {
        assert_eq!(seen.target, "GET /v1/models");
        assert_eq!(seen.header("authorization"), Some("Bearer sk-b"));
        reply(200, &[], r#"{"object":"list","data":[{"id":"asked","object":"model"},{"id":"m"},{"id":"org/big"}]}"#)
    })
    .await;
    let yaml = "providers:\n  - {name: a, kind: openai_compatible, base_url: \"${UP}\", models: [m]}\n  \
        - {name: b, kind: openai_compatible, base_url: \"${UP}\", api_key: sk-b}\n\
        models:\n  - {name: alias, targets: [{provider: a, model: m}]}\n";
    let gateway = Given::yaml(yaml).variable("UP", &upstream.url).semantic().start().await;
    let list = gateway.get("/v1/models").await.json();
    let models: Vec<(&str, &str)> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| (model["id"].as_str().unwrap(), model["owned_by"].as_str().unwrap()))
        .collect();
    assert_eq!(models, [("alias", "askonce"), ("m", "a"), ("asked", "b"), ("org/big", "b"), ("fake", "askonce")]);
    assert_eq!(list["object"], "list");
    let one = gateway.get("/v1/models/org/big").await.json();
    assert_eq!((&one["id"], &one["object"]), (&json!("org/big"), &json!("model")));
    assert_eq!(upstream.calls(), 1, "only who has no list is asked");
}

#[tokio::test]
async fn a_model_is_sent_to_who_has_it() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let yaml = "providers:\n  - {name: one, kind: openai_compatible, base_url: \"${ONE}\", models: [m]}\n  \
        - {name: two, kind: openai_compatible, base_url: \"${TWO}\", models: [k]}\n";
    let gateway = Given::yaml(yaml).variable("ONE", &one.url).variable("TWO", &two.url).start().await;
    for (model, provider, sent) in
        [("m", "one", "m"), ("k", "two", "k"), ("two/m", "two", "m"), ("one/any/thing", "one", "any/thing")]
    {
        let reply = gateway.chat(&with(ask("x"), json!({"model": model}))).await;
        assert_eq!(reply.header("x-askonce-provider"), provider, "{model}");
        let upstream = if provider == "one" { &one } else { &two };
        assert_eq!(upstream.last().json()["model"], sent);
    }
}

#[tokio::test]
async fn usage_is_asked_for_on_the_gateways_own_behalf() {
    let upstream = Upstream::start(|seen| {
        assert_eq!(seen.json()["stream_options"], json!({"include_usage": true}));
        let usage = event(&json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}));
        let finish = event(&json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
        vec![stream_head(), piece(words("a")), piece(finish), piece(usage), piece("data: [DONE]\n\n"), stream_end()]
    })
    .await;
    let yaml = "providers: [{name: up, kind: openai_compatible, base_url: \"${UP}\", models: [m], stream_usage: true}]";
    let gateway = Given::yaml(yaml).variable("UP", &upstream.url).start().await;
    let fresh = gateway.chat(&streamed(ask("x"))).await;
    assert_eq!(fresh.words(), "a");
    assert!(!String::from_utf8_lossy(&fresh.body).contains("usage"), "the caller did not ask");
    assert_eq!(gateway.chat(&ask("x")).await.json()["usage"]["total_tokens"], 7);
}

#[tokio::test]
async fn health_and_metrics_are_told() {
    let upstream = Upstream::counting().await;
    let price = "models:\n  - name: m\n    targets: [{provider: up}]\n    price: {input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 2}\n";
    let gateway =
        Given::one(&upstream, &format!("{price}cache: {{semantic: {{threshold: 0.6}}}}")).semantic().start().await;
    for question in ["How do I reset my password?", "How do I reset my password?", "How can I reset my password?"] {
        gateway.chat(&ask(question)).await;
        gateway.chat(&streamed(ask(question))).await;
    }
    gateway
        .chat_with(&ask("x"), &[("x-askonce-cache", "bypass"), ("authorization", "Bearer sk-somebodys-secret")])
        .await;
    for (path, expected) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let reply = gateway.get(path).await;
        assert_eq!((reply.status, String::from_utf8_lossy(&reply.body).trim()), (200, expected));
    }
    let metrics = gateway.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    for name in [
        "gen_ai_server_request_duration_seconds_bucket{",
        "gen_ai_server_time_to_first_token_seconds_bucket{",
        "gen_ai_client_token_usage_bucket{",
        "gen_ai_client_operation_duration_seconds_bucket{",
        "askonce_cache_lookups_total{outcome=\"hit\",tier=\"exact\"",
        "askonce_cache_lookups_total{outcome=\"hit\",tier=\"semantic\"",
        "askonce_cache_lookups_total{outcome=\"miss\"",
        "askonce_cache_lookups_total{outcome=\"bypass\"",
        "askonce_cache_similarity_bucket{",
        "askonce_cache_lookup_duration_seconds_bucket{step=\"embed\"",
        "askonce_cache_stored_total{result=\"stored\"}",
        "askonce_cache_saved_usd",
        "askonce_cache_saved_tokens_total{",
        "askonce_embedding_texts_total",
        "askonce_embedding_batches_total{rows=\"1\"}",
        "askonce_embedding_memo_total{outcome=\"miss\"}",
        "askonce_embedding_queued",
        "askonce_cache_entries",
        "askonce_cache_bytes",
        "askonce_cache_evicted",
        "askonce_requests_in_flight",
    ] {
        assert!(text.contains(name), "{name} is not among the metrics");
    }
    for secret in [UPSTREAM_KEY, ADMIN_KEY, "sk-somebodys-secret", "password"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn models_that_do_not_exist_do_not_fill_the_metrics() {
    let upstream = Upstream::counting().await;
    let yaml = "providers:\n  - {name: a, kind: openai_compatible, base_url: \"${UP}\", models: [m]}\n  - {name: b, kind: openai_compatible, base_url: \"${UP}\", models: [k]}\n";
    let gateway = Given::yaml(yaml).variable("UP", &upstream.url).start().await;
    assert_eq!(gateway.chat(&with(ask("x"), json!({"model": "made-up-by-a-caller"}))).await.status, 404);
    let text = String::from_utf8_lossy(&gateway.get("/metrics").await.body).into_owned();
    assert!(text.contains("gen_ai_request_model=\"unknown\"") && !text.contains("made-up-by-a-caller"));
}

#[tokio::test]
async fn who_closes_is_not_ready_and_serves_on() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    gateway.app.close();
    assert_eq!((gateway.get("/readyz").await.status, gateway.get("/healthz").await.status), (503, 200));
    assert_eq!(gateway.chat(&ask("x")).await.status, 200);
}

#[tokio::test]
async fn streams_under_way_finish_at_an_orderly_end() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| {
        vec![
            stream_head(),
            piece(words("first ")),
            Step::Gate(held.clone()),
            piece(words("last")),
            piece(last_events()),
            stream_end(),
        ]
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let given = Given::one(&upstream, "").dir(dir.path());
    let mut gateway = given.start().await;
    let mut response = gateway.request(&streamed(ask("x"))).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    gateway.ask_to_stop();
    until("nobody new is let in", || async { tokio::net::TcpStream::connect(gateway.address).await.is_err() }).await;
    gate.open();
    let rest = response.bytes().await.unwrap();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(gateway.stop().await, 0);
    // And its answer is there after the restart.
    let hit = given.start_again().await.chat(&ask("x")).await;
    assert_eq!((hit.cache().as_str(), hit.words().as_str()), ("hit/exact", "first last"));
}

#[tokio::test]
async fn an_end_has_its_own_deadline() {
    let upstream = Upstream::start(|_| vec![stream_head(), piece(words("a")), Step::Hang]).await;
    let gateway = Given::one(&upstream, "limits: {shutdown_timeout_ms: 100}").start().await;
    let mut response = gateway.request(&streamed(ask("x"))).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(gateway.stop().await, 1, "one request is cut off, and said to be");
}

#[tokio::test]
async fn the_demo_answers_by_itself() {
    let gateway = Given::yaml("providers: [{name: demo, kind: demo}]").start().await;
    let question = with(ask("What is the capital of France?"), json!({"model": "demo"}));
    let fresh = gateway.chat(&streamed(question.clone())).await;
    assert!(fresh.words().contains("Paris"), "{}", fresh.words());
    assert_eq!(fresh.header("x-askonce-demo"), "true");
    assert_eq!(gateway.chat(&question).await.cache(), "hit/exact");
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let post = |body: Value| Reply::of(client.post(gateway.url("/v1/chat/completions")).json(&body));
    assert_eq!(post(streamed(ask("x"))).await.words(), "answer 1");
    assert_eq!(post(ask("x")).await.cache(), "hit/exact");
    assert_eq!(post(json!({})).await.error().0, 400);
    // Many at a time on the one connection.
    let many = (0..50).map(|number| post(streamed(ask(&format!("q{number}")))));
    let replies = futures_util::future::join_all(many).await;
    assert!(replies.iter().all(|reply| reply.words().starts_with("answer ")));
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn connections_to_a_provider_are_kept() {
    let upstream = Upstream::start(|seen| {
        if !seen.wants_stream() {
            return script::answer("a");
        }
        // The end of the body comes a little after the last event, as it often does.
        let pause = Step::Pause(Duration::from_millis(3));
        vec![stream_head(), piece(words("a")), piece(last_events()), pause, stream_end()]
    })
    .await;
    let gateway = Given::one(&upstream, "").start().await;
    for number in 0..10 {
        let question = ask(&format!("q{number}"));
        for body in [question.clone(), with(streamed(question), json!({"seed": 1}))] {
            assert_eq!(gateway.chat(&body).await.words(), "a");
            // The connection is free when the body has ended.
            until("the script has ended", || async { upstream.ended().len() == upstream.calls() }).await;
        }
    }
    assert_eq!(upstream.calls(), 20);
    assert!(upstream.connections() <= 3, "{} connections for 20 requests", upstream.connections());
}
