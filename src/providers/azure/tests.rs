//! Azure: paths, and who signs in how.

use super::super::stub::{Stub, call};
use super::*;
use crate::config::{Cloud, Provider as Settings, ProviderKind};

fn settings(url: &str, version: Option<&str>) -> Settings {
    let cloud = Cloud { api_version: version.map(str::to_owned), ..Cloud::default() };
    Settings { cloud, ..Settings::plain("az", ProviderKind::Azure, url.to_owned()) }
}

fn keyed(url: &str, version: Option<&str>) -> Settings {
    Settings { api_key: Some(Secret::new("k-1")), ..settings(url, version) }
}

fn with_application(url: &str) -> Settings {
    let cloud = Cloud {
        api_version: Some("2024-10-21".into()),
        tenant_id: Some("tenant".into()),
        client_id: Some("app".into()),
        client_secret: Some(Secret::new("app-secret")),
        token_url: Some(format!("{url}/token")),
        ..Cloud::default()
    };
    Settings { cloud, ..settings(url, None) }
}

#[test]
fn every_surface_has_its_address() {
    let chat = (Surface::ChatCompletions, "/chat/completions");
    let responses = (Surface::Responses, "/responses");
    let table = [
        ("https://n.openai.azure.com", None, chat, "https://n.openai.azure.com/openai/v1/chat/completions"),
        ("https://n.openai.azure.com", Some("v1"), chat, "https://n.openai.azure.com/openai/v1/chat/completions"),
        (
            "https://n.openai.azure.com/openai",
            Some("preview"),
            responses,
            "https://n.openai.azure.com/openai/v1/responses?api-version=preview",
        ),
        (
            "https://n.openai.azure.com/openai/v1",
            Some("2024-10-21"),
            chat,
            "https://n.openai.azure.com/openai/v1/chat/completions",
        ),
        (
            "https://n.openai.azure.com",
            Some("2024-10-21"),
            chat,
            "https://n.openai.azure.com/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://proxy.example/azure/openai",
            Some("2025-04-01-preview"),
            responses,
            "https://proxy.example/azure/openai/responses?api-version=2025-04-01-preview",
        ),
    ];
    for (base, version, (surface, path), expected) in table {
        assert_eq!(Paths::new(base, version).url(surface, "my gpt/4", path), expected);
    }
}

#[test]
fn an_old_version_has_no_responses() {
    crate::install_tls();
    let spoken =
        |version: Option<&str>, surface| Azure::new(&settings("http://127.0.0.1:1", version)).unwrap().speaks(surface);
    assert_eq!(spoken(None, Surface::Responses), Some(Surface::Responses));
    assert_eq!(spoken(Some("2025-03-01-preview"), Surface::Responses), Some(Surface::Responses));
    assert_eq!(spoken(Some("2024-10-21"), Surface::Responses), Some(Surface::ChatCompletions));
    assert_eq!(spoken(None, Surface::Messages), Some(Surface::ChatCompletions));
    assert_eq!(spoken(None, Surface::CohereEmbed), Some(Surface::Embeddings));
    assert_eq!(spoken(None, Surface::Rerank), None);
    assert_eq!(spoken(None, Surface::CountTokens), spoken(None, Surface::InputTokens));
}

#[tokio::test]
async fn the_key_goes_into_its_header_and_never_into_an_error() {
    let stub = Stub::start(vec![(200, "{}"), (401, "{\"error\":{\"message\":\"bad key k-1\"}}")]).await;
    let azure = Azure::new(&Settings { stream_usage: true, ..keyed(&stub.url, Some("2024-10-21")) }).unwrap();
    let asked =
        || Call { bearer: Some(Secret::new("theirs")), ..call(Surface::ChatCompletions, "gpt", "{\"model\":\"gpt\"}") };
    let reply = azure.send(Call { stream: true, ..asked() }).await.unwrap();
    assert!(reply.usage_added);
    let error = azure.send(asked()).await.err().unwrap();
    assert_eq!((error.code, error.reply.is_none()), (Some("upstream_unauthorized"), true));
    let seen = stub.seen();
    assert_eq!(seen[0].line, "POST /openai/deployments/gpt/chat/completions?api-version=2024-10-21 HTTP/1.1");
    assert_eq!((seen[0].header("api-key"), seen[0].header("authorization")), (Some("k-1"), None));
    assert!(seen[0].body.contains("\"include_usage\":true"), "{}", seen[0].body);
    assert_eq!(seen[1].body, "{\"model\":\"gpt\"}");
    assert!(!format!("{error:?} {azure:?}").contains("k-1"));
}

