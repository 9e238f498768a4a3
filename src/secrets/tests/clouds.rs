//! AWS Secrets Manager, Google Cloud's Secret Manager, Azure Key Vault.

use super::*;
use crate::credentials::stub::Stub;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::atomic::{AtomicUsize, Ordering};

fn aws(stub: &Stub) -> String {
    format!(
        "  aws: {{region: eu-west-1, endpoint: \"{}\", access_key_id: AKID, secret_access_key: \"env:AWS_KEY\"}}",
        stub.url
    )
}

#[tokio::test]
async fn aws_is_asked_signed_and_for_the_region_of_an_arn() {
    let stub = Stub::new(|asked| {
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        let refused = |kind: &str| said(400, format!("{{\"__type\":\"{kind}\",\"Message\":\"{HUSH}\"}}"));
        match body["SecretId"].as_str().unwrap() {
            "plain" => said(200, serde_json::json!({"Name": "plain", "SecretString": HUSH}).to_string()),
            "binary" => said(200, serde_json::json!({"SecretBinary": STANDARD.encode(HUSH)}).to_string()),
            id if id.starts_with("arn:aws:secretsmanager:us-east-2") => {
                said(200, serde_json::json!({"SecretString": format!("{{\"key\":\"{HUSH}\"}}")}).to_string())
            }
            "closed" => refused("com.amazon.coral.service#AccessDeniedException"),
            "busy" => refused("ThrottlingException"),
            "odd" => refused("hush 0123"),
            _ => refused("ResourceNotFoundException"),
        }
    })
    .await;
    let arn = "aws-sm:arn:aws:secretsmanager:us-east-2:123456789012:secret:llm-AbCdEf#key";
    let variables = [("AWS_KEY", "secret-access-key")];
    let good = draft(&aws(&stub), &["aws-sm:plain", "aws-sm:binary", arn], &variables);
    assert_eq!(keys(&Secrets::default(), &good).await.unwrap(), [HUSH; 3]);
    let asked = stub.asked();
    for one in &asked {
        assert_eq!(header(one, "x-amz-target"), "secretsmanager.GetSecretValue");
        let region = if String::from_utf8_lossy(&one.body).contains("arn:") { "us-east-2" } else { "eu-west-1" };
        let authorization = header(one, "authorization");
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
        assert!(authorization.contains(&format!("/{region}/secretsmanager/aws4_request")), "{authorization}");
        assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target"), "{authorization}");
    }
    let table = [
        ("aws-sm:nothing", "there is no such secret (`ResourceNotFoundException`)"),
        ("aws-sm:closed", "may not read the secret (`AccessDeniedException`)"),
        ("aws-sm:busy", "`ThrottlingException`"),
        ("aws-sm:odd", "it refused to tell (status 400)"),
        ("aws-sm:plain#key", "it is no JSON object"),
    ];
    for (reference, words) in table {
        let draft = draft(&format!("  timeout_ms: 400\n{}", aws(&stub)), &[reference], &variables);
        let error = refusal(&Secrets::default(), &draft).await;
        assert!(error.contains(words) && error.contains("the store `aws-sm`"), "{error}");
    }
}

/// CRC-32C of `HUSH` as told by another implementation would be of no use here: the stub says what it is told to say.
fn payload(crc: Option<&str>) -> String {
    let mut payload = serde_json::json!({"data": STANDARD.encode(HUSH)});
    if let Some(crc) = crc {
        payload["dataCrc32c"] = crc.into();
    }
    serde_json::json!({"name": "projects/1/secrets/s/versions/4", "payload": payload}).to_string()
}

