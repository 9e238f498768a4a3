//! Providers, models and prices that are made at the admin surface; export and import.

use crate::support::gateway::{ADMIN_KEY, client};
use crate::support::process::run;
use crate::support::{Gateway, Given, Reply, Upstream, ask, store, until};
use serde_json::{Value, json};
use std::path::Path;

const FILE: &str = "providers:\n  - {name: up, kind: openai_compatible, base_url: \"${UP}\", api_key: sk-up-0123456789, models: [m]}\n  - {name: spare, kind: openai_compatible, base_url: \"${UP}\", models: [s]}\nmodels: [{name: m, targets: [{provider: up}]}]\n";

fn given(upstream: &Upstream, dir: &Path) -> Given {
    let tokens = "[{name: looks, key: sk-looks-0123456789, roles: [viewer]}, {name: edits, key: sk-edits-0123456789, roles: [editor]}]";
    let yaml = format!(
        "{FILE}auth: {{open: true}}\nadmin: {{key: {ADMIN_KEY}, tokens: {tokens}}}\naudit: {{checkpoint_rows: 1}}\n{}",
        store::sealed(dir)
    );
    Given::yaml(&yaml).variable("UP", &upstream.url).variable("SECRET", "sk-of-the-host").dir(dir)
}

async fn by(gateway: &Gateway, key: &str, method: &str, path: &str, body: &Value) -> Reply {
    let request = client().request(method.parse().unwrap(), gateway.url(path)).bearer_auth(key).json(body);
    Reply::of(request).await
}

async fn admin(gateway: &Gateway, method: &str, path: &str, body: Value) -> Reply {
    by(gateway, ADMIN_KEY, method, path, &body).await
}

