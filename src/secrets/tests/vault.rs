//! Vault and OpenBao.

use super::*;
use crate::credentials::stub::Stub;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What the server does; tests change it while it runs.
#[derive(Default)]
struct Behaviour {
    /// Tokens that are good.
    tokens: Mutex<Vec<String>>,
    /// So many sign-ins there were.
    signed_in: AtomicUsize,
    renewed: AtomicUsize,
    lease_s: AtomicU64,
    may_not_renew: std::sync::atomic::AtomicBool,
    /// The status of every answer, where it is not 0.
    down: AtomicU64,
    /// Mounts may not be asked for.
    no_preflight: std::sync::atomic::AtomicBool,
    value: Mutex<String>,
}

async fn server() -> (Stub, Arc<Behaviour>) {
    let behaviour = Arc::new(Behaviour::default());
    *behaviour.value.lock() = HUSH.to_owned();
    behaviour.lease_s.store(3600, Ordering::Relaxed);
    let known = behaviour.clone();
    (Stub::new(move |asked| answer(&known, asked)).await, behaviour)
}

fn answer(known: &Behaviour, asked: &Asked) -> Said {
    match known.down.load(Ordering::Relaxed) {
        0 => {}
        status => return said(u16::try_from(status).unwrap(), format!("{{\"errors\":[\"{HUSH}\"]}}")),
    }
    let token = header(asked, "x-vault-token").to_owned();
    let auth = |token: &str| {
        let lease = known.lease_s.load(Ordering::Relaxed);
        serde_json::json!({"auth": {"client_token": token, "lease_duration": lease, "renewable": true}}).to_string()
    };
    let path = asked.line.as_str();
    if path.starts_with("POST /v1/auth/") && path.ends_with("/login") {
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        let good = body["role_id"] == "role-1" && body["secret_id"] == HUSH || body["jwt"] == "jwt-1";
        if !good {
            return said(400, r#"{"errors":["invalid role or secret ID"]}"#);
        }
        let token = format!("token-{}", known.signed_in.fetch_add(1, Ordering::Relaxed));
        known.tokens.lock().push(token.clone());
        return said(200, auth(&token));
    }
    if !known.tokens.lock().contains(&token) {
        return said(403, r#"{"errors":["permission denied"]}"#);
    }
    let value = known.value.lock().clone();
    let mount = |path: &str, version: &str| {
        serde_json::json!({"data": {"path": path, "type": "kv", "options": {"version": version}}}).to_string()
    };
    match path {
        "POST /v1/auth/token/renew-self" if known.may_not_renew.load(Ordering::Relaxed) => said(403, "{}"),
        "POST /v1/auth/token/renew-self" => {
            known.renewed.fetch_add(1, Ordering::Relaxed);
            said(200, auth(&token))
        }
        "GET /v1/auth/token/lookup-self" => said(200, r#"{"data":{"ttl":0,"renewable":false}}"#),
        path if path.starts_with("GET /v1/sys/internal/ui/mounts/") && known.no_preflight.load(Ordering::Relaxed) => {
            said(403, "{}")
        }
        "GET /v1/sys/internal/ui/mounts/old/llm" => said(200, mount("old/", "1")),
        path if path.starts_with("GET /v1/sys/internal/ui/mounts/team/kv/") => said(200, mount("team/kv/", "2")),
        path if path.starts_with("GET /v1/sys/internal/ui/mounts/") => said(200, mount("secret/", "2")),
        "GET /v1/secret/data/llm/open%20ai" | "GET /v1/secret/data/llm" | "GET /v1/team/kv/data/llm" => said(
            200,
            serde_json::json!({"data": {"data": {"key": value, "org": "o"}, "metadata": {"version": 3}}}).to_string(),
        ),
        "GET /v1/old/llm" => said(200, serde_json::json!({"data": {"key": value}}).to_string()),
        "GET /v1/secret/data/gone" => {
            said(404, r#"{"data":{"data":null,"metadata":{"deletion_time":"2026-01-01T00:00:00Z"}}}"#)
        }
        "GET /v1/secret/data/closed" => said(403, r#"{"errors":["permission denied"]}"#),
        "GET /v1/secret/data/broken" => said(200, HUSH),
        _ => said(404, r#"{"errors":[]}"#),
    }
}

fn by_role(stub: &Stub) -> String {
    format!(
        "  timeout_ms: 3000\n  vault: {{address: \"{}\", namespace: team-a/, auth: {{approle: {{role_id: role-1, secret_id: \"env:SECRET_ID\"}}}}}}",
        stub.url
    )
}

const SECRET_ID: (&str, &str) = ("SECRET_ID", HUSH);

#[tokio::test]
async fn an_application_signs_in_once_and_each_place_is_read_once() {
    let (stub, known) = server().await;
    let wanted =
        ["vault:secret/llm/open ai#key", "vault:secret/llm/open ai#org", "vault:old/llm#key", "vault:team/kv/llm#key"];
    let draft = draft(&by_role(&stub), &wanted, &[SECRET_ID]);
    let secrets = Secrets::default();
    assert_eq!(keys(&secrets, &draft).await.unwrap(), [HUSH, "o", HUSH, HUSH]);
    assert_eq!(known.signed_in.load(Ordering::Relaxed), 1);
    let asked = stub.asked();
    assert!(
        asked
            .iter()
            .all(|one| header(one, "x-vault-namespace") == "team-a/" && header(one, "x-vault-request") == "true")
    );
    assert_eq!(asked.iter().filter(|one| one.line.contains("/data/llm/open")).count(), 1);
    let kept = secrets.kept();
    assert_eq!(kept.len(), 5, "the secret of the role is one of them");
    assert!(kept.iter().all(|one| one.error.is_none() && one.fingerprint.as_ref().is_some_and(|text| text.len() == 8)));
}

#[tokio::test]
async fn a_token_is_renewed_before_its_lease_ends_and_made_anew_where_that_is_refused() {
    let (stub, known) = server().await;
    known.lease_s.store(1, Ordering::Relaxed);
    let draft = draft(&by_role(&stub), &["vault:secret/llm#key"], &[SECRET_ID]);
    let secrets = Secrets::default();
    keys(&secrets, &draft).await.unwrap();
    // Between rounds, too.
    tokio::time::sleep(Duration::from_millis(750)).await;
    assert!(!secrets.refresh(&draft, false).await);
    assert_eq!((known.signed_in.load(Ordering::Relaxed), known.renewed.load(Ordering::Relaxed)), (1, 1));
    known.may_not_renew.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(750)).await;
    secrets.refresh(&draft, false).await;
    assert_eq!((known.signed_in.load(Ordering::Relaxed), known.renewed.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_made_anew() {
    let (stub, known) = server().await;
    let draft = draft(&by_role(&stub), &["vault:secret/llm#key"], &[SECRET_ID]);
    let secrets = Secrets::default();
    keys(&secrets, &draft).await.unwrap();
    known.tokens.lock().clear();
    *known.value.lock() = format!("{HUSH}-2");
    assert_eq!(keys(&secrets, &draft).await.unwrap(), [format!("{HUSH}-2")]);
    assert_eq!(known.signed_in.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn pods_and_tokens_sign_in() {
    let (stub, known) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let jwt = folder.path().join("token");
    std::fs::write(&jwt, "jwt-1\n").unwrap();
    let vault = |auth: &str| format!("  vault: {{address: \"{}\", auth: {auth}}}", stub.url);
    let pod = vault(&format!("{{kubernetes: {{role: llm, jwt_file: \"{}\", mount: k8s/a}}}}", jwt.display()));
    let wanted = ["vault:secret/llm#key"];
    assert_eq!(keys(&Secrets::default(), &draft(&pod, &wanted, &[])).await.unwrap(), [HUSH]);
    assert!(stub.asked().iter().any(|one| one.line == "POST /v1/auth/k8s/a/login"));
    known.tokens.lock().push("root-token".to_owned());
    let token = vault("{token: \"env:T\"}");
    assert_eq!(keys(&Secrets::default(), &draft(&token, &wanted, &[("T", "root-token")])).await.unwrap(), [HUSH]);
    // As Vault's own tools have it.
    let variables = [("VAULT_ADDR", stub.url.as_str()), ("VAULT_TOKEN", "root-token")];
    assert_eq!(keys(&Secrets::default(), &draft("", &wanted, &variables)).await.unwrap(), [HUSH]);
    let wrong = draft(&token, &wanted, &[("T", "another")]);
    assert!(refusal(&Secrets::default(), &wrong).await.contains("its policies do not let it be read"));
    std::fs::remove_file(&jwt).unwrap();
    let error =
        refusal(&Secrets::default(), &draft(&pod.replace("vault:", "timeout_ms: 300\n  vault:"), &wanted, &[])).await;
    assert!(error.contains("the pod's token in"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_reference_and_store() {
    let (stub, known) = server().await;
    let table = [
        ("vault:secret/nothing#key", "there is no such secret (status 404)"),
        ("vault:secret/gone#key", "the latest version of it was deleted (status 404)"),
        ("vault:secret/closed#key", "its policies do not let it be read"),
        ("vault:secret/broken#key", "its answer is no JSON"),
        ("vault:secret/llm#nope", "no text in a field `nope`; its fields are `key`, `org`"),
    ];
    for (reference, words) in table {
        let error = refusal(&Secrets::default(), &draft(&by_role(&stub), &[reference], &[SECRET_ID])).await;
        let begin = format!("providers[0].api_key: the secret `{reference}` of the store `vault`: ");
        assert!(error.starts_with(&begin) && error.contains(words), "{error}");
    }
    // All that is wrong is told at once.
    let all: Vec<&str> = table.iter().map(|(reference, _)| *reference).collect();
    let error = refusal(&Secrets::default(), &draft(&by_role(&stub), &all, &[SECRET_ID])).await;
    assert_eq!(error.lines().count(), table.len(), "{error}");
    let error =
        refusal(&Secrets::default(), &draft(&by_role(&stub), &["vault:secret/llm#key"], &[("SECRET_ID", "x")])).await;
    assert!(error.contains("its sign-in was refused"), "{error}");
    known.no_preflight.store(true, Ordering::Relaxed);
    let wanted = ["vault:secret/llm#key"];
    assert_eq!(keys(&Secrets::default(), &draft(&by_role(&stub), &wanted, &[SECRET_ID])).await.unwrap(), [HUSH]);
    let error = refusal(&Secrets::default(), &draft(&by_role(&stub), &["vault:old/llm#key"], &[SECRET_ID])).await;
    assert!(error.contains("secrets.vault.kv_version"), "{error}");
    let first = by_role(&stub).replace("namespace:", "kv_version: 1, namespace:");
    assert_eq!(keys(&Secrets::default(), &draft(&first, &["vault:old/llm#key"], &[SECRET_ID])).await.unwrap(), [HUSH]);
}

#[tokio::test]
async fn a_vault_that_is_down_leaves_what_was_known() {
    let (stub, known) = server().await;
    let settings = by_role(&stub).replace("timeout_ms: 3000", "timeout_ms: 500\n  refresh_s: 1");
    let draft = draft(&settings, &["vault:secret/llm#key"], &[SECRET_ID]);
    let secrets = Secrets::default();
    keys(&secrets, &draft).await.unwrap();
    known.down.store(503, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert!(!secrets.refresh(&draft, false).await);
    let kept = secrets.kept().into_iter().find(|one| one.reference.as_str().starts_with("vault")).unwrap();
    assert!(kept.error.as_deref().is_some_and(|why| why.contains("it is not well (status 503)")), "{kept:?}");
    assert!(kept.age.is_some_and(|age| age >= Duration::from_secs(1)) && kept.fingerprint.is_some());
    assert_eq!(exposed(&secrets.fill(&draft).unwrap()), [HUSH]);
    // A reload goes well with what is known; a start does not.
    assert_eq!(keys(&secrets, &draft).await.unwrap(), [HUSH]);
    assert!(refusal(&Secrets::default(), &draft).await.contains("status 503"));
    known.down.store(0, Ordering::Relaxed);
    *known.value.lock() = format!("{HUSH}-2");
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert!(secrets.refresh(&draft, false).await, "it is back, with another value");
    assert_eq!(exposed(&secrets.fill(&draft).unwrap()), [format!("{HUSH}-2")]);
    assert!(secrets.kept().iter().all(|one| one.error.is_none()));
    // What passes soon costs a start nothing.
    known.down.store(429, Ordering::Relaxed);
    let back = known.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        back.down.store(0, Ordering::Relaxed);
    });
    let patient = super::draft(&by_role(&stub), &["vault:secret/llm#key"], &[SECRET_ID]);
    keys(&Secrets::default(), &patient).await.unwrap();
}
