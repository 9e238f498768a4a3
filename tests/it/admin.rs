//! The admin door: who may come in, and forgetting on demand.

use crate::support::{Given, Reply, Upstream, ask, with};
use serde_json::json;

#[tokio::test]
async fn tags_and_other_names_purge() {
    let upstream = Upstream::counting().await;
    let models = "models:\n  - {name: m2, targets: [{provider: up, model: m}]}\n\
        auth:\n  keys:\n\
        \x20   - {name: a, key: key-a-0123456789ab, tenant: red}\n\
        \x20   - {name: b, key: key-b-0123456789ab, tenant: blue}\n";
    let gateway = Given::one(&upstream, models).semantic().start().await;
    let (a, b) = (("authorization", "Bearer key-a-0123456789ab"), ("authorization", "Bearer key-b-0123456789ab"));
    let fill = || async {
        gateway.chat_with(&ask("one"), &[a, ("x-askonce-tags", "docs, v1")]).await;
        gateway.chat_with(&ask("two"), &[a, ("x-askonce-tags", "docs")]).await;
        gateway.chat_with(&ask("three"), &[b]).await;
        gateway.chat_with(&with(ask("four"), json!({"model": "m2"})), &[b]).await;
        assert_eq!(gateway.entries().await, 4);
    };
    fill().await;
    assert_eq!(gateway.purge(json!({"tag": "none"})).await, 0);
    assert_eq!(gateway.purge(json!({"tag": "v1"})).await, 1);
    assert_eq!(gateway.chat_with(&ask("one"), &[a, ("cache-control", "only-if-cached")]).await.status, 504);
    assert_eq!(gateway.purge(json!({"tag": "docs"})).await, 1);
    fill().await;
    assert_eq!(gateway.purge(json!({"tenant": "red"})).await, 2);
    fill().await;
    assert_eq!(gateway.purge(json!({"model": "m2"})).await, 1);
    fill().await;
    let entry = gateway.chat_with(&ask("one"), &[a]).await.header("x-askonce-entry").to_owned();
    let shown = Reply::of(
        gateway
            .client
            .get(gateway.url(&format!("/admin/cache/entries/{entry}")))
            .bearer_auth(crate::support::gateway::ADMIN_KEY),
    )
    .await
    .json();
    assert_eq!(
        (&shown["question"], &shown["tenant"], &shown["tags"]),
        (&json!("one"), &json!("red"), &json!(["docs", "v1"]))
    );
    assert_eq!(gateway.purge(json!({"entry": entry})).await, 1);
    assert_eq!(gateway.purge(json!({"entry": entry})).await, 0);
    assert_eq!(gateway.purge(json!({"all": true})).await, 3);
    let held = gateway.held().await;
    assert_eq!((&held["entries"], &held["bytes"], &held["vectors"]), (&json!(0), &json!(0), &json!(0)));
    fill().await;
}

#[tokio::test]
async fn what_would_go_is_shown_first() {
    let upstream = Upstream::counting().await;
    let gateway = Given::one(&upstream, "").semantic().start().await;
    let questions = ["How do I reset my password?", "How can I reset my password?", "Kartoffelsuppe mit Lauch"];
    for question in questions {
        gateway.chat_with(&ask(question), &[("cache-control", "no-cache")]).await;
    }
    gateway.chat(&with(ask(questions[0]), json!({"temperature": 0.5, "metadata": {"tags": ["meta", "x"]}}))).await;
    let purge = |what: serde_json::Value| {
        let request = gateway.post("/admin/cache/purge", &what).bearer_auth(crate::support::gateway::ADMIN_KEY);
        async move { Reply::of(request).await.json() }
    };
    assert_eq!(purge(json!({"tag": "meta", "dry_run": true})).await["would_purge"], 1);
    let like = json!({"like": "how do I reset my password", "similarity": 0.6});
    let would = purge(with(like.clone(), json!({"dry_run": true}))).await;
    assert_eq!((&would["would_purge"], &would["dry_run"]), (&json!(3), &json!(true)), "{would}");
    let shown = would["entries"].as_array().unwrap();
    assert!(shown[0]["similarity"].as_f64() > shown[2]["similarity"].as_f64() && shown[2]["question"] == questions[1]);
    let scope = shown[2]["scope"].clone();
    let narrow = purge(with(like.clone(), json!({"dry_run": true, "scope": scope, "show": 1}))).await;
    assert_eq!((&narrow["would_purge"], narrow["entries"].as_array().unwrap().len()), (&json!(2), 1));
    assert_eq!(purge(with(like.clone(), json!({"dry_run": true, "tenant": "nobody"}))).await["would_purge"], 0);
    assert_eq!(gateway.entries().await, 4);
    let gone = purge(like).await;
    assert_eq!((&gone["purged"], gone["entries"].as_array().unwrap().len()), (&json!(3), 3));
    let held = gateway.held().await;
    assert_eq!((&held["entries"], &held["vectors"]), (&json!(1), &json!(1)));
    assert_eq!(purge(json!({"scope": scope, "dry_run": true})).await["would_purge"], 1);
    assert_eq!(gateway.purge(json!({"scope": scope})).await, 1);
    let plain = Given::one(&upstream, "").start().await;
    let wish = json!({"like": "x", "similarity": 0.5});
    let refused =
        Reply::of(plain.post("/admin/cache/purge", &wish).bearer_auth(crate::support::gateway::ADMIN_KEY)).await;
    assert_eq!(refused.error(), (400, "purge_not_made".to_owned()));
}

#[tokio::test]
async fn the_admin_door_wants_the_admin_key() {
    let upstream = Upstream::counting().await;
    let keys = "auth:\n  keys:\n    - {name: a, key: key-a-0123456789ab}\n";
    let gateway = Given::one(&upstream, keys).start().await;
    let paths = ["/admin/cache", "/admin/cache/entries/0000000000000001"];
    for bearer in [None, Some("key-a-0123456789ab"), Some("wrong"), Some("")] {
        let shown = |request: reqwest::RequestBuilder| match bearer {
            Some(key) => Reply::of(request.bearer_auth(key)),
            None => Reply::of(request),
        };
        for path in paths {
            let refused = shown(gateway.client.get(gateway.url(path))).await;
            assert_eq!(refused.error(), (401, "admin_key_required".to_owned()), "{bearer:?} {path}");
        }
        let refused = shown(gateway.client.delete(gateway.url(paths[1]))).await;
        assert_eq!(refused.status, 401);
        let refused = shown(gateway.post("/admin/cache/purge", &json!({"all": true}))).await;
        assert_eq!(refused.status, 401);
    }
    // The admin key does not ask models.
    let admin = ("authorization", "Bearer admin-0123456789abcdef");
    assert_eq!(gateway.chat_with(&ask("x"), &[admin]).await.error().0, 401);
}
