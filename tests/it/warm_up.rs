//! Answers that the operator brings: over the admin API, and with `askonce cache warm`.

use crate::support::gateway::ADMIN_KEY;
use crate::support::process::{EXACT_ONLY, Process, run, yaml};
use crate::support::{Gateway, Given, Reply, Upstream, ask, streamed, until, with};
use serde_json::{Value, json};

async fn warm(gateway: &Gateway, query: &str, lines: &str, headers: &[(&str, &str)]) -> Reply {
    let request = gateway.client.post(gateway.url(&format!("/admin/cache/warm{query}"))).bearer_auth(ADMIN_KEY);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Reply::of(request.body(lines.to_owned())).await
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

#[tokio::test]
async fn warm_answers_are_like_fetched_ones() {
    let upstream = Upstream::counting().await;
    let price = "models: [{name: dear, targets: [{provider: up, model: m}], \
                 price: {input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 2}}]\n\
                 cache: {semantic: {threshold: 0.6}}\n";
    let gateway = Given::one(&upstream, price).semantic().start().await;
    let text = lines(&[
        json!({"question": "How do I reset my password?", "answer": "Click it.", "tags": ["desk"], "id": "x", "group": 1}),
        json!({"question": "Who are you?", "answer": "A parrot.", "system": "Be brief.", "fields": {"temperature": 0}}),
        json!({"question": "What is dear?", "answer": "This.", "model": "dear", "in_tok": 10, "out_tok": 20, "scope": "s"}),
    ]);
    let told = warm(&gateway, "?model=m", &text, &[]).await.json();
    assert_eq!(told, json!({"lines": 3, "stored": 3, "failed": 0, "errors": []}));
    let hit = gateway.chat(&ask("How do I reset my password?")).await;
    assert_eq!((hit.cache().as_str(), hit.words().as_str()), ("hit/exact", "Click it."));
    assert_eq!((hit.header("x-askonce-provider"), hit.header("age")), ("up", "0"));
    assert!(hit.json()["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(gateway.chat(&streamed(ask("how do i reset my password"))).await.words(), "Click it.");
    assert_eq!(gateway.chat(&ask("How can I reset my password?")).await.cache(), "hit/semantic");
    let system = json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}],
        "temperature": 0.0});
    assert_eq!(gateway.chat(&with(ask(""), system)).await.words(), "A parrot.");
    let dear = with(ask("What is dear?"), json!({"model": "dear"}));
    let hit = gateway.chat_with(&dear, &[("x-askonce-scope", "s")]).await;
    assert_eq!((hit.cache().as_str(), hit.header("x-askonce-saved-usd")), ("hit/exact", "0.000050"));
    let path = format!("/admin/cache/entries/{}", hit.header("x-askonce-entry"));
    let shown = Reply::of(gateway.client.get(gateway.url(&path)).bearer_auth(ADMIN_KEY)).await.json();
    assert_eq!((&shown["source"], &shown["provider"]), (&json!("warm_up"), &json!("up")));
    assert_eq!((upstream.calls(), gateway.purge(json!({"tag": "desk"})).await), (0, 1));
    // What was brought is there after a restart too.
    let left = gateway.crashed();
    let again = Given::one(&upstream, price).semantic().dir(left.path()).start().await;
    assert_eq!(again.chat_with(&dear, &[("x-askonce-scope", "s")]).await.cache(), "hit/exact");
}

#[tokio::test]
async fn lines_at_fault_are_named_and_the_others_stored() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "cache: {max_answer_bytes: 2000}").start().await;
    let good = json!({"question": "one", "answer": "1", "model": "m"}).to_string();
    let long = "x".repeat(3000);
    let text = [
        good.clone(),
        String::new(),
        "{\"question\": \"torn".to_owned(),
        json!({"question": "no answer", "model": "m"}).to_string(),
        json!({"question": "no model", "answer": "1"}).to_string(),
        json!({"question": "  ", "answer": "1", "model": "m"}).to_string(),
        json!({"question": "what time is it", "answer": "noon", "model": "m"}).to_string(),
        json!({"question": "long", "answer": long, "model": "m"}).to_string(),
        json!({"question": "x", "answer": "y", "model": "m", "tenant": "nobody"}).to_string(),
        json!({"question": "x", "answer": "y", "model": "m", "fields": {"stream": true}}).to_string(),
        good.replace("one", "two"),
    ];
    let told = warm(&gateway, "", &text.join("\n"), &[]).await.json();
    assert_eq!((&told["lines"], &told["stored"], &told["failed"]), (&json!(10), &json!(2), &json!(8)), "{told}");
    let expected = [
        (3, "expected an object"),
        (4, "answer"),
        (5, "no `model`"),
        (6, "empty"),
        (7, "volatile"),
        (8, "too_large"),
        (9, "no tenant `nobody`"),
        (10, "`stream`"),
    ];
    for ((line, why), error) in expected.into_iter().zip(told["errors"].as_array().unwrap()) {
        assert_eq!(error["line"], line, "{told}");
        assert!(error["error"].as_str().unwrap().contains(why), "{error}");
    }
    assert_eq!(gateway.entries().await, 2);
    let many = "{}\n".repeat(1001);
    assert_eq!(warm(&gateway, "", &many, &[]).await.error(), (413, "too_many_lines".to_owned()));
    assert_eq!(warm(&gateway, "?modell=m", &good, &[]).await.status, 400);
    let unasked = Reply::of(gateway.client.post(gateway.url("/admin/cache/warm")).body(good)).await;
    assert_eq!(unasked.status, 401);
}

