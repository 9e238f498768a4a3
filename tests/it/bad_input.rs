//! Bad input of every kind gets a clear error, in OpenAI's shape, and the gateway lives on.

use crate::support::raw::{exchange, status};
use crate::support::{Gate, Gateway, Given, Reply, Step, Upstream, ask, script, streamed, until};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn send(gateway: &Gateway, path: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = gateway.client.post(gateway.url(path)).header("content-type", "application/json");
    Reply::of(request.body(body)).await
}

/// It still answers.
async fn alive(gateway: &Gateway) {
    assert_eq!(gateway.chat(&ask("still there?")).await.status, 200);
}

#[tokio::test]
async fn bodies_that_make_no_sense() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").semantic().start().await;
    let user = r#"{"role":"user","content":"x"}"#;
    let with = |rest: &str| format!(r#"{{"model":"m","messages":[{user}]{rest}}}"#);
    let table: Vec<(Vec<u8>, &str, &str)> = vec![
        ("".into(), "invalid_json", ""),
        ("   ".into(), "invalid_json", ""),
        ("{".into(), "invalid_json", ""),
        ("nonsense".into(), "invalid_json", ""),
        (format!("{}x", with("")).into(), "invalid_json", ""),
        (with(r#","a":1,"a":2"#).into(), "invalid_json", ""),
        (with(r#","a":01"#).into(), "invalid_json", ""),
        (with(r#","a":"\ud800""#).into(), "invalid_json", ""),
        ("[".repeat(1_000_000).into(), "invalid_json", ""),
        (with(&format!(r#","a":{}{}"#, "[".repeat(5_000), "]".repeat(5_000))).into(), "invalid_json", ""),
        (b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}".to_vec(), "invalid_utf8", ""),
        (b"\x1f\x8b\x08\x00".to_vec(), "invalid_utf8", ""),
        ("[]".into(), "", ""),
        ("\"x\"".into(), "", ""),
        ("null".into(), "", ""),
        (r#"{"messages":[]}"#.into(), "", "model"),
        (format!(r#"{{"model":"","messages":[{user}]}}"#).into(), "", "model"),
        (format!(r#"{{"model":5,"messages":[{user}]}}"#).into(), "invalid_type", "model"),
        (format!(r#"{{"model":null,"messages":[{user}]}}"#).into(), "invalid_type", "model"),
        (r#"{"model":"m"}"#.into(), "", "messages"),
        (r#"{"model":"m","messages":[]}"#.into(), "empty_array", "messages"),
        (r#"{"model":"m","messages":{}}"#.into(), "invalid_type", "messages"),
        (r#"{"model":"m","messages":"x"}"#.into(), "invalid_type", "messages"),
        (r#"{"model":"m","messages":["x"]}"#.into(), "invalid_type", "messages.[0]"),
        (r#"{"model":"m","messages":[{"content":"x"}]}"#.into(), "", "messages.[0].role"),
        (r#"{"model":"m","messages":[{"role":7}]}"#.into(), "invalid_type", "messages.[0].role"),
        (r#"{"model":"m","messages":[{"role":"user","content":7}]}"#.into(), "invalid_type", "messages.[0].content"),
        (with(r#","stream":"yes""#).into(), "invalid_type", "stream"),
        (with(r#","stream_options":[]"#).into(), "invalid_type", "stream_options"),
        (with(r#","stream_options":{"include_usage":1}"#).into(), "invalid_type", "include_usage"),
    ];
    for (body, code, param) in table {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let told = send(&gateway, "/v1/chat/completions", body).await;
        assert_eq!(told.error(), (400, code.to_owned()), "{shown}");
        let json = told.json();
        assert_eq!(json["error"]["param"].as_str().unwrap_or_default(), param, "{shown}");
        assert_eq!(json["error"]["type"], "invalid_request_error");
    }
    assert_eq!(upstream.calls(), 0, "none of it is the provider's business");
    alive(&gateway).await;
}

#[tokio::test]
async fn odd_but_well_formed_bodies_are_the_providers_to_judge() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "cache: {semantic: {threshold: 0.5}}").semantic().start().await;
    let messages = [
        r#"[{"role":"user"}]"#,
        r#"[{"role":"user","content":null}]"#,
        r#"[{"role":"user","content":""}]"#,
        r#"[{"role":"user","content":[]}]"#,
        r#"[{"role":"user","content":[5,null,"x",{"type":"text"},{"type":"text","text":7}]}]"#,
        r#"[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"aa","format":"wav"}}]}]"#,
        r#"[{"role":"martian","content":"\u0000"}]"#,
        r#"[{"role":"user","content":"?!"}]"#,
    ];
    for (at, messages) in messages.iter().enumerate() {
        for expected in ["miss", "hit"] {
            let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
            let reply = send(&gateway, "/v1/chat/completions", body).await;
            assert_eq!(
                (reply.words(), reply.header("x-askonce-cache")),
                (format!("answer {}", at + 1), expected),
                "{messages}"
            );
        }
    }
    // A question far longer than any model reads.
    let long = ask(&"word ".repeat(200_000));
    assert_eq!(gateway.chat(&long).await.header("x-askonce-cache"), "miss");
    assert_eq!(gateway.chat(&long).await.cache(), "hit/exact");
}

#[tokio::test]
async fn requests_to_the_wrong_place() {
    let upstream = Upstream::counting().await;
    let more = format!(
        "providers:\n  - {{name: a, kind: openai_compatible, base_url: \"{0}\", models: [m]}}\n  - {{name: b, kind: openai_compatible, base_url: \"{0}\", models: [k]}}\n",
        upstream.url
    );
    let gateway = Given::yaml(&more).start().await;
    let unknown = gateway.chat(&json!({"model": "nope", "messages": [{"role": "user", "content": "x"}]})).await;
    assert_eq!(unknown.error(), (404, "model_not_found".to_owned()));
    assert_eq!(unknown.json()["error"]["param"], "model");
    assert_eq!(gateway.get("/v1/models/nope").await.error(), (404, "model_not_found".to_owned()));
    for path in
        ["/", "/v1", "/v1/chat", "/v1/chat/completions/", "/v1/other", "/v3/chat/completions", "/%00", "/../etc/passwd"]
    {
        assert_eq!(gateway.get(path).await.error(), (404, "unknown_url".to_owned()), "{path}");
    }
    for (method, path) in
        [("GET", "/v1/chat/completions"), ("DELETE", "/v1/embeddings"), ("POST", "/v1/models"), ("PUT", "/healthz")]
    {
        let request = gateway.client.request(method.parse().unwrap(), gateway.url(path));
        assert_eq!(Reply::of(request).await.error(), (405, "method_not_allowed".to_owned()), "{method} {path}");
    }
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", ""]
    {
        let request = gateway.client.post(gateway.url("/v1/chat/completions")).header("content-type", kind);
        let told = Reply::of(request.body(ask("x").to_string())).await;
        assert_eq!(told.error(), (415, "unsupported_media_type".to_owned()), "{kind}");
    }
    let bare = gateway.client.post(gateway.url("/v1/chat/completions")).body("{}");
    assert_eq!(Reply::of(bare).await.error().0, 415);
    let shouted = gateway
        .client
        .post(gateway.url("/v1/chat/completions"))
        .header("content-type", "Application/JSON;charset=UTF-8");
    assert_eq!(Reply::of(shouted.body(ask("x").to_string())).await.status, 200);
}

#[tokio::test]
async fn headers_that_make_no_sense() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    let many_tags = (0..17).map(|tag| tag.to_string()).collect::<Vec<_>>().join(",");
    let long = "x".repeat(129);
    let table = [
        ("cache-control", "max-age=soon"),
        ("cache-control", "max-age=-1"),
        ("cache-control", "no-store, max-age"),
        ("x-askonce-cache", "perhaps"),
        ("x-askonce-threshold", "high"),
        ("x-askonce-threshold", "1.01"),
        ("x-askonce-threshold", "nan"),
        ("x-askonce-ttl-s", "1.5"),
        ("x-askonce-ttl-s", "99999999999999999999999"),
        ("x-askonce-tags", &many_tags),
        ("x-askonce-tags", &long),
        ("x-askonce-scope", &long),
        ("x-askonce-scope", "grün"),
    ];
    for (name, value) in table {
        let told = gateway.chat_with(&ask("x"), &[(name, value)]).await;
        assert_eq!(told.error(), (400, "invalid_header".to_owned()), "{name}: {value}");
        assert_eq!(told.json()["error"]["param"], name);
    }
    assert_eq!(upstream.calls(), 0);
    // Unknown directives of a standard header are ignored, as the standard says.
    let unknown = gateway.chat_with(&ask("x"), &[("cache-control", "immutable, min-fresh=x, max-stale")]).await;
    assert_eq!(unknown.status, 200);
    let long_ttl = gateway.chat_with(&ask("y"), &[("x-askonce-ttl-s", "18446744073709551615")]).await;
    assert_eq!(long_ttl.status, 200);
}

#[tokio::test]
async fn a_body_over_the_limit() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "limits: {body_bytes: 64KiB}").start().await;
    let told = send(&gateway, "/v1/chat/completions", ask(&"x".repeat(100_000)).to_string()).await;
    assert_eq!(told.error(), (413, "body_too_large".to_owned()));
    let fits = send(&gateway, "/v1/chat/completions", ask(&"x".repeat(60_000)).to_string()).await;
    assert_eq!(fits.status, 200);
    assert_eq!(upstream.calls(), 1);
}

/// A hundred megabytes, announced and not: the reply comes long before the end, and reaches a caller who keeps sending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "limits: {body_bytes: 1MiB}").start().await;
    let head = |length: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{length}\r\n\r\n",
            gateway.address
        )
    };
    let megabyte = vec![b' '; 1 << 20];
    for _ in 0..5 {
        let announced = head(&format!("content-length: {}", 100 << 20));
        let told = exchange(gateway.address, announced.as_bytes(), (0..100).map(|_| megabyte.clone())).await;
        assert_eq!(status(&told), 413, "{told}");
        assert!(told.contains("body_too_large"), "{told}");
        let chunked = head("transfer-encoding: chunked");
        let chunk = [b"100000\r\n".as_slice(), &megabyte, b"\r\n"].concat();
        let told = exchange(gateway.address, chunked.as_bytes(), (0..100).map(|_| chunk.clone())).await;
        assert_eq!(status(&told), 413, "{told}");
    }
    assert_eq!(upstream.calls(), 0);
    alive(&gateway).await;
}

#[tokio::test]
async fn a_caller_too_slow() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "limits: {header_timeout_ms: 150}").start().await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n{{",
        gateway.address
    );
    let began = Instant::now();
    let told = exchange(gateway.address, head.as_bytes(), std::iter::empty()).await;
    assert_eq!(status(&told), 408, "{told}");
    assert!(told.contains("request_timeout"));
    // A head that never ends: the connection goes.
    let told = exchange(gateway.address, &head.as_bytes()[..60], std::iter::empty()).await;
    assert!(status(&told) == 0 || status(&told) == 408, "{told}");
    assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(10));
    alive(&gateway).await;
}

#[tokio::test]
async fn a_caller_who_breaks_off() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    for bytes in [
        "",
        "\0\0\0\0\r\n\r\n",
        "GET",
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, bytes.as_bytes()).await.unwrap();
        drop(stream);
    }
    alive(&gateway).await;
    until("nothing is left in flight", || async { gateway.in_flight() == 0 }).await;
}

#[tokio::test]
async fn other_peoples_web_pages_are_kept_out() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").start().await;
    for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:80"] {
        let told = gateway.chat_with(&ask("x"), &[("host", host)]).await;
        assert_eq!(told.error(), (403, "wrong_host".to_owned()), "{host}");
    }
    assert_eq!(gateway.chat_with(&ask("x"), &[("host", "localhost:99")]).await.status, 200);
    // In HTTP/2 the name stands elsewhere.
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
    let client = client.resolve("evil.example", gateway.address).build().unwrap();
    let url = format!("http://evil.example:{}/v1/chat/completions", gateway.address.port());
    assert_eq!(Reply::of(client.post(url).json(&ask("x"))).await.error().0, 403);
    // With keys, a page elsewhere has none: any name will do.
    let keys = "auth:\n  keys:\n    - {name: a, key: key-a-0123456789ab}\n";
    let closed = Given::one(&upstream, keys).start().await;
    let named =
        closed.chat_with(&ask("x"), &[("host", "ai.example"), ("authorization", "Bearer key-a-0123456789ab")]).await;
    assert_eq!(named.status, 200);
}

#[tokio::test]
async fn more_requests_than_the_gateway_takes() {
    let gate = Gate::closed();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| [vec![Step::Gate(held.clone())], script::answer("a")].concat()).await;
    let gateway = Arc::new(Given::one(&upstream, "limits: {in_flight: 2}").start().await);
    let waiting: Vec<_> = ["one", "two"]
        .map(|text| {
            let gateway = gateway.clone();
            tokio::spawn(async move { gateway.chat(&ask(text)).await })
        })
        .into();
    upstream.called(2).await;
    let refused = gateway.chat(&ask("three")).await;
    assert_eq!((refused.error(), refused.header("retry-after")), ((503, "overloaded".to_owned()), "1"));
    // Whoever looks after the process must not take a full gateway for a dead one.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    gate.open();
    for reply in waiting {
        assert_eq!(reply.await.unwrap().words(), "a");
    }
    alive(&gateway).await;
}

#[tokio::test]
async fn a_caller_who_never_reads_is_given_up() {
    let text = "z ".repeat(4_000);
    let mut steps = vec![script::stream_head()];
    steps.extend((0..4_000).map(|_| script::piece(script::words(&text))));
    steps.extend([script::piece(script::last_events()), script::stream_end()]);
    let upstream = Upstream::start(move |_| steps.clone()).await;
    let gateway = Given::one(&upstream, "limits: {request_timeout_ms: 300}").start().await;
    let body = streamed(ask("x")).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        gateway.address,
        body.len()
    );
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(gateway.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    upstream.called(1).await;
    until("the place is free again", || async { gateway.in_flight() == 0 }).await;
    drop(stream);
}

#[tokio::test]
async fn a_gateway_that_is_its_own_provider_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let yaml = format!(
        "listen: 127.0.0.1:{port}\nretry: {{attempts: 1}}\n\
         providers: [{{name: me, kind: openai_compatible, base_url: \"http://127.0.0.1:{port}/v1\", models: [m]}}]"
    );
    let settings = askonce::config::parse(
        &yaml,
        "test",
        &askonce::config::Overrides { data_dir: Some("unused".into()), ..Default::default() },
        &|_| None,
    )
    .unwrap();
    let parts = askonce::app::Parts { embedder: None, clock: Default::default(), persist: false };
    let app = askonce::app::App::build(&settings, parts).await.unwrap();
    let listener = askonce::app::bind(&settings.listen).await.unwrap();
    let limit = std::time::Duration::from_secs(5);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = client.post(format!("http://127.0.0.1:{port}/v1/chat/completions")).json(&ask("x")).send();
    tokio::select! {
        _ = askonce::app::run(&app, listener, limit, std::future::pending(), || limit) => unreachable!(),
        reply = asked => {
            let reply = reply.unwrap();
            assert_eq!(reply.status().as_u16(), 508);
            assert!(reply.text().await.unwrap().contains("loop_detected"));
        }
    }
}
