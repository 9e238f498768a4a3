//! Targets that take part in some requests only, and fields that are set in the requests to them.

use crate::support::raw::{exchange, status};
use crate::support::script::reply;
use crate::support::{Gateway, Given, Reply, Upstream, ask, streamed, with};
use serde_json::{Value, json};

/// A gateway over two providers, with `models`.
async fn over(one: &Upstream, two: &Upstream, models: &str) -> Gateway {
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: one, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m1]}}\n\
         \x20 - {{name: two, kind: openai_compatible, base_url: \"${{TWO}}\", models: [m2]}}\n\
         models:\n{models}"
    );
    Given::yaml(&yaml).variable("ONE", &one.url).variable("TWO", &two.url).start().await
}

/// Two targets of `m`: the first where `when` is true, the second always.
fn first_where(when: &str) -> String {
    let when = json!(when);
    format!(
        "  - name: m\n    targets:\n      - provider: one\n        model: m1\n        when: {when}\n      - {{provider: two, model: m2}}\n"
    )
}

fn from(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    format!("{} {}", reply.header("x-askonce-provider"), reply.cache())
}

#[tokio::test]
async fn conditions_are_asked_of_bytes_that_came_before_too() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let gateway = over(&one, &two, &first_where("headers['x-tier'] == 'gold'")).await;
    for round in 0..4 {
        let told = if round == 0 { "miss/absent" } else { "hit/exact" };
        for (tier, provider) in [("gold", "one"), ("tin", "two")] {
            let reply = gateway.chat_with(&ask("x"), &[("x-tier", tier)]).await;
            assert_eq!(from(&reply), format!("{provider} {told}"));
        }
    }
    assert_eq!((one.calls(), two.calls()), (1, 1));
}

#[tokio::test]
async fn headers_say_which_target_is_asked_and_hits_do_not_cross() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let gateway = over(&one, &two, &first_where("headers['x-tier'] == 'gold'")).await;
    let gold = [("X-Tier", "gold")];
    let question = ask("x");
    assert_eq!(from(&gateway.chat_with(&question, &gold).await), "one miss/absent");
    assert_eq!(from(&gateway.chat(&question).await), "two miss/absent", "the other's answer is another one");
    assert_eq!(from(&gateway.chat_with(&question, &[("x-tier", "tin")]).await), "two hit/exact");
    assert_eq!(from(&gateway.chat_with(&question, &gold).await), "one hit/exact");
    assert_eq!((one.calls(), two.calls()), (1, 1));
    assert!(one.last().header("x-tier").is_none(), "it was for the gateway");
}

#[tokio::test]
async fn keys_are_no_headers_for_conditions() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let gateway = over(&one, &two, &first_where("headers.exists(name, name.endsWith('key'))")).await;
    let reply = gateway.chat_with(&ask("x"), &[("x-api-key", "k"), ("x-goog-api-key", "k"), ("x-a", "b")]).await;
    assert_eq!(from(&reply), "two miss/absent");
}

#[tokio::test]
async fn long_requests_go_where_there_is_room_for_them() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let gateway = over(&one, &two, &first_where("tokens > 1000")).await;
    assert_eq!(from(&gateway.chat(&ask("short")).await), "two miss/absent");
    assert_eq!(from(&gateway.chat(&ask(&"long ".repeat(1000))).await), "one miss/absent");
    let picture = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(9000))}},
    ]}]});
    assert_eq!(from(&gateway.chat(&picture).await), "two miss/absent", "a picture is no text");
}

#[tokio::test]
async fn streams_surfaces_and_fields_say_it_too() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let gateway = over(&one, &two, &first_where("stream && surface == 'chat_completions'")).await;
    assert_eq!(from(&gateway.chat(&streamed(ask("x"))).await), "one miss/absent");
    assert_eq!(from(&gateway.chat(&ask("y")).await), "two miss/absent");
    let claude = json!({"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(from(&Reply::of(gateway.post("/v1/messages", &claude)).await), "two miss/absent");
    let fields = "params.temperature > 0.5 && params.tools == 0";
    let gateway = over(&one, &two, &first_where(fields)).await;
    let table = [
        (json!({"temperature": 1}), "one"),
        (json!({"temperature": 0.5}), "two"),
        (json!({}), "two"),
        (json!({"temperature": "hot"}), "two"),
        (json!({"temperature": 1, "tools": [{"type": "function", "function": {"name": "f"}}]}), "two"),
    ];
    for (more, expected) in table {
        let reply = gateway.chat(&with(ask("z"), more.clone())).await;
        assert_eq!(from(&reply), format!("{expected} miss/absent"), "{more}");
    }
}

#[tokio::test]
async fn where_no_target_is_left_the_caller_is_told() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let models = "  - name: m\n    targets:\n      - {provider: one, model: m1, when: tokens > 1000}\n      \
                  - {provider: two, model: m2, when: \"headers['x-none'] == 'a'\"}\n";
    let gateway = over(&one, &two, models).await;
    let reply = gateway.chat(&ask("x")).await;
    let error = &reply.json()["error"];
    assert_eq!(
        (reply.status, &error["code"], &error["param"]),
        (404, &json!("no_target_for_request"), &json!("model"))
    );
    assert!(error["message"].as_str().unwrap().contains("`m` has no target"), "{error}");
    assert_eq!(from(&gateway.chat_with(&ask("x"), &[("x-none", "a")]).await), "two miss/absent");
    assert_eq!((one.calls(), two.calls()), (0, 1));
    let metrics = gateway.get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(text.contains("askonce_condition_errors_total{gen_ai_request_model=\"m\",gen_ai_provider_name=\"two\"}"));
}

