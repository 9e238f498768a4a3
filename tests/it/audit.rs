//! The audit log: what is in it, and that nobody changes it unseen.

use crate::support::gateway::{ADMIN_KEY, client};
use crate::support::process::run;
use crate::support::{Gateway, Given, Reply, Upstream, ask, store, until};
use serde_json::{Value, json};

fn given(upstream: &Upstream) -> Given {
    let yaml = format!(
        "providers:\n  - {{name: up, kind: openai_compatible, base_url: \"${{UP}}\", api_key: sk-up-0123456789, models: [m]}}\n\
         auth: {{keys: [{{name: file, key: sk-file-0123456789, models: [n]}}, {{name: near, key: sk-near-0123456789, addresses: [127.0.0.1, '::1']}}, {{name: far, key: sk-far-0123456789, addresses: [10.0.0.0/8]}}]}}\n\
         admin: {{key: {ADMIN_KEY}}}\naudit: {{checkpoint_rows: 1}}\n"
    );
    Given::yaml(&yaml).variable("UP", &upstream.url)
}

async fn admin(gateway: &Gateway, method: &str, path: &str, body: Value) -> Reply {
    let request = client().request(method.parse().unwrap(), gateway.url(path)).bearer_auth(ADMIN_KEY).json(&body);
    Reply::of(request).await
}

async fn rows(gateway: &Gateway, query: &str) -> Vec<Value> {
    let told = admin(gateway, "GET", &format!("/admin/audit{query}"), json!({})).await;
    assert_eq!(told.status, 200, "{}", told.text());
    told.json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn who_did_what_is_there_when_it_is_answered_and_no_secret_is() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream).start().await;
    let made = admin(&gateway, "POST", "/admin/keys", json!({"name": "ci"})).await.json();
    let secret = made["key"].as_str().unwrap();
    let row = &rows(&gateway, "?action=keys.create").await[0];
    assert_eq!((&row["actor"], &row["target"], &row["outcome"]), (&json!("admin key"), &json!("ci"), &json!("done")));
    admin(&gateway, "POST", "/admin/keys?dry_run=true", json!({"name": "tried"})).await;
    assert_eq!(rows(&gateway, "?target=tried").await.len(), 0);
    assert_eq!(admin(&gateway, "DELETE", "/admin/keys/nobody", json!({})).await.status, 404);
    assert_eq!(rows(&gateway, "?action=keys.delete").await[0]["outcome"], "failed");
    assert_eq!(Reply::of(client().get(gateway.url("/admin/keys")).bearer_auth("wrong-0123456789")).await.status, 401);
    until("the refusal is written", || async { !rows(&gateway, "?outcome=refused").await.is_empty() }).await;
    let made = admin(&gateway, "POST", "/admin/tokens", json!({"name": "bot", "roles": ["viewer"]})).await.json();
    until("the token is told of", || async { !rows(&gateway, "?action=tokens.made").await.is_empty() }).await;
    let row = &rows(&gateway, "?action=tokens.made").await[0];
    assert_eq!((&row["address"], &row["target"], row.get("actor_id")), (&json!("127.0.0.1"), &made["id"], None));
    let bot = made["token"].as_str().unwrap();
    assert_eq!(Reply::of(client().delete(gateway.url("/admin/keys/ci")).bearer_auth(bot)).await.status, 403);
    until("the refusal is written", || async {
        !rows(&gateway, "?action=keys.delete&outcome=refused").await.is_empty()
    })
    .await;
    let row = &rows(&gateway, "?action=keys.delete&outcome=refused").await[0];
    assert_eq!((&row["actor"], &row["actor_id"]), (&json!("token `bot`"), &made["id"]), "a name may be another's");
    let refused = rows(&gateway, "?action=keys.read&outcome=refused").await;
    assert_eq!((&refused[0]["actor"], &refused[0]["action"]), (&json!("nobody"), &json!("keys.read")));
    // Refusals on the data path: one row for many of a kind.
    for _ in 0..5 {
        gateway.chat_with(&ask("x"), &[("authorization", "Bearer sk-file-0123456789")]).await;
        gateway.chat_with(&ask("x"), &[("authorization", "Bearer nobody-0123456789")]).await;
    }
    until("the refusals are written", || async { rows(&gateway, "?action=request.refused").await.len() == 2 }).await;
    let refused = rows(&gateway, "?action=request.refused").await;
    assert!(refused.iter().all(|row| row["address"] == "127.0.0.1"), "{refused:?}");
    let all = admin(&gateway, "GET", "/admin/audit?limit=1000", json!({})).await.text();
    assert!(all.contains("model_not_allowed") && all.contains("127.0.0.1") && !all.contains(&secret[10..]));
    assert_eq!(admin(&gateway, "GET", "/admin/audit?limit=0", json!({})).await.status, 400);
}

#[tokio::test]
async fn a_key_is_bound_to_addresses() {
    let upstream = Upstream::counting().await;
    let gateway = given(&upstream).start().await;
    assert_eq!(gateway.chat_with(&ask("x"), &[("authorization", "Bearer sk-near-0123456789")]).await.status, 200);
    let refused = gateway.chat_with(&ask("x"), &[("authorization", "Bearer sk-far-0123456789")]).await;
    assert_eq!(refused.error(), (403, "address_not_allowed".to_owned()));
}

/// Runs `askonce audit verify`.
fn verify(arguments: &[&str]) -> (i32, String) {
    let (code, out, err) = run(&[&["audit", "verify"], arguments].concat());
    (code, out + &err)
}