#[tokio::test]
async fn answers_are_for_the_tenant_that_is_named() {
    let upstream = Upstream::counting().await;
    let keys = "auth:\n  keys:\n\
        \x20   - {name: a, key: key-a-0123456789ab, tenant: red}\n\
        \x20   - {name: b, key: key-b-0123456789ab, tenant: blue}\n";
    let gateway = &Given::one(&upstream, keys).start().await;
    let line = json!({"question": "one", "answer": "1", "model": "m"});
    let told = warm(gateway, "", &line.to_string(), &[]).await.json();
    assert!(told["errors"][0]["error"].as_str().unwrap().contains("one of blue, red"), "{told}");
    assert_eq!(warm(gateway, "?tenant=red", &line.to_string(), &[]).await.json()["stored"], 1);
    let of = |key: &'static str| async move { gateway.chat_with(&ask("one"), &[("authorization", key)]).await };
    // With a wish of its own the miss of the other is not stored.
    assert_eq!(of("Bearer key-a-0123456789ab").await.cache(), "hit/exact");
    let other = [("authorization", "Bearer key-b-0123456789ab"), ("cache-control", "no-store")];
    assert_eq!(gateway.chat_with(&ask("one"), &other).await.header("x-askonce-cache"), "miss");
    let as_blue = [("x-askonce-caller-key", "key-b-0123456789ab")];
    assert_eq!(warm(gateway, "", &line.to_string(), &as_blue).await.json()["stored"], 1);
    assert_eq!(of("Bearer key-b-0123456789ab").await.cache(), "hit/exact");
    assert_eq!(warm(gateway, "", "{}", &[("x-askonce-caller-key", "wrong")]).await.status, 401);
}

#[tokio::test]
async fn the_command_line_warms_and_purges() {
    let upstream = Upstream::counting().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("askonce.yaml");
    std::fs::write(&config, yaml(&upstream, EXACT_ONLY)).unwrap();
    let data = dir.path().join("data");
    let process = Process::serve(&config, &data).await;
    let file = dir.path().join("qa.jsonl");
    let mut text: String = (0..450)
        .map(|number| format!("{}\n", json!({"question": format!("q {number}"), "answer": "a", "tags": ["qa"]})))
        .collect();
    text.push_str("nonsense\n");
    std::fs::write(&file, text).unwrap();
    let gateway = ["--url", &process.url, "--admin-key", ADMIN_KEY];
    let with =
        |command: &[&str]| [&["cache"], command, &gateway].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
    let told = |command: Vec<String>| async move {
        tokio::task::spawn_blocking(move || run(&command.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
    };
    let (code, out, err) = told(with(&["warm", file.to_str().unwrap(), "--model", "m"])).await;
    assert_eq!((code, out.as_str()), (0, "450 stored, 1 not\n"), "{err}");
    assert!(err.contains("line 451: expected an object"), "{err}");
    let client = crate::support::gateway::client();
    assert_eq!(process.chat(&client, &ask("q 449")).await.cache(), "hit/exact");
    let (code, out, err) = told(with(&["purge", "--tag", "qa", "--dry-run", "--show", "2"])).await;
    assert_eq!((code, out.lines().count()), (0, 3), "{out}{err}");
    assert!(out.ends_with("450 entries would go, 448 of them not shown\n"), "{out}");
    let (code, out, _) = told(with(&["purge", "--tag", "qa", "--show", "0"])).await;
    assert_eq!((code, out.as_str()), (0, "450 entries went, 450 of them not shown\n"));
    let (_, out, _) = told(with(&["show"])).await;
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["entries"], 0);
    let (code, _, err) = told(with(&["purge", "--all", "--tag", "x"])).await;
    assert!(code == 1 && err.contains("not clear"), "{err}");
    let wrong = ["cache", "show", "--url", &process.url, "--admin-key", "wrong"].map(str::to_owned).to_vec();
    let (code, _, err) = told(wrong).await;
    assert!(code == 1 && err.contains("401"), "{err}");
    until("nothing is left", || async {
        process.chat(&client, &ask("q 1")).await.header("x-askonce-cache") != "stale"
    })
    .await;
}