#[tokio::test]
async fn the_next_target_is_one_of_those_left() {
    let (one, two) = (Upstream::start(|_| reply(500, &[], "{}")).await, Upstream::counting().await);
    let models = first_where("true") + "      - {provider: one, model: m3, when: stream}\nretry: {attempts: 1}\n";
    let gateway =
        over(&one, &two, &models.replace("{provider: two, model: m2}", "{provider: two, model: m2, when: stream}"))
            .await;
    assert_eq!(gateway.chat(&ask("x")).await.status, 500, "the others take no part");
    assert_eq!((one.calls(), two.calls()), (1, 0));
    assert_eq!(from(&gateway.chat(&streamed(ask("x"))).await), "two miss/absent");
}

#[tokio::test]
async fn relayed_requests_have_conditions_but_on_what_is_read_of_them() {
    let one = Upstream::start(|_| reply(200, &[], r#"{"results":[1]}"#)).await;
    let two = Upstream::start(|_| reply(200, &[], r#"{"results":[2]}"#)).await;
    let body = json!({"model": "m", "input": "x"});
    let moderated = async |when: &str, headers: &[(&str, &str)]| {
        let gateway = over(&one, &two, &first_where(when)).await;
        let request = gateway.post("/v1/moderations", &body);
        let reply =
            Reply::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await;
        (reply.status, reply.json()["results"][0].clone())
    };
    type Row<'r> = (&'r str, &'r [(&'r str, &'r str)], u16, Value);
    let table: [Row<'_>; 6] = [
        ("headers['x-tier'] == 'gold'", &[("x-tier", "gold")], 200, json!(1)),
        ("headers['x-tier'] == 'gold'", &[], 200, json!(2)),
        ("surface == 'moderations' && model == 'm'", &[], 200, json!(1)),
        ("tokens >= 0", &[], 200, json!(2)),
        ("!has(params.x)", &[], 200, json!(2)),
        ("model == 'other'", &[("x-askonce-provider", "one")], 404, json!(null)),
    ];
    for (when, headers, code, expected) in table {
        assert_eq!(moderated(when, headers).await, (code, expected), "{when}");
    }
}

#[tokio::test]
async fn parameters_are_set_in_place_and_all_else_stays() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let models = "  - {name: m, targets: [{provider: one, model: m1, params: {temperature: 0.2, top_p: null, seed: 7}}]}\n  \
                  - {name: n, targets: [{provider: two, model: m2}]}\n";
    let gateway = over(&one, &two, models).await;
    let body = r#"{ "temperature" : 1.0,"model":"m", "top_p":0.5, "x":{"temperature":3},"big":123456789012345678901,"messages":[{"role":"user","content":"q"}] }"#;
    let raw = |body: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answered = exchange(gateway.address, raw(body).as_bytes(), std::iter::empty()).await;
    assert_eq!(status(&answered), 200, "{answered}");
    assert!(answered.to_ascii_lowercase().contains("x-askonce-dropped: top_p"), "{answered}");
    let expected = r#"{ "temperature" : 0.2,"model":"m1", "x":{"temperature":3},"big":123456789012345678901,"messages":[{"role":"user","content":"q"}],"seed":7 }"#;
    assert_eq!(std::str::from_utf8(&one.last().body).unwrap(), expected);
    // In the target's own words, where it is translated.
    let claude =
        json!({"model": "m", "max_tokens": 9, "temperature": 0.9, "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(Reply::of(gateway.post("/v1/messages", &claude)).await.status, 200);
    let sent = one.last().json();
    assert_eq!((&sent["temperature"], &sent["seed"], &sent["max_tokens"]), (&json!(0.2), &json!(7), &json!(9)));
    let plain = with(ask("q"), json!({"model": "n"}));
    assert_eq!(gateway.chat(&plain).await.status, 200);
    assert!(two.last().json().get("seed").is_none());
}

#[tokio::test]
async fn other_parameters_are_another_answer() {
    let (one, two) = (Upstream::counting().await, Upstream::counting().await);
    let models = "  - name: m\n    targets:\n      - {provider: one, model: m1, when: \"'x-cold' in headers\", params: {temperature: 0}}\n      \
                  - {provider: one, model: m1, when: \"!('x-cold' in headers)\", params: {temperature: 1}}\n";
    let gateway = over(&one, &two, models).await;
    let cold = [("x-cold", "1")];
    assert_eq!(from(&gateway.chat_with(&ask("x"), &cold).await), "one miss/absent");
    assert_eq!(one.last().json()["temperature"], 0);
    assert_eq!(from(&gateway.chat(&ask("x")).await), "one miss/absent");
    assert_eq!(one.last().json()["temperature"], 1);
    assert_eq!(from(&gateway.chat_with(&ask("x"), &cold).await), "one hit/exact");
    assert_eq!(one.calls(), 2);
}