#[tokio::test]
async fn a_row_that_is_changed_or_taken_away_is_found() {
    let upstream = Upstream::counting().await;
    let dir = tempfile::tempdir().unwrap();
    let gateway = given(&upstream).dir(dir.path()).start().await;
    for number in 0..5 {
        let key = json!({"name": format!("key-{number}")});
        assert_eq!(admin(&gateway, "POST", "/admin/keys", key).await.status, 201);
    }
    until("a checkpoint is signed", || async {
        let told = admin(&gateway, "GET", "/admin/audit/checkpoints", json!({})).await.json();
        let rows = rows(&gateway, "?limit=1").await;
        told["data"].as_array().unwrap().last().is_some_and(|last| last["seq"] == rows[0]["seq"])
    })
    .await;
    // An export and its checkpoints can be verified elsewhere.
    let request =
        client().get(gateway.url("/admin/audit")).bearer_auth(ADMIN_KEY).header("accept", "application/x-ndjson");
    let export = Reply::of(request).await.text();
    let told = admin(&gateway, "GET", "/admin/audit/checkpoints", json!({})).await.text();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (key, lines, checkpoints) = (path("audit.pub"), path("export.jsonl"), path("checkpoints.json"));
    std::fs::write(&checkpoints, told).unwrap();
    let of_export = |text: &str| {
        std::fs::write(&lines, text).unwrap();
        verify(&["--export", &lines, "--checkpoints", &checkpoints, "--public-key", &key])
    };
    assert_eq!(of_export(&export).0, 0, "{}", of_export(&export).1);
    let (code, said) = of_export(&export.replacen("key-2", "key-9", 1));
    assert!(code == 2 && said.contains("was changed"), "{code} {said}");
    let without: String =
        export.lines().enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| format!("{line}\n")).collect();
    assert_eq!(of_export(&without).0, 2, "a row is missing");
    let cut: String = export.lines().take(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(of_export(&cut).0, 2, "the end is missing");
    gateway.stop().await;
    until("the database is let go", || store::is_let_go(dir.path())).await;
    let database = store::of(dir.path());
    let of_database = || verify(&["--database", &database, "--public-key", &key]);
    assert_eq!(of_database().0, 0, "{}", of_database().1);
    assert_eq!(verify(&["--database", &path("nothing.db"), "--public-key", &key]).0, 1);
    store::edit(dir.path(), "UPDATE audit SET actor = 'nobody' WHERE seq = 3").await;
    let (code, said) = of_database();
    assert!(code == 2 && said.contains("row 3 was changed"), "{code} {said}");
    // With all that was signed gone too, what the gateway remembers tells that the end was cut off.
    let cut = "DELETE FROM audit WHERE seq > 2; DELETE FROM audit_checkpoints";
    store::edit(dir.path(), cut).await;
    assert_eq!(of_database().0, 0, "the rest holds by itself");
    let (code, said) = verify(&["--database", &database, "--public-key", &key, "--head", &path("audit.head")]);
    assert!(code == 2 && said.contains("rows from 3 on are missing"), "{code} {said}");
    assert_eq!(verify(&["--database", &database, "--public-key", &key, "--head", &key]).0, 1, "that is no head");
}

#[tokio::test]
async fn a_log_that_was_cut_off_while_nobody_looked_gets_no_signature() {
    let upstream = Upstream::counting().await;
    let dir = tempfile::tempdir().unwrap();
    let signed = async |gateway: &Gateway| {
        let told = admin(gateway, "GET", "/admin/audit/checkpoints", json!({})).await.json();
        (told["data"].as_array().unwrap().len(), told["broken"].as_str().unwrap_or_default().to_owned())
    };
    let key = |name: &str| json!({"name": name});
    let gateway = given(&upstream).dir(dir.path()).start().await;
    for name in ["one", "two", "three"] {
        assert_eq!(admin(&gateway, "POST", "/admin/keys", key(name)).await.status, 201);
    }
    until("all is signed", || async { signed(&gateway).await.0 >= 3 }).await;
    let row = &rows(&gateway, "?target=three").await[0];
    assert_eq!(row["address"], "127.0.0.1", "who asked, and from where: {row}");
    gateway.stop().await;
    until("the database is let go", || store::is_let_go(dir.path())).await;
    store::edit(
        dir.path(),
        "DELETE FROM audit WHERE seq > 2; DELETE FROM audit_checkpoints; \
         UPDATE audit_tail SET seq = 2, digest = (SELECT digest FROM audit WHERE seq = 2)",
    )
    .await;
    let gateway = given(&upstream).dir(dir.path()).start_again().await;
    assert_eq!(admin(&gateway, "POST", "/admin/keys", key("four")).await.status, 201, "it goes on, and tells");
    until("it is told", || async { !signed(&gateway).await.1.is_empty() }).await;
    until("it is a row", || async { rows(&gateway, "?action=audit.broken").await.len() == 1 }).await;
    assert_eq!(signed(&gateway).await.0, 0, "nothing is signed");
    gateway.stop().await;
    until("the database is let go", || store::is_let_go(dir.path())).await;
    // The operator has looked, and begins anew.
    std::fs::remove_file(dir.path().join("audit.head")).unwrap();
    let gateway = given(&upstream).dir(dir.path()).start_again().await;
    assert_eq!(admin(&gateway, "POST", "/admin/keys", key("five")).await.status, 201);
    until("it is signed again", || async {
        let (count, broken) = signed(&gateway).await;
        count > 0 && broken.is_empty()
    })
    .await;
}
