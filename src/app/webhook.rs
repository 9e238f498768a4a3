//! Webhooks: a body is sent to an address, signed as Standard Webhooks has it (<https://www.standardwebhooks.com>): `webhook-id`,
//! `webhook-timestamp`, and in `webhook-signature` `v1,` and the HMAC-SHA256 of `id.timestamp.body`, in base64.

use crate::config::Webhook;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::RETRY_AFTER;
use reqwest::StatusCode;
use ring::hmac;
use std::time::Duration;

/// Why a body was not taken. It says nothing of the address, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// Nobody answered.
    #[error("{0}")]
    NoAnswer(String),
    /// The other side said no, and perhaps when to come again.
    #[error("it answered {0}")]
    Answered(StatusCode, Option<Duration>),
}

/// A client for webhooks: what they answer within `patience`, and nowhere else.
pub(super) fn client(patience: Duration) -> Result<reqwest::Client, String> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(patience).build();
    client.map_err(|error| error.to_string())
}

/// Sends `body` once. The same `id` says that it is the same body again.
pub(super) async fn post(
    client: &reqwest::Client,
    webhook: &Webhook,
    content_type: &str,
    id: &str,
    body: String,
) -> Result<(), NotTaken> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut request = client
        .post(webhook.url.expose())
        .header("content-type", content_type)
        .header("webhook-id", id)
        .header("webhook-timestamp", now);
    if let Some(secret) = &webhook.secret {
        request = request.header("webhook-signature", signature(secret.expose(), id, now, &body));
    }
    for (name, value) in &webhook.headers {
        request = request.header(name, value.expose());
    }
    let reply = request.body(body).send().await;
    let reply = reply.map_err(|error| NotTaken::NoAnswer(why(error)))?;
    if reply.status().is_success() {
        return Ok(());
    }
    let again = reply.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(NotTaken::Answered(reply.status(), again.map(Duration::from_secs)))
}

/// What went wrong, down to what the system said; without the address.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut root: &dyn std::error::Error = &error;
    while let Some(source) = root.source() {
        root = source;
    }
    let (error, root) = (error.to_string(), root.to_string());
    if error == root { error } else { format!("{error}: {root}") }
}

fn signature(secret: &str, id: &str, timestamp: u64, body: &str) -> String {
    // A secret of theirs is `whsec_` and base64; any other text is taken as it is.
    let own = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, own.as_deref().unwrap_or(secret.as_bytes()));
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn why_nobody_answered_is_said_without_the_address() {
        crate::install_tls();
        let url = crate::types::secret::Secret::new("http://127.0.0.1:9/sk-hidden-0123456789");
        let webhook = Webhook { url, secret: None, headers: std::collections::BTreeMap::new() };
        let client = client(Duration::from_secs(5)).unwrap();
        let error = post(&client, &webhook, "application/json", "id", "{}".to_owned()).await.unwrap_err().to_string();
        assert!(error.contains("refused") && !error.contains("hidden"), "{error}");
    }

    /// The example of the specification.
    #[test]
    fn signs_as_the_specification_does() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
