//! What a reply can tell only at its end stands in its trailers; what it lacks is told by every reply that lacks it.

use crate::support::gateway::Gateway;
use crate::support::process::{EXACT_ONLY, Process, yaml};
use crate::support::raw::Chunked;
use crate::support::script::{event, piece, stream_end, stream_head, words};
use crate::support::{Gate, Given, Reply, Step, Upstream, ask, streamed, until, with};
use askonce::types::clock::Clock;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const COST: &str = "x-askonce-cost-usd";
const DROPPED: &str = "x-askonce-dropped";
const TE: &str = "te: trailers";

/// A dollar for a million tokens in, two for a million out.
const PRICE: &str = "models:\n  - name: m\n    targets: [{provider: up}]\n    \
                     price: {input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 2}\n";

/// A streamed answer in OpenAI's wire. Some of it has no word in other wires, and it tells 10 tokens in and 5 out.
fn told(gate: Option<&Gate>) -> Vec<Step> {
    let finish = json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let likely = json!({"id": "c", "choices": [
        {"index": 0, "delta": {"content": "b"}, "logprobs": {"content": [{"token": "b"}]}, "finish_reason": null},
    ]});
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    let usage = json!({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage});
    let mut steps = vec![stream_head(), piece(words("a "))];
    steps.extend(gate.map(|gate| Step::Gate(gate.clone())));
    let rest = [event(&likely), event(&finish), event(&usage), "data: [DONE]\n\n".to_owned()];
    steps.extend(rest.into_iter().map(piece));
    steps.push(stream_end());
    steps
}

/// Path and body of a streamed question at each surface. All but OpenAI's name `top_k`, which that wire cannot carry.
fn asked(surface: &str) -> (&'static str, Value) {
    let user = json!([{"role": "user", "content": surface}]);
    let parts = json!([{"text": surface}]);
    let gemini = json!({"contents": [{"role": "user", "parts": parts}], "generationConfig": {"topK": 5}});
    let converse =
        json!({"messages": [{"role": "user", "content": parts}], "additionalModelRequestFields": {"top_k": 5}});
    let messages = json!({"model": "m", "max_tokens": 9, "messages": user, "top_k": 5, "stream": true});
    match surface {
        "messages" => ("/v1/messages", messages),
        "gemini" => ("/v1beta/models/m:streamGenerateContent?alt=sse", gemini),
        "gemini list" => ("/v1beta/models/m:streamGenerateContent", gemini),
        "converse" => ("/model/m/converse-stream", converse),
        _ => ("/v1/chat/completions", with(streamed(ask("x")), json!({"stream_options": {"include_usage": true}}))),
    }
}

async fn told_by(gateway: &Gateway, surface: &str, lines: &[&str]) -> Chunked {
    let (path, body) = asked(surface);
    Chunked::post(gateway.address, path, &body, lines).await
}

#[tokio::test]
async fn a_streams_cost_is_told_at_its_end_to_who_asks_for_trailers() {
    let upstream = Upstream::start(|_| told(None)).await;
    let gateway = Given::one(&upstream, PRICE).start().await;
    let plain = told_by(&gateway, "chat", &["x-askonce-cache: bypass"]).await;
    assert_eq!((plain.header("trailer"), plain.trailers.len(), plain.header(COST)), ("", 0, ""));
    let bypass = told_by(&gateway, "chat", &[TE, "x-askonce-cache: bypass"]).await;
    let miss = told_by(&gateway, "chat", &[TE]).await;
    for reply in [&bypass, &miss] {
        assert_eq!((reply.header("trailer"), reply.header(COST)), (COST, ""), "{}", reply.head);
        assert_eq!(reply.trailers, [(COST.to_owned(), "0.000020".to_owned())]);
        assert_eq!(reply.body, plain.body, "the provider's bytes are as they came");
    }
    let hit = gateway.chat(&asked("chat").1).await;
    assert_eq!((hit.cache().as_str(), hit.header(COST), hit.header("trailer")), ("hit/exact", "0.000000", ""));
}