#[tokio::test]
async fn an_application_signs_in_and_a_refused_token_is_not_kept() {
    let token = r#"{"access_token":"tok-1","expires_in":3600}"#;
    let replies = vec![(200, token), (200, "{}"), (200, "{}"), (401, "{}"), (200, token), (200, "{}")];
    let stub = Stub::start(replies).await;
    let azure = Azure::new(&with_application(&stub.url)).unwrap();
    let asked = || call(Surface::Embeddings, "vec", "{}");
    azure.send(asked()).await.unwrap();
    azure.send(asked()).await.unwrap();
    let error = azure.send(asked()).await.err().unwrap();
    assert_eq!(error.code, Some("upstream_unauthorized"));
    azure.send(asked()).await.unwrap();
    let paths: Vec<_> = stub
        .seen()
        .iter()
        .map(|one| one.line.split_once('?').map_or(one.line.clone(), |(path, _)| path.into()))
        .collect();
    let (token, call) = ("POST /token HTTP/1.1", "POST /openai/deployments/vec/embeddings");
    assert_eq!(paths, [token, call, call, call, token, call]);
    assert_eq!(stub.seen()[1].header("authorization"), Some("Bearer tok-1"));
    assert!(!format!("{azure:?} {error:?}").contains("app-secret"));
}

#[tokio::test]
async fn a_callers_own_token_or_key_goes_where_it_belongs() {
    let stub = Stub::start(vec![(200, "{}"), (200, "{}")]).await;
    let azure = Azure::new(&settings(&stub.url, None)).unwrap();
    for bearer in ["eyJ0eXAi.x.y", "an-azure-key"] {
        let own = Call { bearer: Some(Secret::new(bearer)), ..call(Surface::Responses, "gpt", "{}") };
        azure.send(own).await.unwrap();
    }
    let seen = stub.seen();
    assert_eq!(seen[0].line, "POST /openai/v1/responses HTTP/1.1");
    assert_eq!((seen[0].header("authorization"), seen[0].header("api-key")), (Some("Bearer eyJ0eXAi.x.y"), None));
    assert_eq!((seen[1].header("authorization"), seen[1].header("api-key")), (None, Some("an-azure-key")));
}

#[test]
fn half_an_application_is_refused() {
    crate::install_tls();
    let whole = with_application("https://n.openai.azure.us");
    let half = Settings { cloud: Cloud { client_secret: None, ..whole.cloud.clone() }, ..whole.clone() };
    assert!(Azure::new(&half).unwrap_err().contains("`client_secret` together"));
    let own = Settings { cloud: Cloud { token_url: None, ..whole.cloud.clone() }, ..whole };
    let application = application(&own).unwrap().unwrap();
    assert_eq!(application.token_url, "https://login.microsoftonline.us/tenant/oauth2/v2.0/token");
    assert_eq!(application.scope, "https://cognitiveservices.azure.us/.default");
}

#[tokio::test]
async fn pictures_are_passed_on_to_their_deployment() {
    let stub = Stub::start(vec![(200, "{}"), (200, "{}")]).await;
    let asked = |path: &str| RelayCall {
        surface: Surface::Images,
        method: Method::POST,
        path: path.to_owned(),
        query: Some("x=1".into()),
        key: None,
        model: "dall-e".into(),
        content_type: Some(HeaderValue::from_static("multipart/form-data; boundary=b")),
        body: "--b--".into(),
        tenant: crate::types::caller::Tenant::configured("t"),
        bearer: None,
        headers: Vec::new(),
    };
    let dated = Azure::new(&keyed(&stub.url, Some("2024-10-21"))).unwrap();
    dated.relay(asked("/images/edits")).await.unwrap();
    Azure::new(&keyed(&stub.url, None)).unwrap().relay(asked("/images/generations")).await.unwrap();
    let seen = stub.seen();
    assert_eq!(seen[0].line, "POST /openai/deployments/dall-e/images/edits?api-version=2024-10-21&x=1 HTTP/1.1");
    assert_eq!(seen[1].line, "POST /openai/v1/images/generations?x=1 HTTP/1.1");
    assert_eq!((seen[0].header("api-key"), seen[0].body.as_str()), (Some("k-1"), "--b--"));
    assert_eq!(seen[0].header("content-type"), Some("multipart/form-data; boundary=b"));
}
