//! Tokens against a token endpoint on this machine. The key was made for these tests and opens nothing.

use super::*;
use crate::providers::google_stub::{Seen, Stub, settings};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use std::io::Write;

const KEY: &str = include_str!("test_key.b64");

fn no_env(_: &str) -> Option<OsString> {
    None
}

fn pem() -> String {
    format!("-----BEGIN {0}-----\n{KEY}-----END {0}-----\n", ["PRIVATE", "KEY"].join(" "))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn service_account(token_uri: &str) -> tempfile::NamedTempFile {
    let json = serde_json::json!({
        "type": "service_account", "project_id": "p-1", "private_key_id": "kid-1", "private_key": pem(),
        "client_email": "a@p-1.iam", "token_uri": token_uri, "universe_domain": "googleapis.com",
    });
    file(&json.to_string())
}

fn with(credentials: Option<&tempfile::NamedTempFile>, token_url: Option<&str>) -> config::Provider {
    let mut settings = settings("", None);
    settings.cloud.credentials_file = credentials.map(|file| file.path().to_owned());
    settings.cloud.token_url = token_url.map(str::to_owned);
    settings
}

fn made(settings: &config::Provider, env: &Env<'_>) -> Result<(Tokens, Option<String>), String> {
    Tokens::new("provider `v`", &settings.cloud, settings.connect_timeout, env)
}

fn field(seen: &Seen, name: &str) -> Option<String> {
    let value = seen.body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    Some(value.replace("%3A", ":").replace("%2F", "/"))
}

#[tokio::test]
async fn a_service_account_signs_and_its_token_is_kept() {
    let stub = Stub::start(vec![(200, r#"{"access_token":"t-1","expires_in":3599,"token_type":"Bearer"}"#)]).await;
    let url = format!("{}/token", stub.url);
    let account = service_account(&url);
    let (tokens, project) = made(&with(Some(&account), None), &no_env).unwrap();
    assert_eq!(project.as_deref(), Some("p-1"));
    let all = futures_util::future::join_all((0..20).map(|_| tokens.token())).await;
    assert!(all.into_iter().all(|token| token.unwrap().expose() == "t-1"));
    let seen = stub.seen();
    assert_eq!((seen.len(), seen[0].line.as_str()), (1, "POST /token HTTP/1.1"));
    assert_eq!(field(&seen[0], "grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    let assertion = field(&seen[0], "assertion").unwrap();
    let (message, signature) = assertion.rsplit_once('.').unwrap();
    let key = jwt::key(&pem()).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())
        .verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .unwrap();
    let part = |at: usize| -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(message.split('.').nth(at).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0), serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "kid-1"}));
    let claims = part(1);
    assert_eq!((&claims["iss"], &claims["aud"]), (&"a@p-1.iam".into(), &url.as_str().into()));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    assert!(!format!("{tokens:?}").contains("t-1"));
}

#[tokio::test]
async fn a_user_has_a_refresh_token_and_the_metadata_server_asks_for_nothing() {
    let reply = r#"{"access_token":"t","expires_in":10}"#;
    let stub = Stub::start(vec![(200, reply), (200, reply), (200, reply)]).await;
    let user = file(
        r#"{"type":"authorized_user","client_id":"c","client_secret":"s&1","refresh_token":"r","quota_project_id":"q"}"#,
    );
    let path = user.path().as_os_str().to_owned();
    let env = |name: &str| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| path.clone());
    let (tokens, project) = made(&with(None, Some(&stub.url)), &env).unwrap();
    assert_eq!((tokens.token().await.unwrap().expose(), project.as_deref()), ("t", Some("q")));
    assert_eq!(stub.seen()[0].body, "grant_type=refresh_token&client_id=c&client_secret=s%261&refresh_token=r");

    let host = stub.url.strip_prefix("http://").unwrap().to_owned();
    let env = |name: &str| (name == "GCE_METADATA_HOST").then(|| host.clone().into());
    let (tokens, _) = made(&with(None, None), &env).unwrap();
    assert_eq!(tokens.token().await.unwrap().expose(), "t");
    let asked = &stub.seen()[1];
    assert_eq!(asked.line, format!("GET {METADATA_PATH} HTTP/1.1"));
    assert_eq!(asked.header("metadata-flavor"), Some("Google"));
    // A token that was refused is fetched anew.
    tokens.forget(&Secret::new("another")).await;
    tokens.token().await.unwrap();
    assert_eq!(stub.seen().len(), 2);
    tokens.forget(&Secret::new("t")).await;
    tokens.token().await.unwrap();
    assert_eq!(stub.seen().len(), 3);
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_secrets_and_not_asked_at_once_again() {
    let refused = r#"{"error":"invalid_grant","error_description":"assertion eyJ is bad"}"#;
    let stub = Stub::start(vec![(400, refused), (503, "{}"), (200, "{}")]).await;
    let account = service_account("http://127.0.0.1:1/never");
    let table = [
        (ErrorKind::UpstreamStatus(401), "status 400, `invalid_grant`"),
        (ErrorKind::UpstreamStatus(503), "status 503"),
        (ErrorKind::UpstreamBroken, "no `access_token`"),
    ];
    for (at, (kind, words)) in table.into_iter().enumerate() {
        let (tokens, _) = made(&with(Some(&account), Some(&stub.url)), &no_env).unwrap();
        for _ in 0..3 {
            let error = tokens.token().await.unwrap_err();
            assert_eq!(error.kind, kind);
            assert!(error.message.contains(words) && !error.message.contains("eyJ"), "{}", error.message);
        }
        assert_eq!(stub.seen().len(), at + 1);
    }
    let (tokens, _) = made(&with(Some(&account), None), &no_env).unwrap();
    assert_eq!(tokens.token().await.unwrap_err().kind, ErrorKind::UpstreamUnreachable);
}

#[tokio::test]
async fn a_token_that_still_holds_outlives_a_failed_renewal() {
    let stub = Stub::start(vec![(200, r#"{"access_token":"t","expires_in":3600}"#), (500, "")]).await;
    let account = service_account(&stub.url);
    let (tokens, _) = made(&with(Some(&account), None), &no_env).unwrap();
    tokens.token().await.unwrap();
    tokens.kept.lock().await.token.as_mut().unwrap().renewed_from = Instant::now();
    assert_eq!(tokens.token().await.unwrap().expose(), "t");
    assert_eq!(stub.seen().len(), 2);
}

#[test]
fn files_that_are_no_credentials_stop_the_start() {
    crate::install_tls();
    let table = [
        ("oops", "no file of Google's credentials"),
        (r#"{"type":"external_account"}"#, "`external_account`"),
        (r#"{"type":"authorized_user","client_id":"c"}"#, "lacks a field"),
        (r#"{"type":"service_account","client_email":"a","private_key":"secret-text"}"#, "no RSA key"),
    ];
    for (text, words) in table {
        let credentials = file(text);
        let error = made(&with(Some(&credentials), None), &no_env).err().unwrap();
        assert!(error.contains(words) && !error.contains("secret-text"), "{error}");
    }
    let mut settings = settings("", None);
    settings.cloud.credentials_file = Some("/nowhere/at/all".into());
    assert!(made(&settings, &no_env).err().unwrap().contains("cannot be opened"));
}