#[tokio::test]
async fn a_translated_stream_names_at_its_end_what_it_lost() {
    let upstream = Upstream::start(|_| told(None)).await;
    let gateway = Given::one(&upstream, PRICE).start().await;
    for surface in ["messages", "gemini", "gemini list", "converse"] {
        let bypass = told_by(&gateway, surface, &["x-askonce-cache: bypass"]).await;
        assert_eq!((bypass.header("trailer"), bypass.trailers.len()), ("", 0), "{surface}");
        let miss = told_by(&gateway, surface, &[TE]).await;
        assert_eq!(miss.header("trailer"), format!("{COST}, {DROPPED}"), "{surface}: {}", miss.head);
        assert_eq!(miss.header(DROPPED), "top_k", "{surface}");
        assert_eq!((miss.trailer(COST), miss.trailer(DROPPED)), ("0.000020", "logprobs"), "{surface}");
        let last: &[u8] = match surface {
            "gemini list" => b"]",
            "converse" => b"",
            _ => b"\n\n",
        };
        assert!(miss.body.ends_with(last), "{surface}: nothing is missing from the body");
        // The answer out of the cache lacks the same, and says so at once.
        let (path, body) = asked(surface);
        let hit = Reply::of(gateway.post(path, &body)).await;
        assert_eq!((hit.cache().as_str(), hit.header(DROPPED)), ("hit/exact", "top_k, logprobs"), "{surface}");
    }
}

/// A streamed answer in Anthropic's wire, with a citation, which has no word in others.
fn cited(gate: Option<&Gate>) -> Vec<Step> {
    let usage = json!({"input_tokens": 10, "output_tokens": 1});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "usage": usage});
    let named = |data: &Value| piece(format!("event: {}\n{}", data["type"].as_str().unwrap(), event(data)));
    let delta = |delta: Value| named(&json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    let block = json!({"type": "text", "text": ""});
    let mut steps = vec![
        stream_head(),
        named(&json!({"type": "message_start", "message": message})),
        named(&json!({"type": "content_block_start", "index": 0, "content_block": block})),
        delta(json!({"type": "text_delta", "text": "hi"})),
    ];
    steps.extend(gate.map(|gate| Step::Gate(gate.clone())));
    steps.extend([
        delta(json!({"type": "citations_delta", "citation": {}})),
        named(&json!({"type": "content_block_stop", "index": 0})),
        named(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}})),
        named(&json!({"type": "message_stop"})),
        stream_end(),
    ]);
    steps
}

/// A gateway before a provider that speaks Anthropic's wire.
async fn before_anthropic(upstream: &Upstream) -> Gateway {
    let yaml =
        format!("providers: [{{name: up, kind: anthropic, base_url: \"${{UP}}\", api_key: k, models: [m]}}]\n{PRICE}");
    Given::yaml(&yaml).variable("UP", upstream.url.trim_end_matches("/v1")).start().await
}

#[tokio::test]
async fn citations_of_a_live_stream_are_named_when_they_are_lost() {
    let upstream = Upstream::start(|_| cited(None)).await;
    let gateway = before_anthropic(&upstream).await;
    let body = with(streamed(ask("x")), json!({"seed": 7}));
    let miss = Chunked::post(gateway.address, "/v1/chat/completions", &body, &[TE]).await;
    assert_eq!((miss.header(DROPPED), miss.trailer(DROPPED), miss.trailer(COST)), ("seed", "citations", "0.000020"));
    for body in [body.clone(), with(body, json!({"stream": false}))] {
        let hit = gateway.chat(&body).await;
        assert_eq!((hit.cache().as_str(), hit.header(DROPPED)), ("hit/exact", "seed, citations"));
    }
    // In its own wire nothing is lost, so nothing is announced but the cost.
    let own = told_by(&gateway, "messages", &[TE]).await;
    assert_eq!((own.header("trailer"), own.header(DROPPED), own.trailer(DROPPED)), (COST, "", ""));
}

#[tokio::test]
async fn a_stream_that_breaks_off_has_no_trailers() {
    let upstream = Upstream::start(|_| {
        let mut steps = told(None);
        // What comes before the break has told tokens and lost something.
        steps.truncate(5);
        steps.extend([piece(event(&json!({"error": {"message": "boom"}}))), stream_end()]);
        steps
    })
    .await;
    let gateway = Given::one(&upstream, PRICE).start().await;
    for surface in ["chat", "messages", "gemini", "gemini list", "converse"] {
        let reply = told_by(&gateway, surface, &[TE]).await;
        assert!(reply.header("trailer").starts_with(COST), "{surface}");
        assert!(String::from_utf8_lossy(&reply.body).contains("boom"), "{surface}");
        assert!(reply.trailers.is_empty(), "{surface}: {:?}", reply.trailers);
    }
}