async fn made(gateway: &Gateway, path: &str, body: Value) -> Value {
    let reply = admin(gateway, "POST", path, body).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

fn provider(upstream: &Upstream) -> Value {
    json!({"name": "second", "kind": "openai_compatible", "base_url": upstream.url, "api_key": "sk-second-one", "models": ["n"]})
}

fn model() -> Value {
    json!({"name": "fast", "targets": [{"provider": "second", "model": "n"}]})
}

fn price() -> Value {
    let price = json!({"input_usd_per_million_tokens": 1_000, "output_usd_per_million_tokens": 2_000});
    json!({"name": "of-n", "provider": "second", "model": "n*", "price": price})
}

async fn chat(gateway: &Gateway, model: &str, question: &str) -> Reply {
    let mut body = ask(question);
    body["model"] = model.into();
    gateway.chat(&body).await
}

#[tokio::test]
async fn a_provider_a_model_and_a_price_are_in_force_when_they_are_answered() {
    let (upstream, second) = (Upstream::counting().await, Upstream::counting().await);
    let dir = tempfile::tempdir().unwrap();
    let gateway = given(&upstream, dir.path()).start().await;
    assert_eq!(chat(&gateway, "fast", "before").await.error(), (404, "model_not_found".to_owned()));
    let tried = admin(&gateway, "POST", "/admin/models", model()).await;
    assert_eq!(tried.error(), (400, "invalid_object".to_owned()), "{}", tried.text());
    assert!(tried.text().contains("there is no provider `second`"), "{}", tried.text());
    let dry = admin(&gateway, "POST", "/admin/providers?dry_run=true", provider(&second)).await;
    assert_eq!((dry.status, admin(&gateway, "GET", "/admin/providers/second", json!({})).await.status), (201, 404));
    let shown = made(&gateway, "/admin/providers", provider(&second)).await;
    assert_eq!((&shown["api_key"], &shown["source"]), (&json!("[secret]"), &json!("api")));
    let first = shown["version"].as_u64().unwrap();
    made(&gateway, "/admin/models", model()).await;
    made(&gateway, "/admin/prices", price()).await;
    let reply = chat(&gateway, "fast", "one").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(second.last().header("authorization"), Some("Bearer sk-second-one"));
    assert_eq!(second.last().json()["model"], "n");
    let usage = &reply.json()["usage"];
    let count = |name: &str| usage[name].as_f64().unwrap();
    let expected = (count("prompt_tokens") * 1_000.0 + count("completion_tokens") * 2_000.0) / 1e6;
    let told: f64 = reply.header("x-askonce-cost-usd").parse().unwrap();
    assert!((told - expected).abs() < 1e-6, "{told} {expected}");
    // A key is turned over without a restart.
    let stale =
        client().patch(gateway.url("/admin/providers/second")).bearer_auth(ADMIN_KEY).header("if-match", "\"7\"");
    assert_eq!(Reply::of(stale.json(&json!({"api_key": "x-0123456789"}))).await.status, 412);
    let turned = admin(&gateway, "PATCH", "/admin/providers/second", json!({"api_key": "sk-second-two"})).await;
    assert_eq!((turned.status, turned.header("etag")), (200, &*format!("\"{}\"", first + 1)), "{}", turned.text());
    assert_eq!(chat(&gateway, "fast", "two").await.status, 200);
    assert_eq!(second.last().header("authorization"), Some("Bearer sk-second-two"));
    // What others need stays.
    let refused = admin(&gateway, "DELETE", "/admin/providers/second", json!({})).await;
    assert_eq!(refused.error(), (409, "in_use".to_owned()));
    assert!(refused.text().contains("`fast`"), "{}", refused.text());
    let owned = admin(&gateway, "PATCH", "/admin/providers/up", json!({"api_key": "sk-other"})).await;
    assert_eq!(owned.error(), (409, "owned_by_file".to_owned()));
    assert_eq!(admin(&gateway, "POST", "/admin/providers", json!({"name": "up", "kind": "openai"})).await.status, 409);
    // It is all there after a restart, and no secret lies open, in no row and in no log.
    let log = client().get(gateway.url("/admin/audit")).bearer_auth(ADMIN_KEY).header("accept", "application/x-ndjson");
    let log = Reply::of(log).await.text();
    assert!(log.contains("providers.create") && !log.contains("sk-second"), "{log}");
    gateway.stop().await;
    if !store::is_postgres() {
        for file in std::fs::read_dir(dir.path()).unwrap().flatten().filter(|one| one.path().is_file()) {
            let bytes = std::fs::read(file.path()).unwrap();
            let open = bytes.windows(9).any(|part| part == b"sk-second");
            assert!(!open, "{:?}", file.path());
        }
    }
    let gateway = given(&upstream, dir.path()).start_again().await;
    assert_eq!(chat(&gateway, "fast", "three").await.status, 200);
    assert_eq!(second.last().header("authorization"), Some("Bearer sk-second-two"));
    let page = admin(&gateway, "GET", "/admin/providers", json!({})).await.json();
    let names: Vec<&str> = page["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["second", "spare", "up"]);
    assert_eq!((&page["data"][2]["source"], &page["data"][2]["api_key"]), (&json!("file"), &json!("[secret]")));
    for path in ["/admin/prices/of-n", "/admin/models/fast", "/admin/providers/second"] {
        assert_eq!(admin(&gateway, "DELETE", path, json!({})).await.status, 204, "{path}");
    }
    assert_eq!(chat(&gateway, "fast", "four").await.error(), (404, "model_not_found".to_owned()));
}

#[tokio::test]
async fn nothing_of_the_host_is_lent_and_no_secret_is_sent_elsewhere() {
    let (upstream, second) = (Upstream::counting().await, Upstream::counting().await);
    let dir = tempfile::tempdir().unwrap();
    let gateway = given(&upstream, dir.path()).start().await;
    let with = |fields: Value| {
        let mut body = provider(&second);
        for (key, value) in fields.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let wrong = [
        (json!({"api_key": "env:SECRET"}), "api_key", "store `env`"),
        (json!({"api_key": "file:/etc/passwd"}), "api_key", "store `file`"),
        (json!({"headers": {"x-a": "env:SECRET"}}), "headers.x-a", "store `env`"),
        (json!({"api_key": "vault:secret/llm#openai"}), "api_key", "admin.secret_stores"),
        (json!({"tls": {"ca_file": "/etc/passwd"}}), "tls", "configuration file"),
        (
            json!({"kind": "bedrock", "base_url": null, "api_key": null, "aws": {"region": "us-east-1"}}),
            "aws",
            "this host",
        ),
        (json!({"kind": "vertex", "base_url": null, "api_key": null}), "google", "this host"),
        (json!({"base_url": "http://169.254.169.254/v1"}), "base_url", "one link"),
        (json!({"base_url": "http://metadata.google.internal/v1"}), "base_url", "one link"),
        // However an address is written, and however a key is that is none.
        (json!({"base_url": "http://2852039166/v1"}), "base_url", "one link"),
        (json!({"base_url": "http://0xa9fea9fe/v1"}), "base_url", "one link"),
        (json!({"base_url": "http://169.254.169.254./v1"}), "base_url", "one link"),
        (
            json!({"kind": "vertex", "base_url": "https://elsewhere.example", "api_key": "", "google": {"project": "p", "region": "r"}}),
            "",
            "this host",
        ),
        (
            json!({"kind": "vertex", "base_url": "https://elsewhere.example", "api_key": "literal:", "google": {"project": "p", "region": "r"}}),
            "",
            "this host",
        ),
        (
            json!({"kind": "bedrock", "base_url": "https://elsewhere.example", "api_key": "", "aws": {"region": "us-east-1"}}),
            "",
            "this host",
        ),
        (
            json!({"kind": "bedrock", "base_url": "https://elsewhere.example", "api_key": null, "aws": {"region": "us-east-1", "access_key_id": null}}),
            "",
            "this host",
        ),
        (json!({"base_url": "gopher://x"}), "base_url", "expected a URL"),
        (json!({"api_kee": "x"}), "", "did you mean `api_key`"),
        (json!({"api_key": "[secret]"}), "api_key", "send the secret itself"),
        (json!({"name": "a b/c"}), "name", ""),
        (json!({"name": ""}), "name", ""),
        (json!({"kind": 7}), "kind", "expected text"),
    ];
    for (fields, key, says) in wrong {
        let reply = admin(&gateway, "POST", "/admin/providers", with(fields.clone())).await;
        let error = &reply.json()["error"];
        assert_eq!(reply.status, 400, "{fields} {}", reply.text());
        assert_eq!(error["param"].as_str().unwrap_or_default(), key, "{fields} {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{fields} {error}");
        assert!(!reply.text().contains("sk-of-the-host"), "{}", reply.text());
    }
    for body in ["", "[]", "{", "\"x\"", "{\"name\": 1}"] {
        let request = client().post(gateway.url("/admin/providers")).bearer_auth(ADMIN_KEY);
        let reply = Reply::of(request.header("content-type", "application/json").body(body)).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
    }
    // What looks like a variable is only text.
    let shown = made(&gateway, "/admin/providers", with(json!({"headers": {"x-a": "${SECRET}"}}))).await;
    assert_eq!(shown["headers"]["x-a"], "[secret]");
    assert_eq!(chat(&gateway, "second/n", "one").await.status, 200);
    assert_eq!(second.last().header("x-a"), Some("${SECRET}"));
    // Who changes where secrets go has to know them.
    let moved = json!({"base_url": upstream.url});
    let refused = admin(&gateway, "PATCH", "/admin/providers/second", moved.clone()).await;
    assert_eq!(refused.error(), (400, "secret_wanted".to_owned()), "{}", refused.text());
    let mut known = moved;
    known["api_key"] = "sk-known-0123".into();
    known["headers"] = Value::Null;
    assert_eq!(admin(&gateway, "PATCH", "/admin/providers/second", known).await.status, 200);
    // A mask that is sent back is the secret that is there.
    let same = json!({"api_key": "[secret]", "models": ["n", "o"]});
    assert_eq!(admin(&gateway, "PATCH", "/admin/providers/second", same).await.status, 200);
    assert_eq!(chat(&gateway, "second/n", "two").await.status, 200);
    assert_eq!(upstream.last().header("authorization"), Some("Bearer sk-known-0123"));
    for (key, method, path, status) in [
        ("sk-looks-0123456789", "GET", "/admin/providers", 200),
        ("sk-looks-0123456789", "POST", "/admin/models", 403),
        ("sk-looks-0123456789", "DELETE", "/admin/providers/second", 403),
        ("sk-looks-0123456789", "POST", "/admin/config/import", 403),
        ("sk-edits-0123456789", "GET", "/admin/config/export", 200),
        ("sk-edits-0123456789", "POST", "/admin/config/import", 403),
        ("sk-edits-0123456789", "DELETE", "/admin/providers/second", 204),
    ] {
        assert_eq!(by(&gateway, key, method, path, &model()).await.status, status, "{key} {method} {path}");
    }
}

#[tokio::test]
async fn the_file_goes_first_and_what_does_not_fit_beside_it_is_left_out() {
    let (upstream, second) = (Upstream::counting().await, Upstream::counting().await);
    let dir = tempfile::tempdir().unwrap();
    let gateway = given(&upstream, dir.path()).start().await;
    made(&gateway, "/admin/providers", provider(&second)).await;
    made(&gateway, "/admin/models", model()).await;
    made(&gateway, "/admin/models", json!({"name": "of-up", "targets": [{"provider": "up", "model": "m"}]})).await;
    gateway.stop().await;
    // The file has another provider by the name of one, and the other one no more.
    let file =
        given(&upstream, dir.path()).with("name: up,", "name: second,").with("provider: up}", "provider: second}");
    let gateway = file.start_again().await;
    assert_eq!(chat(&gateway, "fast", "one").await.status, 200);
    assert_eq!((upstream.calls(), second.calls()), (1, 0), "the file's is meant");
    let page = admin(&gateway, "GET", "/admin/providers", json!({})).await.json();
    assert_eq!((&page["data"][0]["source"], &page["data"][0]["shadowed"]), (&json!("api"), &json!(true)));
    assert_eq!(page["data"][1]["source"], "file");
    let lost = admin(&gateway, "GET", "/admin/models/of-up", json!({})).await.json();
    assert!(lost["problem"].as_str().unwrap().contains("there is no provider `up`"), "{lost}");
    assert_eq!(chat(&gateway, "of-up", "two").await.status, 404);
    // It does not stand in the way of others, and can be mended.
    made(&gateway, "/admin/models", json!({"name": "third", "targets": [{"provider": "second", "model": "m"}]})).await;
    let mended = json!({"targets": [{"provider": "second", "model": "m"}]});
    let mended = admin(&gateway, "PATCH", "/admin/models/of-up", mended).await;
    assert_eq!((mended.status, mended.json().get("problem")), (200, None), "{}", mended.text());
    assert_eq!(chat(&gateway, "of-up", "three").await.status, 200);
}

#[tokio::test]
async fn what_is_exported_can_be_put_in_elsewhere_all_of_it_or_nothing() {
    let (upstream, second) = (Upstream::counting().await, Upstream::counting().await);
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gateway = given(&upstream, dir.path()).start().await;
    made(&gateway, "/admin/providers", provider(&second)).await;
    made(&gateway, "/admin/models", model()).await;
    made(&gateway, "/admin/prices", price()).await;
    made(&gateway, "/admin/accounts", json!({"name": "house", "kind": "organisation"})).await;
    made(&gateway, "/admin/accounts", json!({"name": "team", "kind": "team", "in": "house"})).await;
    made(&gateway, "/admin/keys", json!({"name": "ci", "account": "team"})).await;
    let document = admin(&gateway, "GET", "/admin/config/export", json!({})).await.json();
    assert_eq!(document["providers"][0]["api_key"], "[secret]");
    let again = admin(&gateway, "POST", "/admin/config/import?prune=true", document.clone()).await.json();
    let all = again["changes"].as_array().unwrap();
    assert!(all.len() == 6 && all.iter().all(|one| one["outcome"] == "unchanged"), "{again}");
    let whole = admin(&gateway, "GET", "/admin/config/export?include=file", json!({})).await.json();
    assert_eq!(whole["providers"].as_array().unwrap().len(), 3);

    let fresh = given(&upstream, other.path()).start().await;
    let wanted = admin(&fresh, "POST", "/admin/config/import", document.clone()).await;
    assert_eq!(wanted.error(), (400, "secret_wanted".to_owned()), "{}", wanted.text());
    assert!(wanted.text().contains("`second`"), "{}", wanted.text());
    let mut document = document;
    document["providers"][0]["api_key"] = "sk-elsewhere-01".into();
    // One that does not fit: nothing is put in.
    let mut broken = document.clone();
    broken["keys"][0]["account"] = "nobody".into();
    assert_eq!(admin(&fresh, "POST", "/admin/config/import", broken).await.status, 400);
    assert_eq!(admin(&fresh, "GET", "/admin/providers/second", json!({})).await.status, 404);
    let dry = admin(&fresh, "POST", "/admin/config/import?dry_run=true", document.clone()).await.json();
    assert!(
        dry["changes"].as_array().unwrap().iter().all(|one| one["outcome"] == "created" && one.get("key").is_none())
    );
    assert_eq!(admin(&fresh, "GET", "/admin/keys/ci", json!({})).await.status, 404);
    let done = admin(&fresh, "POST", "/admin/config/import", document.clone()).await.json();
    let key = done["changes"].as_array().unwrap().iter().find(|one| one["kind"] == "key").unwrap()["key"].clone();
    let key = format!("Bearer {}", key.as_str().unwrap());
    let mut question = ask("one");
    question["model"] = "fast".into();
    let reply = fresh.chat_with(&question, &[("authorization", &key)]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(second.last().header("authorization"), Some("Bearer sk-elsewhere-01"));
    // Lists that are not there stay as they are; of those that are, the rest goes where that is asked for.
    let less = json!({"models": [], "prices": []});
    let done = admin(&fresh, "POST", "/admin/config/import?prune=true", less).await.json();
    let gone: Vec<&str> = done["changes"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(gone, ["fast", "of-n"]);
    assert_eq!(admin(&fresh, "GET", "/admin/keys/ci", json!({})).await.status, 200);
    let bad = [
        json!({"modles": []}),
        json!({"models": {}}),
        json!({"models": [7]}),
        json!({"models": [{"targets": []}]}),
        json!({"models": [model(), model()]}),
        json!({"accounts": [{"name": "house", "kind": "team"}]}),
        json!({"accounts": []}),
    ];
    for body in &bad[..6] {
        let reply = admin(&fresh, "POST", "/admin/config/import", body.clone()).await;
        assert_eq!(reply.status, 400, "{body} {}", reply.text());
    }
    let reply = admin(&fresh, "POST", "/admin/config/import?prune=true", bad[6].clone()).await;
    assert_eq!(reply.status, 400, "keys would be in no account: {}", reply.text());
    let log = admin(&fresh, "GET", "/admin/audit?action=config.update", json!({})).await.text();
    assert!(log.contains("key/ci") && !log.contains("sk-elsewhere"), "{log}");
}

#[tokio::test]
async fn the_command_line_speaks_of_them() {
    let (upstream, second) = (Upstream::counting().await, Upstream::counting().await);
    let dir = tempfile::tempdir().unwrap();
    let gateway = given(&upstream, dir.path()).start().await;
    let url = gateway.url("");
    let call = async |arguments: &[&str]| {
        let arguments: Vec<String> =
            arguments.iter().chain(&["--url", &url, "--admin-key", ADMIN_KEY]).map(|one| (*one).to_owned()).collect();
        tokio::task::spawn_blocking(move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
            .await
            .unwrap()
    };
    let file = dir.path().join("new.yaml");
    let yaml = format!(
        "providers:\n  - {{name: second, kind: openai_compatible, base_url: \"{}\", api_key: sk-second-one}}\n\
         models:\n  - {{name: fast, targets: [{{provider: second, model: n}}]}}\n",
        second.url
    );
    std::fs::write(&file, yaml).unwrap();
    let path = file.to_str().unwrap();
    let (code, out, err) = call(&["config", "import", path, "--dry-run"]).await;
    assert!(code == 0 && out.contains("created  provider/second"), "{out} {err}");
    let (code, out, err) = call(&["config", "import", path]).await;
    assert!(code == 0 && out.contains("created  model/fast"), "{out} {err}");
    assert_eq!(chat(&gateway, "fast", "one").await.status, 200);
    let (code, out, err) = call(&["config", "list", "providers"]).await;
    assert!(code == 0 && out.contains("second  api") && out.contains("up  file"), "{out} {err}");
    let (code, out, err) = call(&["config", "update", "provider", "second", r#"{"api_key": "sk-second-two"}"#]).await;
    assert!(code == 0 && out.contains("[secret]"), "{out} {err}");
    let (code, out, err) = call(&["config", "show", "model", "fast"]).await;
    assert!(code == 0 && out.contains("\"provider\": \"second\""), "{out} {err}");
    let (code, out, err) = call(&["config", "delete", "provider", "second"]).await;
    assert!(code == 1 && err.contains("`fast`"), "{out} {err}");
    let (code, out, err) = call(&["config", "create", "price", &price().to_string()]).await;
    assert!(code == 0 && out.contains("\"source\": \"api\""), "{out} {err}");
    let (code, out, err) = call(&["config", "export"]).await;
    assert!(code == 0 && out.contains("name: fast"), "{out} {err}");
    std::fs::write(&file, out).unwrap();
    let (code, out, err) = call(&["config", "import", path, "--prune"]).await;
    assert!(code == 0 && !out.contains("created") && !out.contains("deleted"), "{out} {err}");
}

#[tokio::test]
async fn other_gateways_follow() {
    if store::is_not_postgres() {
        return;
    }
    let (upstream, second) = (Upstream::counting().await, Upstream::counting().await);
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = given(&upstream, dir.path()).start().await;
    store::copied(dir.path(), other.path());
    let two = given(&upstream, other.path()).start().await;
    made(&one, "/admin/providers", provider(&second)).await;
    made(&one, "/admin/models", model()).await;
    until("the other one knows", || async { chat(&two, "fast", "one").await.status == 200 }).await;
    assert_eq!(admin(&two, "PATCH", "/admin/providers/second", json!({"api_key": "sk-second-two"})).await.status, 200);
    until("the key is another there, too", || async {
        chat(&one, "fast", &format!("question {}", second.calls())).await;
        second.last().header("authorization") == Some("Bearer sk-second-two")
    })
    .await;
}
