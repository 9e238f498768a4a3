//! AWS Secrets Manager (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>).

use super::ask::{self, Failure, ask};
use super::document::Document;
use crate::config;
use crate::credentials::aws::{Credentials, Environment, Unsigned, domain, sign};
use crate::types::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use std::time::{Duration, SystemTime};

/// What AWS calls it where requests are signed.
const SERVICE: &str = "secretsmanager";
const TARGET: &str = "secretsmanager.GetSecretValue";
const MAY_NOT: &str = "what it is signed in with may not read the secret";
/// How AWS says, by a wrong request's status, that there is no such secret, and that a key is not known.
const NO_SECRET: &str = "ResourceNotFoundException";
const NO_RIGHT: [&str; 5] = [
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "ExpiredTokenException",
    "DecryptionFailure",
];

/// AWS Secrets Manager.
pub(super) struct Aws {
    client: reqwest::Client,
    credentials: Credentials,
    region: Option<String>,
    endpoint: Option<String>,
}

impl Aws {
    pub(super) fn new(settings: &config::AwsSecrets, timeout: Duration) -> Result<Aws, String> {
        Aws::within(settings, timeout, &Environment::of_process())
    }

    pub(super) fn within(
        settings: &config::AwsSecrets,
        timeout: Duration,
        environment: &Environment,
    ) -> Result<Aws, String> {
        let region = settings.cloud.region.clone().filter(|region| !region.is_empty()).or_else(|| environment.region());
        let of_sts = region.as_deref().unwrap_or("us-east-1");
        Ok(Aws {
            client: ask::client(settings.endpoint.as_deref().unwrap_or("https://"), None, timeout)?,
            credentials: Credentials::find(&settings.cloud, of_sts, environment),
            region,
            endpoint: settings.endpoint.clone(),
        })
    }

    pub(super) async fn read(&self, place: &str) -> Result<Document, Failure> {
        let region = self.region_of(place)?;
        let address = self.endpoint.clone().unwrap_or_else(|| format!("https://{SERVICE}.{region}.{}", domain(region)));
        let url = Url::parse(&address).map_err(|_| Failure::lasting("its `endpoint` is no address"))?;
        let body = serde_json::json!({"SecretId": place}).to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        headers.insert("x-amz-target", HeaderValue::from_static(TARGET));
        let key = self.credentials.key().await.map_err(Failure::passing)?;
        let (method, service) = (Method::POST, SERVICE);
        let unsigned =
            Unsigned { method: &method, url: &url, headers: &headers, body: body.as_bytes(), region, service };
        headers.extend(sign(&unsigned, &key, SystemTime::now()).map_err(Failure::lasting)?);
        let (status, body) = ask(self.client.post(url).headers(headers).body(body)).await?;
        if status == 200 { document(&body) } else { Err(refusal(status, &body)) }
    }

    /// The region of an ARN, or the one that was told. It becomes a part of a host name.
    fn region_of<'r>(&'r self, place: &'r str) -> Result<&'r str, Failure> {
        let of_arn = place.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2));
        let region = of_arn.or(self.region.as_deref());
        let region =
            region.ok_or_else(|| Failure::lasting("no region is known; set `secrets.aws.region` or AWS_REGION"))?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        match !region.is_empty() && region.bytes().all(fits) {
            true => Ok(region),
            false => Err(Failure::lasting("its region is no name of one")),
        }
    }
}

fn document(body: &[u8]) -> Result<Document, Failure> {
    let answer = ask::json(body)?;
    if let Some(text) = answer["SecretString"].as_str() {
        return Ok(Document::Text(Secret::new(text)));
    }
    let bytes = answer["SecretBinary"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(|text| Document::Text(Secret::new(text))).ok_or_else(|| Failure::lasting("it holds no text"))
}

fn refusal(status: u16, body: &[u8]) -> Failure {
    let word = ask::word(body, "/__type");
    let mut failure = Failure::refused(status, word.as_deref(), MAY_NOT);
    match word.as_deref() {
        Some(NO_SECRET) => failure.why = format!("there is no such secret (`{NO_SECRET}`)"),
        Some(word) if NO_RIGHT.contains(&word) => failure.why = format!("{MAY_NOT} (`{word}`)"),
        Some("ThrottlingException" | "InternalServiceError") => failure.passing = true,
        _ => {}
    }
    failure
}