#[tokio::test]
async fn google_is_asked_with_a_token_that_is_fetched_anew_when_it_is_refused() {
    let tokens = AtomicUsize::new(0);
    let stub = Stub::new(move |asked| {
        if asked.line.contains("/computeMetadata/") {
            let token = format!("t-{}", tokens.fetch_add(1, Ordering::Relaxed));
            return said(200, serde_json::json!({"access_token": token, "expires_in": 3600}).to_string());
        }
        let told = format!("{{\"error\":{{\"status\":\"PERMISSION_DENIED\",\"message\":\"{HUSH}\"}}}}");
        match (header(asked, "authorization"), asked.line.as_str()) {
            ("Bearer t-0", _) => said(401, "{}"),
            (_, "GET /v1/projects/p/secrets/s/versions/latest:access") => said(200, payload(None)),
            (_, "GET /v1/projects/p/secrets/bad/versions/1:access") => said(200, payload(Some("1"))),
            (_, "GET /v1/projects/p/secrets/closed/versions/1:access") => said(403, told),
            _ => said(404, "{}"),
        }
    })
    .await;
    let host = stub.url.strip_prefix("http://").unwrap().to_owned();
    let variables = [("GCE_METADATA_HOST", host.as_str())];
    let gcp = format!("  timeout_ms: 600\n  gcp: {{endpoint: \"{}\"}}", stub.url);
    let good = draft(&gcp, &["gcp-sm:projects/p/secrets/s/versions/latest"], &variables);
    let secrets = Secrets::default();
    assert_eq!(keys(&secrets, &good).await.unwrap(), [HUSH]);
    assert_eq!(stub.asked().iter().filter(|one| one.line.contains("computeMetadata")).count(), 2);
    for (place, words) in [
        ("bad/versions/1", "damaged on the way"),
        ("closed/versions/1", "roles/secretmanager.secretAccessor` (status 403, `PERMISSION_DENIED`)"),
        ("none/versions/1", "there is no such secret (status 404)"),
    ] {
        let wrong = draft(&gcp, &[&format!("gcp-sm:projects/p/secrets/{place}")], &variables);
        let error = refusal(&Secrets::default(), &wrong).await;
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn azure_is_asked_by_an_application() {
    let stub = Stub::new(|asked| match asked.line.as_str() {
        "POST /token" => {
            let form = String::from_utf8_lossy(&asked.body).into_owned();
            assert!(form.contains("scope=https%3A%2F%2Fvault.azure.net%2F.default") && form.contains("client_id=app"));
            match form.contains(HUSH) {
                true => said(200, r#"{"access_token":"t","expires_in":3600}"#),
                false => said(401, format!("{{\"error\":\"invalid_client\",\"error_description\":\"{HUSH}\"}}")),
            }
        }
        "GET /secrets/key?api-version=7.4" | "GET /secrets/key/0a1b?api-version=7.4" => {
            assert_eq!(header(asked, "authorization"), "Bearer t");
            said(200, serde_json::json!({"value": HUSH, "id": "https://v.vault.azure.net/secrets/key/1"}).to_string())
        }
        "GET /secrets/closed?api-version=7.4" => said(403, r#"{"error":{"code":"Forbidden","message":"x"}}"#),
        _ => said(404, r#"{"error":{"code":"SecretNotFound","message":"x"}}"#),
    })
    .await;
    let azure = format!(
        "  timeout_ms: 600\n  azure: {{endpoint: \"{0}\", token_url: \"{0}/token\", tenant_id: t, client_id: app, client_secret: \"env:S\"}}",
        stub.url
    );
    let draft = |reference: &str, secret: &str| super::draft(&azure, &[reference], &[("S", secret)]);
    for reference in ["azure-kv:v/key", "azure-kv:v/key/0a1b"] {
        assert_eq!(keys(&Secrets::default(), &draft(reference, HUSH)).await.unwrap(), [HUSH]);
    }
    for (reference, secret, words) in [
        ("azure-kv:v/none", HUSH, "there is no such secret (status 404, `SecretNotFound`)"),
        ("azure-kv:v/closed", HUSH, "`Key Vault Secrets User` (status 403, `Forbidden`)"),
        ("azure-kv:v/key", "wrong", "The store `azure-kv` cannot be signed in to"),
    ] {
        let error = refusal(&Secrets::default(), &draft(reference, secret)).await;
        assert!(error.contains(words), "{error}");
    }
}
