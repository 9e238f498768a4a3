//! What is no conversation passes as it is: moderations, images, audio, files, batches and uploads.

use crate::support::gateway::UPSTREAM_KEY;
use crate::support::raw::{exchange, status};
use crate::support::script::{event, piece, reply, stream_end, stream_head};
use crate::support::upstream::Seen;
use crate::support::{Gate, Gateway, Given, PATIENCE, Reply, Step, Upstream, until};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;

const BOUNDARY: &str = "----story7MA4YWxk";
const ALIAS: &str = "models:\n  - {name: m, targets: [{provider: up, model: 'vendor/real \"m\"'}]}\n";
const QUICK: &str = "retry: {attempts: 2, backoff_ms: 1, backoff_max_ms: 2}\n";

/// Every byte there is, and what looks like the end of a part and is none.
fn binary() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    bytes.extend_from_slice(b"\r\n--\r\n----story\r\nname=\"model\"\r\n\r\nno\r\n");
    bytes
}

/// A form with a file and two fields, the model between them.
fn form(model: &str) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\n"
    );
    let fields = format!(
        "\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nGrüß dich\r\n--{BOUNDARY}--\r\n"
    );
    [head.as_bytes(), &binary(), fields.as_bytes()].concat()
}

/// A form that names no model.
fn upload(content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n"
    );
    [head.as_bytes(), content, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

fn request(gateway: &Gateway, method: Method, path: &str) -> reqwest::RequestBuilder {
    gateway.client.request(method, gateway.url(path))
}

async fn get(gateway: &Gateway, path: &str) -> Reply {
    Reply::of(request(gateway, Method::GET, path)).await
}

async fn post_json(gateway: &Gateway, path: &str, body: &str) -> Reply {
    let request = request(gateway, Method::POST, path).header("content-type", "application/json");
    Reply::of(request.body(body.to_owned())).await
}

fn form_request(gateway: &Gateway, path: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    request(gateway, Method::POST, path).header("content-type", kind).body(body)
}

async fn post_form(gateway: &Gateway, path: &str, body: Vec<u8>) -> Reply {
    Reply::of(form_request(gateway, path, body)).await
}

/// Two providers, `one` the default, each with a model of its own; and the demo, which has none of this.
async fn two(one: &Upstream, two: &Upstream, more: &str) -> Gateway {
    let yaml = format!(
        "providers:\n\
         \x20 - {{name: one, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m1], api_key: {UPSTREAM_KEY}}}\n\
         \x20 - {{name: two, kind: openai_compatible, base_url: \"${{TWO}}\", models: [m2]}}\n\
         \x20 - {{name: demo, kind: demo}}\n\
         default_provider: one\n\
         models:\n  - {{name: m, targets: [{{provider: one, model: m1}}, {{provider: two, model: m2}}]}}\n{QUICK}{more}"
    );
    Given::yaml(&yaml).variable("ONE", &one.url).variable("TWO", &two.url).start().await
}

/// Answers in JSON, with its name in it.
async fn named(name: &'static str) -> Upstream {
    Upstream::start(move |_| reply(200, &[], format!("{{\"by\":\"{name}\"}}"))).await
}

#[tokio::test]
async fn json_passes_byte_for_byte_but_for_the_models_name() {
    let odd = br#" {"results" : [ {"flagged":false,"category_scores":{"hate":1.10e-3}} ],"x_new":null }"#;
    let upstream = Upstream::start(move |_| {
        let headers = [("x-request-id", "up-7"), ("set-cookie", "a=b"), ("x-ratelimit-remaining-requests", "41")];
        reply(200, &headers, odd)
    })
    .await;
    let gateway = Given::one(&upstream, ALIAS).start().await;
    for path in ["/moderations", "/images/generations", "/images/edits", "/audio/speech"] {
        let body = r#"{ "input":"Gr\u00fc\u00df 🦀", "seed": 123456789012345678901234567890,"model" :  "m", "n":1.0 }"#;
        let fresh = post_json(&gateway, &format!("/v1{path}"), body).await;
        assert_eq!(
            (fresh.status, fresh.body.as_ref(), fresh.cache()),
            (200, odd.as_slice(), "bypass/relayed".to_owned())
        );
        let told = |name| fresh.header(name).to_owned();
        assert_eq!((told("x-askonce-provider"), told("x-upstream-request-id")), ("up".to_owned(), "up-7".to_owned()));
        assert_eq!((told("set-cookie"), told("content-length")), (String::new(), odd.len().to_string()));
        let seen = upstream.last();
        assert_eq!(seen.target, format!("POST /v1{path}"));
        assert_eq!(seen.body, body.replace(r#""model" :  "m""#, r#""model" :  "vendor/real \"m\"""#).as_bytes());
        assert_eq!(seen.header("content-type"), Some("application/json"));
    }
    // Nothing is kept: the same again is asked again.
    assert_eq!(post_json(&gateway, "/moderations", r#"{"model":"m","input":"x"}"#).await.status, 200);
    assert_eq!(post_json(&gateway, "/moderations", r#"{"model":"m","input":"x"}"#).await.status, 200);
    assert_eq!((upstream.calls(), gateway.entries().await), (6, 0));
    let only = request(&gateway, Method::POST, "/v1/moderations").header("cache-control", "only-if-cached");
    assert_eq!(Reply::of(only.json(&json!({"input": "x"}))).await.status, 504);
}

#[tokio::test]
async fn without_a_model_the_body_is_untouched_and_the_default_provider_asked() {
    let (one, other) = (named("one").await, named("two").await);
    let gateway = two(&one, &other, "").await;
    for body in [r#"{"input":["a", {"model":"m"}]}"#, r#"{"input":"a","model":null}"#] {
        assert_eq!(post_json(&gateway, "/v1/moderations", body).await.header("x-askonce-provider"), "one");
        assert_eq!(one.last().body, body.as_bytes());
    }
    assert_eq!(other.calls(), 0);
}

#[tokio::test]
async fn a_form_passes_byte_for_byte_but_for_the_models_name() {
    let sound = binary();
    let back = sound.clone();
    let upstream = Upstream::start(move |_| {
        let headers = [("content-type", "image/png"), ("content-disposition", "attachment; filename=a.png")];
        reply(200, &headers, &back)
    })
    .await;
    let gateway = Given::one(&upstream, ALIAS).start().await;
    for path in ["/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits", "/v1/images/variations"] {
        let fresh = post_form(&gateway, path, form("m")).await;
        assert_eq!((fresh.status, fresh.header("content-type")), (200, "image/png"));
        assert_eq!(fresh.header("content-disposition"), "attachment; filename=a.png");
        assert!(fresh.body == sound, "{path}: the answer is another");
        let seen = upstream.last();
        assert!(seen.body == form("vendor/real \"m\""), "{path}: the form is another");
        assert_eq!(seen.header("content-type"), Some(format!("multipart/form-data; boundary={BOUNDARY}").as_str()));
    }
    assert_eq!(post_form(&gateway, "/v1/audio/transcriptions", form("up/m")).await.status, 200);
    assert!(upstream.last().body == form("m"));
}

#[tokio::test]
async fn sound_arrives_piece_by_piece() {
    let gate = Gate::closed();
    let shut = gate.clone();
    let upstream = Upstream::start(move |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n";
        vec![
            Step::Write(head.into()),
            piece([0xff, 0xfb, 0x00]),
            Step::Gate(shut.clone()),
            piece([0x0d, 0x0a]),
            Step::Gate(shut.clone()),
            stream_end(),
        ]
    })
    .await;
    let gateway = Given::one(&upstream, "").start().await;
    let body = json!({"model": "m", "input": "x", "voice": "alloy"});
    let response = gateway.post("/v1/audio/speech", &body).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "audio/mpeg");
    let mut pieces = response.bytes_stream();
    let mut next = async || tokio::time::timeout(PATIENCE, pieces.next()).await.unwrap().map(Result::unwrap);
    assert_eq!(next().await.as_deref(), Some([0xff, 0xfb, 0x00].as_slice()));
    gate.let_through(1);
    assert_eq!(next().await.as_deref(), Some(b"\r\n".as_slice()));
    gate.let_through(1);
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn a_caller_who_hangs_up_ends_the_call() {
    let upstream = Upstream::start(|_| vec![stream_head(), piece("data: 1\n\n"), Step::Hang]).await;
    let gateway = Given::one(&upstream, "").start().await;
    let response = gateway.post("/v1/audio/speech", &json!({"model": "m"})).send().await.unwrap();
    drop(response);
    until("the provider is let go", || async { upstream.hung_up() == 1 && gateway.in_flight() == 0 }).await;
}

#[tokio::test]
async fn events_pass_and_a_failure_between_two_is_told_as_one() {
    let partial = event(&json!({"type": "image_generation.partial_image", "b64_json": "AAAA"}));
    let (first, whole) = (partial.clone(), format!("{partial}event: x\r\ndata: 2\r\n\r\n"));
    let expected = whole.clone();
    let upstream = Upstream::start(move |seen| match seen.number {
        1 => vec![stream_head(), piece(&whole[..9]), piece(&whole[9..]), stream_end()],
        2 => vec![stream_head(), piece(&first), Step::Pause(std::time::Duration::from_millis(30)), Step::Reset],
        _ => vec![stream_head(), piece(&first[..9]), Step::Pause(std::time::Duration::from_millis(30)), Step::Reset],
    })
    .await;
    let gateway = Given::one(&upstream, QUICK).start().await;
    let body = json!({"model": "m", "prompt": "x", "stream": true, "partial_images": 1});
    let fresh = Reply::of(gateway.post("/v1/images/generations", &body)).await;
    assert_eq!((fresh.header("cache-control"), fresh.header("x-accel-buffering")), ("no-cache", "no"));
    assert_eq!(String::from_utf8_lossy(&fresh.body), expected);
    let broken = Reply::of(gateway.post("/v1/images/generations", &body)).await;
    let events = broken.events();
    assert!(events.len() == 2 && events[1].contains("\"error\"") && events[1].contains("broke off"), "{events:?}");
    // In the middle of an event nothing can be told.
    let response = gateway.post("/v1/images/generations", &body).send().await.unwrap();
    assert!(response.bytes().await.is_err());
    assert_eq!(upstream.calls(), 3, "nothing is tried again after the first byte");
}

#[tokio::test]
async fn errors_of_the_provider_are_the_callers_to_read() {
    let wrong = r#"{ "error": {"message":"bad voice","type":"invalid_request_error","param":"voice","code":null} }"#;
    let upstream = Upstream::start(move |seen| match seen.number {
        1 => reply(400, &[], wrong),
        _ => reply(401, &[], format!("{{\"error\":{{\"message\":\"Incorrect API key: {UPSTREAM_KEY}\"}}}}")),
    })
    .await;
    let gateway = Given::one(&upstream, "").start().await;
    let body = json!({"model": "m"});
    let told = Reply::of(gateway.post("/v1/audio/speech", &body)).await;
    assert_eq!((told.status, told.body.as_ref()), (400, wrong.as_bytes()));
    let refused = Reply::of(gateway.post("/v1/audio/speech", &body)).await;
    assert_eq!(refused.error(), (502, "upstream_unauthorized".to_owned()));
    assert!(!String::from_utf8_lossy(&refused.body).contains(UPSTREAM_KEY));
}

#[tokio::test]
async fn another_try_and_another_target_before_the_first_byte() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 9\r\n\r\n";
    let ways: Vec<(&str, Vec<Step>)> = vec![
        ("500", reply(500, &[], "{}")),
        ("closed at once", vec![Step::Close]),
        ("a reset behind the head", vec![Step::Write(head.into()), Step::Pause(PATIENCE / 400), Step::Reset]),
    ];
    for (what, steps) in ways {
        let (first, second) = (Upstream::start(move |_| steps.clone()).await, named("two").await);
        let gateway = two(&first, &second, "").await;
        let made = post_form(&gateway, "/v1/audio/transcriptions", form("m")).await;
        assert_eq!((made.status, made.header("x-askonce-provider")), (200, "two"), "{what}");
        assert_eq!((first.calls(), second.calls()), (2, 1), "{what}");
        assert!(first.last().body == form("m1") && second.last().body == form("m2"), "{what}");
        assert_eq!(second.last().header("authorization"), None, "the first one's key is not the second's");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there() {
    let yaml =
        format!("providers:\n  - {{name: up, kind: openai_compatible, base_url: \"${{UP}}\", models: [m]}}\n{QUICK}");
    let gateway = Given::yaml(&yaml).variable("UP", &Upstream::refused().await).start().await;
    for told in [
        post_json(&gateway, "/v1/moderations", r#"{"input":"x"}"#).await,
        post_form(&gateway, "/v1/files", upload(b"{}")).await,
        get(&gateway, "/v1/batches").await,
    ] {
        assert_eq!(told.error().0, 502);
    }
}

#[tokio::test]
async fn what_may_have_been_made_is_not_made_again() {
    let upstream = Upstream::start(|seen| match seen.number {
        1 => reply(500, &[], "{}"),
        2 => vec![Step::Close],
        3 => reply(429, &[("retry-after", "0.01")], "{}"),
        5 => reply(500, &[], "{}"),
        _ => reply(200, &[], r#"{"id":"batch_1"}"#),
    })
    .await;
    let gateway = Given::one(&upstream, QUICK).start().await;
    let batch = r#"{"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h"}"#;
    assert_eq!(post_json(&gateway, "/v1/batches", batch).await.status, 500);
    assert_eq!(post_form(&gateway, "/v1/files", upload(b"x")).await.status, 502);
    assert_eq!(upstream.calls(), 2);
    // A rate limit is a promise that nothing was made, and reading makes nothing.
    assert_eq!(post_json(&gateway, "/v1/batches", batch).await.status, 200);
    assert_eq!(upstream.calls(), 4);
    assert_eq!(get(&gateway, "/v1/batches/batch_1").await.status, 200);
    assert_eq!(upstream.calls(), 6);
}

#[tokio::test]
async fn bodies_over_the_limits() {
    let upstream = named("up").await;
    let gateway = Given::one(&upstream, "limits: {body_bytes: 64KiB, upload_bytes: 1MiB}").start().await;
    let long = |bytes: usize| format!("{{\"input\":\"{}\"}}", "x".repeat(bytes));
    let told = post_json(&gateway, "/v1/moderations", &long(100_000)).await;
    assert_eq!(told.error(), (413, "body_too_large".to_owned()));
    assert_eq!(post_json(&gateway, "/v1/images/edits", &long(100_000)).await.status, 413);
    assert_eq!(post_form(&gateway, "/v1/files", upload(&vec![0; 500_000])).await.status, 200);
    let told = post_form(&gateway, "/v1/files", upload(&vec![0; 2 << 20])).await;
    assert_eq!(told.error(), (413, "body_too_large".to_owned()));
    assert!(told.json()["error"]["message"].as_str().unwrap().contains("limits.upload_bytes"));
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test]
async fn only_so_many_large_forms_at_a_time() {
    let upstream = named("up").await;
    let gateway = Given::one(&upstream, "limits: {body_bytes: 1KiB}").start().await;
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: {}\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: 100000\r\n\r\n",
        gateway.address
    );
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    until("all are in", || async { gateway.in_flight() == 8 }).await;
    let told = post_form(&gateway, "/v1/files", upload(&[0; 5_000])).await;
    assert_eq!((told.error(), told.header("retry-after")), ((503, "overloaded".to_owned()), "1"));
    // Small ones are no matter.
    assert_eq!(post_form(&gateway, "/v1/files", upload(b"x")).await.status, 200);
    drop(held);
    until("they are gone", || async { gateway.in_flight() == 0 }).await;
    assert_eq!(post_form(&gateway, "/v1/files", upload(&[0; 5_000])).await.status, 200);
}

#[tokio::test]
async fn wrong_bodies_are_refused_with_a_reason() {
    let upstream = named("up").await;
    let gateway = Given::one(&upstream, "").start().await;
    let field = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n");
    let cut = form("m");
    let forms = [
        (cut[..cut.len() - 10].to_vec(), "invalid_form"),
        (format!("{field}{field}--{BOUNDARY}--").into_bytes(), ""),
        (form(""), ""),
        (form(&"m".repeat(600)), ""),
    ];
    for (body, code) in forms {
        assert_eq!(post_form(&gateway, "/v1/audio/transcriptions", body).await.error(), (400, code.to_owned()));
    }
    for (body, code) in [
        ("{", "invalid_json"),
        ("[]", ""),
        (r#"{"model":"m","model":"n"}"#, "invalid_json"),
        (r#"{"model":7}"#, "invalid_type"),
    ] {
        assert_eq!(post_json(&gateway, "/v1/moderations", body).await.error(), (400, code.to_owned()), "{body}");
    }
    let text = request(&gateway, Method::POST, "/v1/moderations").header("content-type", "text/plain").body("{}");
    assert_eq!(Reply::of(text).await.error().0, 415);
    let page = form_request(&gateway, "/v1/files", upload(b"x")).header("origin", "https://evil.example");
    assert_eq!(Reply::of(page).await.error(), (403, "wrong_origin".to_owned()));
    for path in ["/v1/files/%2e%2e", "/v1/files/%2E%2e/content", "/v1/batches/%2e"] {
        // No client would send this as it stands: most take such a segment out.
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", gateway.address);
        assert_eq!(status(&exchange(gateway.address, head.as_bytes(), std::iter::empty()).await), 400, "{path}");
    }
    assert_eq!(upstream.calls(), 0);
    assert_eq!(get(&gateway, "/v1/files/..%2Forganization%2Fkeys").await.status, 200);
    assert_eq!(upstream.last().target, "GET /v1/files/..%2Forganization%2Fkeys");
}

/// A provider that keeps files and makes batches, under ids with `name` in them.
async fn keeper(name: &'static str) -> Upstream {
    let answer = move |seen: &Seen| match seen.target.as_str() {
        "POST /v1/files" => format!("{{\"id\":\"file-{name}-{}\",\"object\":\"file\"}}", seen.number),
        "POST /v1/batches" => format!("{{\"id\":\"batch-{name}\",\"status\":\"validating\"}}"),
        "POST /v1/uploads" => format!("{{\"id\":\"upload-{name}\"}}"),
        "GET /v1/files" => format!(
            "{{\"object\":\"list\", \"data\": [ {{\"id\":\"file-{name}-1\"}} ,\n{{\"id\":\"file-{name}-0\",\"x\":1.0}}],\"has_more\":false}}"
        ),
        target if target.starts_with("GET /v1/batches/") => {
            format!("{{\"id\":\"batch-{name}\",\"output_file_id\":\"file-{name}-out\"}}")
        }
        target => format!("{{\"by\":\"{name}\",\"of\":\"{target}\"}}"),
    };
    Upstream::start(move |seen| reply(200, &[], answer(seen))).await
}

#[tokio::test]
async fn a_file_and_what_is_made_of_it_stay_at_their_provider() {
    let (one, other) = (keeper("one").await, keeper("two").await);
    let gateway = two(&one, &other, "").await;
    let at_two = form_request(&gateway, "/v1/files", upload(b"{}")).header("x-askonce-provider", "two");
    assert_eq!(Reply::of(at_two).await.json()["id"], "file-two-1");
    assert!(other.last().body == upload(b"{}"));
    let batch = r#"{ "input_file_id" : "file-two-1","endpoint":"/v1/chat/completions" }"#;
    assert_eq!(post_json(&gateway, "/v1/batches", batch).await.json()["id"], "batch-two");
    assert_eq!(other.last().body, batch.as_bytes());
    assert_eq!(get(&gateway, "/v1/batches/batch-two").await.header("x-askonce-provider"), "two");
    let paths = [
        (Method::GET, "/v1/files/file-two-1"),
        (Method::GET, "/v1/files/file-two-out/content"),
        (Method::DELETE, "/v1/files/file-two-1"),
        (Method::POST, "/v1/batches/batch-two/cancel"),
    ];
    for (method, path) in paths {
        assert_eq!(
            Reply::of(request(&gateway, method.clone(), path)).await.header("x-askonce-provider"),
            "two",
            "{path}"
        );
        assert_eq!(other.last().target, format!("{method} {path}"));
    }
    assert_eq!(one.calls(), 0);
    // What nobody knows is asked of the default provider, or of the one that is named.
    assert_eq!(get(&gateway, "/v1/files/file-x?a=b%20c").await.header("x-askonce-provider"), "one");
    assert_eq!(one.last().target, "GET /v1/files/file-x?a=b%20c");
    let listed = request(&gateway, Method::GET, "/files?limit=2&after=file-1").header("x-askonce-provider", "two");
    assert_eq!(Reply::of(listed).await.header("x-askonce-provider"), "two");
    assert_eq!(other.last().target, "GET /v1/files?limit=2&after=file-1");
    let begun = request(&gateway, Method::POST, "/v1/uploads").header("x-askonce-provider", "two");
    assert_eq!(Reply::of(begun.json(&json!({"bytes": 3}))).await.json()["id"], "upload-two");
    assert_eq!(
        post_form(&gateway, "/v1/uploads/upload-two/parts", upload(b"x")).await.header("x-askonce-provider"),
        "two"
    );
    let done = post_json(&gateway, "/v1/uploads/upload-two/complete", r#"{"part_ids":["p"]}"#).await;
    assert_eq!(done.header("x-askonce-provider"), "two");
    let cancelled = Reply::of(request(&gateway, Method::POST, "/v1/uploads/upload-two/cancel")).await;
    assert_eq!(cancelled.header("x-askonce-provider"), "two");
}

#[tokio::test]
async fn a_provider_that_has_none_of_this_or_is_unknown() {
    let (one, other) = (named("one").await, named("two").await);
    let gateway = two(&one, &other, "").await;
    let to = |provider: &'static str| {
        let request = request(&gateway, Method::GET, "/v1/files").header("x-askonce-provider", provider);
        Reply::of(request)
    };
    let told = to("demo").await;
    assert_eq!(told.error(), (400, "unsupported_surface".to_owned()));
    let message = told.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`demo`") && message.contains("`files`") && message.contains("one, two"), "{message}");
    let told = to("three").await;
    assert_eq!(told.error(), (400, "unknown_provider".to_owned()));
    let demo = post_json(&gateway, "/v1/moderations", r#"{"model":"demo/x","input":"x"}"#).await;
    assert_eq!(demo.error(), (400, "unsupported_surface".to_owned()));
    assert_eq!((one.calls(), other.calls()), (0, 0));
}

#[tokio::test]
async fn with_no_default_the_only_one_that_can_is_asked() {
    let one = named("one").await;
    let yaml = "providers:\n  - {name: demo, kind: demo}\n  - {name: one, kind: openai_compatible, base_url: \"${ONE}\", models: [m]}\n";
    let gateway = Given::yaml(yaml).variable("ONE", &one.url).start().await;
    assert_eq!(get(&gateway, "/v1/files").await.header("x-askonce-provider"), "one");
    let more = format!("{yaml}  - {{name: two, kind: openai_compatible, base_url: \"${{ONE}}\", models: [m]}}\n");
    let gateway = Given::yaml(&more).variable("ONE", &one.url).start().await;
    assert_eq!(get(&gateway, "/v1/files").await.error(), (400, "no_provider".to_owned()));
}

#[tokio::test]
async fn keys_are_asked_for_and_never_passed_on() {
    let upstream = named("up").await;
    let keys = "auth:\n  keys:\n    - {name: a, key: caller-key-a-0123456789}\n";
    let gateway = Given::one(&upstream, keys).start().await;
    let paths = [
        (Method::POST, "/v1/moderations"),
        (Method::POST, "/v1/images/generations"),
        (Method::POST, "/v1/audio/speech"),
        (Method::GET, "/v1/files"),
        (Method::POST, "/v1/files"),
        (Method::DELETE, "/v1/files/file-1"),
        (Method::GET, "/v1/files/file-1/content"),
        (Method::GET, "/v1/batches"),
        (Method::POST, "/v1/batches/b/cancel"),
        (Method::POST, "/v1/uploads"),
    ];
    for (method, path) in paths {
        assert_eq!(Reply::of(request(&gateway, method.clone(), path)).await.error().0, 401, "{method} {path}");
        let wrong = request(&gateway, method.clone(), path).bearer_auth("caller-key-x");
        assert_eq!(Reply::of(wrong).await.error().0, 401, "{method} {path}");
    }
    assert_eq!(upstream.calls(), 0);
    let asked = form_request(&gateway, "/v1/audio/transcriptions", form("m"))
        .bearer_auth("caller-key-a-0123456789")
        .header("openai-organization", "org-1")
        .header("cookie", "a=b")
        .header("idempotency-key", "once")
        .header("accept", "audio/mpeg");
    assert_eq!(Reply::of(asked).await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {UPSTREAM_KEY}").as_str()));
    assert_eq!((seen.header("idempotency-key"), seen.header("accept")), (Some("once"), Some("audio/mpeg")));
    assert_eq!((seen.header("openai-organization"), seen.header("cookie")), (None, None));
    assert!(!format!("{:?}", seen.headers).contains("caller-key"));
}

#[tokio::test]
async fn what_one_tenant_made_another_does_not_find() {
    let upstream = keeper("up").await;
    let keys = "auth:\n  keys:\n    - {name: a, key: caller-key-a-0123456789}\n    - {name: b, key: caller-key-b-0123456789}\n";
    let gateway = Given::one(&upstream, keys).start().await;
    let (a, b) = ("caller-key-a-0123456789", "caller-key-b-0123456789");
    let made = form_request(&gateway, "/v1/files", upload(b"{}")).bearer_auth(a);
    assert_eq!(Reply::of(made).await.json()["id"], "file-up-1");
    let batch = json!({"input_file_id": "file-up-1"});
    assert_eq!(
        Reply::of(gateway.post("/v1/batches", &batch).bearer_auth(b)).await.error(),
        (404, "not_found".to_owned())
    );
    assert_eq!(upstream.calls(), 1);
    assert_eq!(Reply::of(gateway.post("/v1/batches", &batch).bearer_auth(a)).await.status, 200);
    assert_eq!(Reply::of(request(&gateway, Method::GET, "/v1/batches/batch-up").bearer_auth(a)).await.status, 200);
    let calls = upstream.calls();
    let paths = [
        (Method::GET, "/v1/files/file-up-1"),
        (Method::GET, "/v1/files/file-up-1/content"),
        (Method::DELETE, "/v1/files/file-up-1"),
        (Method::GET, "/v1/batches/batch-up"),
        (Method::POST, "/v1/batches/batch-up/cancel"),
        (Method::GET, "/v1/files/file-up-out/content"),
    ];
    for (method, path) in paths {
        let asked = request(&gateway, method, path).header("x-askonce-provider", "up").bearer_auth(b);
        assert_eq!(Reply::of(asked).await.error(), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(upstream.calls(), calls);
    // A list tells each what is theirs, and what nobody is known to have made.
    let list = async |key| Reply::of(request(&gateway, Method::GET, "/v1/files").bearer_auth(key)).await.body;
    let whole = "{\"object\":\"list\", \"data\": [ {\"id\":\"file-up-1\"} ,\n{\"id\":\"file-up-0\",\"x\":1.0}],\"has_more\":false}";
    assert_eq!(list(a).await, whole);
    assert_eq!(
        list(b).await,
        "{\"object\":\"list\", \"data\": [ {\"id\":\"file-up-0\",\"x\":1.0}],\"has_more\":false}"
    );
}

#[tokio::test]
async fn all_of_it_is_counted_once_and_as_what_it_was() {
    let upstream = Upstream::start(|seen| match seen.target.as_str() {
        "GET /v1/files" => reply(200, &[], r#"{"data":[]}"#),
        "DELETE /v1/files/f" => reply(200, &[], ""),
        "POST /v1/audio/speech" => vec![
            Step::Write("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n".into()),
            piece("a"),
            stream_end(),
        ],
        _ => reply(200, &[], "{}"),
    })
    .await;
    // The registry is one for all stories: the provider's name tells these apart.
    let yaml = "providers:\n  - {name: counted, kind: openai_compatible, base_url: \"${UP}\", models: [m]}\n";
    let gateway = Given::yaml(yaml).variable("UP", &upstream.url).start().await;
    assert_eq!(post_json(&gateway, "/v1/moderations", r#"{"model":"m"}"#).await.status, 200);
    assert_eq!(post_json(&gateway, "/v1/audio/speech", r#"{"model":"m"}"#).await.status, 200);
    assert_eq!(get(&gateway, "/v1/files").await.status, 200);
    assert_eq!(Reply::of(request(&gateway, Method::DELETE, "/v1/files/f")).await.status, 200);
    let counted = async |name: &str, word: &str, model: &str, count: u32| {
        let metrics = String::from_utf8(get(&gateway, "/metrics").await.body.to_vec()).unwrap();
        let of_word = format!("gen_ai_operation_name=\"{word}\"");
        let of_it = |line: &&str| {
            line.starts_with(&format!("{name}_count")) && line.contains("\"counted\"") && line.contains(&of_word)
        };
        let lines: Vec<&str> = metrics.lines().filter(of_it).collect();
        let [line] = lines.as_slice() else { return false };
        let told = [format!("gen_ai_request_model=\"{model}\""), "error_type=\"\"".to_owned()];
        told.iter().all(|told| line.contains(told)) && line.ends_with(&format!(" {count}"))
    };
    for (word, model, count) in [("moderations", "m", 1), ("audio", "m", 1), ("files", "unknown", 2)] {
        for name in ["gen_ai_server_request_duration_seconds", "gen_ai_client_operation_duration_seconds"] {
            until(&format!("{name} counts {word}"), || counted(name, word, model, count)).await;
        }
    }
}

#[tokio::test]
async fn a_long_list_passes_whole() {
    let item = format!("{{\"id\":\"file-1\",\"x\":\"{}\"}}", "y".repeat(9 << 20));
    let list = format!("{{\"data\":[{item},{item}]}}");
    let expected = list.clone();
    let upstream = Upstream::start(move |seen| match seen.number {
        1 => reply(200, &[], &list),
        _ => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let mut steps = vec![Step::Write(head.into())];
            steps.extend(list.as_bytes().chunks(1 << 20).map(piece));
            steps.push(stream_end());
            steps
        }
    })
    .await;
    let gateway = Given::one(&upstream, "").start().await;
    for _ in 0..2 {
        assert!(get(&gateway, "/v1/files").await.body == expected.as_bytes());
    }
}