#[tokio::test]
async fn followers_pay_nothing_and_are_told_what_is_lost() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| cited(Some(&held))).await;
    let gateway = Arc::new(before_anthropic(&upstream).await);
    let body = with(streamed(ask("x")), json!({"seed": 7}));
    let caller = || {
        let (gateway, body) = (gateway.clone(), body.clone());
        tokio::spawn(async move { Chunked::post(gateway.address, "/v1/chat/completions", &body, &[TE]).await })
    };
    let first = caller();
    upstream.called(1).await;
    let second = caller();
    // One wants it whole, and waits for the same flight.
    let whole = tokio::spawn(Reply::of(gateway.request(&with(body.clone(), json!({"stream": false})))));
    until("all three are being served", || async { gateway.in_flight() >= 3 }).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.open();
    let (first, second, whole) = (first.await.unwrap(), second.await.unwrap(), whole.await.unwrap());
    assert_eq!((first.header("x-askonce-cache"), first.trailer(COST)), ("miss", "0.000020"));
    assert_eq!(
        (second.header("x-askonce-tier"), second.header(COST), second.trailer(COST)),
        ("flight", "0.000000", "")
    );
    assert_eq!((second.header("trailer"), second.header(DROPPED)), (DROPPED, "seed"));
    assert_eq!((first.trailer(DROPPED), second.trailer(DROPPED)), ("citations", "citations"));
    assert_eq!((whole.cache().as_str(), whole.header(COST)), ("hit/flight", "0.000000"));
    assert_eq!((whole.header(DROPPED), upstream.calls()), ("seed, citations", 1));
}

#[tokio::test]
async fn an_answer_in_the_other_form_tells_cost_and_losses_in_its_head() {
    let upstream = Upstream::start(|_| told(None)).await;
    let gateway = Given::one(&upstream, PRICE).start().await;
    let (path, body) = asked("messages");
    let reply = Reply::of(gateway.post(path, &with(body, json!({"stream": false})))).await;
    assert_eq!(reply.json()["content"][0]["text"], "a b");
    assert_eq!((reply.header(COST), reply.header(DROPPED)), ("0.000020", "top_k, logprobs"));
}

#[tokio::test]
async fn http_2_has_trailers_for_everybody() {
    let upstream = Upstream::start(|_| told(None)).await;
    let gateway = Given::one(&upstream, PRICE).start().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let (path, body) = asked("messages");
    let post = |body: &Value| client.post(gateway.url(path)).json(body).send();
    let response: http::Response<reqwest::Body> = post(&body).await.unwrap().into();
    assert_eq!(response.headers()["trailer"], format!("{COST}, {DROPPED}"));
    let read = response.into_body().collect().await.unwrap();
    let trailers = read.trailers().expect("trailers").clone();
    assert!(String::from_utf8(read.to_bytes().to_vec()).unwrap().contains("message_stop"));
    assert_eq!(
        (trailers.len(), &trailers[COST], &trailers[DROPPED]),
        (2, &"0.000020".parse().unwrap(), &"logprobs".parse().unwrap())
    );
    let hit: http::Response<reqwest::Body> = post(&body).await.unwrap().into();
    assert_eq!((&hit.headers()["x-askonce-cache"], hit.headers().get("trailer")), (&"hit".parse().unwrap(), None));
    assert!(hit.into_body().collect().await.unwrap().trailers().is_none());
}

#[tokio::test]
async fn what_a_miss_lost_outlives_the_process_and_is_told_by_stale_answers() {
    let upstream = Upstream::counting().await;
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_800_000_000_000));
    let given = Given::one(&upstream, "cache: {ttl_s: 10, stale_while_revalidate_s: 60}").dir(dir.path()).clock(&clock);
    let (path, body) = asked("messages");
    let body = with(body, json!({"stream": false}));
    let gateway = given.start().await;
    assert_eq!(Reply::of(gateway.post(path, &body)).await.header(DROPPED), "top_k");
    assert_eq!(gateway.stop().await, 0);
    let gateway = given.start_again().await;
    for stream in [false, true] {
        let hit = Reply::of(gateway.post(path, &with(body.clone(), json!({"stream": stream})))).await;
        assert_eq!((hit.cache().as_str(), hit.header(DROPPED)), ("hit/exact", "top_k"));
    }
    assert_eq!(upstream.calls(), 1);
    clock.advance(Duration::from_secs(15));
    let stale = Reply::of(gateway.post(path, &body)).await;
    assert_eq!((stale.header("x-askonce-cache"), stale.header(DROPPED)), ("stale", "top_k"));
}

