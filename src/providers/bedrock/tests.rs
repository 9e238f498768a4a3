//! Tests of the provider against a small HTTP server.

use super::*;
use crate::config::{Cloud, ProviderKind};
use crate::credentials::stub::{Asked, Said, Stub};
use crate::types::caller::Tenant;
use bytes::Bytes;
use futures_util::StreamExt;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn settings(base_url: &str) -> config::Provider {
    let cloud = Cloud {
        region: Some("eu-west-1".into()),
        access_key_id: Some(Secret::new("AKID")),
        secret_access_key: Some(Secret::new("hush-hush")),
        ..Cloud::default()
    };
    config::Provider { cloud, ..config::Provider::plain("aws", ProviderKind::Bedrock, base_url.to_owned()) }
}

fn built(settings: &config::Provider, vars: &[(&str, &str)]) -> Result<Bedrock, String> {
    crate::install_tls();
    let mut all = vec![("HOME", "/nowhere"), ("AWS_EC2_METADATA_DISABLED", "true")];
    all.extend(vars);
    Bedrock::within(settings, &Environment::of(&all))
}

fn call(surface: Surface, model: &str, stream: bool) -> Call {
    Call {
        surface,
        model: model.to_owned(),
        key: None,
        body: Bytes::from_static(br#"{"messages":[]}"#),
        stream,
        include_usage: false,
        tenant: Tenant::configured("t"),
        bearer: None,
        headers: Vec::new(),
    }
}

fn ok(_: &Asked) -> Said {
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-amzn-requestid", "id-1".to_owned()),
        ("x-amzn-bedrock-input-token-count", "3".to_owned()),
        ("x-secret", "no".to_owned()),
    ];
    (200, headers, br#"{"output":{}}"#.to_vec())
}

async fn body(reply: Reply) -> Result<String, Error> {
    let mut pieces = reply.body;
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(String::from_utf8(all).unwrap())
}

#[tokio::test]
async fn requests_are_signed_and_go_where_their_kind_belongs() {
    let stub = Stub::new(ok).await;
    let provider = built(&settings(&stub.url), &[]).unwrap();
    let arn = "arn:aws:bedrock:us-east-2:123456789012:application-inference-profile/abc";
    for (surface, model, stream) in [
        (Surface::Converse, CLAUDE, false),
        (Surface::Converse, CLAUDE, true),
        (Surface::InvokeModel, "m", false),
        (Surface::InvokeModel, arn, true),
    ] {
        let reply = provider.send(call(surface, model, stream)).await.unwrap();
        let expected = [("x-amzn-bedrock-input-token-count", "3"), ("x-upstream-request-id", "id-1")];
        assert_eq!(reply.headers.len(), expected.len());
        expected.iter().for_each(|(name, value)| assert_eq!(reply.headers[*name], *value));
        assert_eq!(body(reply).await.unwrap(), r#"{"output":{}}"#);
    }
    let asked = stub.asked();
    let lines: Vec<&str> = asked.iter().map(|one| one.line.as_str()).collect();
    let expected = [
        "POST /model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
        "POST /model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream",
        "POST /model/m/invoke",
        "POST /model/arn%3Aaws%3Abedrock%3Aus-east-2%3A123456789012%3Aapplication-inference-profile%2Fabc/invoke-with-response-stream",
    ];
    assert_eq!(lines, expected);
    for one in &asked {
        assert_eq!(one.body, br#"{"messages":[]}"#);
        let authorization = &one.headers["authorization"];
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
        assert!(authorization.contains("/eu-west-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date"));
    }
    assert!(!format!("{provider:?}").contains("hush"));
}

#[tokio::test]
async fn a_key_goes_as_a_bearer_token() {
    let stub = Stub::new(ok).await;
    let plain = config::Provider::plain("aws", ProviderKind::Bedrock, stub.url.clone());
    let keyed = config::Provider { api_key: Some(Secret::new("k1")), ..plain.clone() };
    let env = [("AWS_BEARER_TOKEN_BEDROCK", "k2")];
    let caller = Call { bearer: Some(Secret::new("ABSKk3")), ..call(Surface::Converse, "m", false) };
    for (settings, vars) in [(&keyed, &env[..]), (&plain, &env), (&plain, &[])] {
        built(settings, vars).unwrap().send(caller.clone()).await.unwrap();
    }
    let shown: Vec<_> = stub.asked().iter().map(|one| one.headers["authorization"].clone()).collect();
    assert_eq!(shown, ["Bearer k1", "Bearer k2", "Bearer ABSKk3"]);
    let none = built(&plain, &[]).unwrap().send(call(Surface::Converse, "m", false)).await.err().unwrap();
    assert_eq!((none.status(), none.code), (401, Some("upstream_unauthorized")));
    assert!(none.message.contains("AWS_ACCESS_KEY_ID"), "{}", none.message);
}

#[tokio::test]
async fn frames_become_events() {
    let frames = |cut: usize| {
        let mut bytes = Vec::new();
        for (name, data) in
            [("messageStart", r#"{"role":"assistant"}"#), ("messageStop", r#"{"stopReason":"end_turn"}"#)]
        {
            event_stream::encode(&[(":event-type", name), (":message-type", "event")], data.as_bytes(), &mut bytes);
        }
        bytes.truncate(bytes.len() - cut);
        bytes
    };
    let head = || vec![("content-type", event_stream::CONTENT_TYPE.to_owned())];
    let stub = Stub::new(move |asked| (200, head(), frames(if asked.line.contains("/cut/") { 3 } else { 0 }))).await;
    let provider = built(&settings(&stub.url), &[]).unwrap();
    let reply = provider.send(call(Surface::Converse, "m", true)).await.unwrap();
    assert_eq!(reply.content_type, "text/event-stream");
    let expected = "event: messageStart\ndata: {\"role\":\"assistant\"}\n\nevent: messageStop\ndata: {\"stopReason\":\"end_turn\"}\n\n";
    assert_eq!(body(reply).await.unwrap(), expected);
    let mut broken = provider.send(call(Surface::Converse, "cut", true)).await.unwrap().body;
    assert!(broken.next().await.unwrap().is_ok(), "the first event came whole");
    let error = broken.next().await.unwrap().unwrap_err();
    assert!(error.message.contains("in the middle of a message"), "{}", error.message);
    assert!(broken.next().await.is_none());
}

#[tokio::test]
async fn errors_keep_their_type_and_lose_the_operator_s_account() {
    let stub = Stub::new(|asked| {
        let status = if asked.line.contains("/denied/") { 403 } else { 400 };
        let kind = ("x-amzn-ErrorType", "ValidationException:http://internal.amazon.com/".to_owned());
        let message = br#"{"message":"User arn:aws:iam::1:user/me has no max_tokens"}"#;
        (status, vec![kind, ("content-type", "application/json".to_owned())], message.to_vec())
    })
    .await;
    let provider = built(&settings(&stub.url), &[]).unwrap();
    let wrong = provider.send(call(Surface::Converse, "m", false)).await.err().unwrap();
    assert_eq!(wrong.status(), 400);
    let told = crate::wire::bedrock::error::told(&wrong.reply.unwrap().body).unwrap();
    assert_eq!(told.code.as_deref(), Some("ValidationException"));
    assert!(told.message.ends_with("has no max_tokens"));
    let denied = provider.send(call(Surface::Converse, "denied", false)).await.err().unwrap();
    assert!(denied.reply.is_none() && !denied.message.contains("arn:"), "{}", denied.message);
}

#[tokio::test]
async fn the_models_are_those_of_the_control_plane() {
    let list = r#"{"modelSummaries":[{"modelId":"a.b","modelArn":"x"},{"modelId":"c.d"}]}"#;
    let stub = Stub::new(move |_| (200, vec![], list.as_bytes().to_vec())).await;
    let mut provider = built(&settings(&stub.url), &[]).unwrap();
    assert_eq!(provider.models().await.unwrap(), [""; 0], "none at another address");
    provider.control = Some(stub.url.clone());
    assert_eq!(provider.models().await.unwrap(), ["a.b", "c.d"]);
    let asked = &stub.asked()[0];
    assert_eq!(asked.line, "GET /foundation-models");
    assert!(asked.headers["authorization"].contains("/eu-west-1/bedrock/aws4_request"));
}

#[test]
fn the_address_is_that_of_the_region() {
    let of = |settings: &config::Provider, vars: &[(&str, &str)], model: &str| {
        let provider = built(settings, vars).unwrap();
        let call = call(Surface::Converse, model, false);
        let (url, region) = provider.address(&call).unwrap();
        (url.host_str().unwrap().to_owned(), region.to_owned())
    };
    let pair = |host: &str, region: &str| (host.to_owned(), region.to_owned());
    let own = settings("");
    assert_eq!(of(&own, &[], "m"), pair("bedrock-runtime.eu-west-1.amazonaws.com", "eu-west-1"));
    let arn = "arn:aws:bedrock:us-east-2:1:inference-profile/x";
    assert_eq!(of(&own, &[], arn), pair("bedrock-runtime.us-east-2.amazonaws.com", "us-east-2"));
    assert_eq!(
        of(&own, &[], "arn:aws:bedrock:/evil.org#:1:x"),
        pair("bedrock-runtime.eu-west-1.amazonaws.com", "eu-west-1")
    );
    let mut none = settings("");
    none.cloud.region = None;
    assert_eq!(
        of(&none, &[("AWS_REGION", "cn-north-1")], "m"),
        pair("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1")
    );
    assert!(built(&none, &[]).unwrap_err().contains("region"));
    assert!(built(&none, &[("AWS_REGION", "x/y")]).is_err());
    none.base_url = "https://bedrock-runtime-fips.us-west-2.amazonaws.com".to_owned();
    assert_eq!(of(&none, &[], arn), pair("bedrock-runtime-fips.us-west-2.amazonaws.com", "us-west-2"));
    none.base_url = "http://localhost:9/aws".to_owned();
    assert_eq!(of(&none, &[], "m"), pair("localhost", ANY_REGION));
    let provider = built(&own, &[]).unwrap();
    assert_eq!(provider.speaks(Surface::InvokeModel), Some(Surface::InvokeModel));
    assert_eq!(provider.speaks(Surface::Messages), Some(Surface::Converse));
    let table = [
        (Surface::Embeddings, "amazon.titan-embed-text-v2:0", Some(Surface::InvokeModel)),
        (Surface::EmbedContent, "us.cohere.embed-v4:0", Some(Surface::InvokeModel)),
        (Surface::CohereEmbed, "amazon.nova-2-multimodal-embeddings-v1:0", Some(Surface::InvokeModel)),
        (Surface::Embeddings, CLAUDE, None),
        (Surface::Rerank, "cohere.rerank-v3-5:0", Some(Surface::InvokeModel)),
        (Surface::RerankTexts, "amazon.rerank-v1:0", Some(Surface::InvokeModel)),
        (Surface::Rerank, "amazon.titan-embed-text-v2:0", None),
        (Surface::Messages, CLAUDE, Some(Surface::Converse)),
        (Surface::Moderations, CLAUDE, None),
    ];
    for (surface, model, expected) in table {
        assert_eq!(provider.speaks_for(surface, model), expected, "{surface:?} {model}");
    }
}

#[test]
fn an_error_reply_gets_its_type_once() {
    let reply = |body: &'static [u8]| UpstreamReply { status: 400, content_type: None, body: Bytes::from_static(body) };
    let table: [(&[u8], &[u8]); 4] = [
        (br#"{ "message":"m"}"#, br#"{"__type":"T","message":"m"}"#),
        (b"{}", br#"{"__type":"T"}"#),
        (br#"{"__type":"X"}"#, br#"{"__type":"X"}"#),
        (b"<html>", b"<html>"),
    ];
    for (body, expected) in table {
        assert_eq!(typed(reply(body), Some("T")).body, expected);
    }
    assert_eq!(typed(reply(b"{}"), None).body, b"{}".as_slice());
}