#[tokio::test]
async fn the_log_tells_what_each_request_cost() {
    let upstream =
        Upstream::start(|seen| if seen.wants_stream() { told(None) } else { crate::support::script::answer("a") })
            .await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("askonce.yaml");
    std::fs::write(&config, yaml(&upstream, &format!("log: {{format: json}}\n{PRICE}{EXACT_ONLY}"))).unwrap();
    let process = Process::serve(&config, dir.path()).await;
    let client = crate::support::gateway::client();
    let send = async |id: &str, body: &Value| {
        let request = client.post(format!("{}/v1/chat/completions", process.url)).json(body).header("x-request-id", id);
        Reply::of(request).await
    };
    let stream = asked("chat").1;
    for (id, body, cost) in
        [("streamed", &stream, "0.000020"), ("again", &stream, "0.000000"), ("whole", &ask("y"), "0.000020")]
    {
        send(id, body).await;
        process.says(&format!("\"request_id\":\"{id}\"")).await;
        let log = process.log();
        let line = log.lines().find(|line| line.contains(&format!("\"request_id\":\"{id}\""))).unwrap();
        assert!(line.contains("served") && line.contains(&format!("\"cost_usd\":\"{cost}\"")), "{line}");
    }
    let metrics = Reply::of(client.get(format!("{}/metrics", process.url))).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    let counted = metrics.lines().find(|line| line.starts_with("askonce_cost_micro_usd_total{")).unwrap();
    assert!(counted.ends_with(" 40"), "{counted}");
}

#[tokio::test]
async fn who_hangs_up_leaves_a_line_with_the_cost() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| told(Some(&held))).await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("askonce.yaml");
    let more = "log: {format: json}\ncache: {semantic: {enabled: false}, on_hang_up: finish}\n";
    std::fs::write(&config, yaml(&upstream, &format!("{PRICE}{more}"))).unwrap();
    let process = Process::serve(&config, dir.path()).await;
    let client = crate::support::gateway::client();
    let request = client.post(format!("{}/v1/chat/completions", process.url)).json(&asked("chat").1);
    let mut response = request.header("x-request-id", "gone").send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    process.says("hung up").await;
    gate.open();
    process.says("fetched while nobody waits").await;
    let log = process.log();
    let line = log.lines().find(|line| line.contains("fetched while nobody waits")).unwrap();
    assert!(line.contains("\"request_id\":\"gone\"") && line.contains("\"cost_usd\":\"0.000020\""), "{line}");
}

#[tokio::test]
async fn no_store_keeps_no_response_unless_the_request_says_so() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let table = [
        (json!({}), "", true),
        (json!({}), "no-store", false),
        (json!({"store": false}), "", false),
        (json!({"store": true}), "no-store", true),
        (json!({"stream": true}), "no-store", false),
        // The same words: an answer out of the cache.
        (json!({}), "no-store", false),
    ];
    for (fields, asked, kept) in table {
        let body = with(json!({"model": "m", "input": "x"}), fields);
        let mut request = gateway.post("/v1/responses", &body);
        if !asked.is_empty() {
            request = request.header("cache-control", asked);
        }
        let reply = Reply::of(request).await;
        assert_eq!(reply.status, 200, "{body}");
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        assert_eq!(text.contains("\"store\":true"), kept, "{body} {asked}: {text}");
        let id = text.split("\"id\":\"").find(|rest| rest.starts_with("resp_")).unwrap().split('"').next().unwrap();
        let next = json!({"model": "m", "input": "y", "previous_response_id": id});
        let got = Reply::of(gateway.post("/v1/responses", &next)).await;
        assert_eq!(got.status == 200, kept, "{body} {asked}: {got:?}");
    }
}
