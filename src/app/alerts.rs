//! Alerts: what there is to tell of budgets goes to the log, the metrics, and to whoever wants to be sent it.
//!
//! A webhook is sent JSON, signed as Standard Webhooks has it (<https://www.standardwebhooks.com>): `webhook-id`, `webhook-timestamp`, and in
//! `webhook-signature` `v1,` and the HMAC-SHA256 of `id.timestamp.body`, in base64.

use crate::config::{AlertSettings, Webhook};
use crate::governance::Alert;
use crate::telemetry::metrics;
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// How long a webhook may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is waited before each further attempt.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];
/// So many are under way at a time; more are given up.
const AT_A_TIME: usize = 64;

/// Who is told, as of now.
pub(super) type Listeners = Arc<ArcSwap<AlertSettings>>;

/// Tells what there is to tell, for as long as there is somebody who might have something to say.
pub(super) async fn tell(mut alerts: mpsc::Receiver<Alert>, listeners: Listeners) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build();
    let client = client.inspect_err(|error| tracing::error!(%error, "no webhook can be sent anything")).ok();
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    while let Some(alert) = alerts.recv().await {
        let (kind, per) = (alert.kind.as_str(), alert.per.as_str());
        metrics::budget_alert(kind);
        tracing::warn!(kind, of = alert.what, per, most_micro_usd = alert.most, "a budget");
        let settings = listeners.load_full();
        let body: Arc<str> = body(&alert).into();
        for webhook in &settings.webhooks {
            let (Some(client), Ok(place)) = (client.clone(), places.clone().try_acquire_owned()) else {
                tracing::warn!(kind, "an alert is not sent: too many are under way");
                continue;
            };
            let (body, webhook) = (body.clone(), webhook.clone());
            tokio::spawn(async move {
                send(&client, &webhook, &body).await;
                drop(place);
            });
        }
    }
}

fn body(alert: &Alert) -> String {
    let Alert { kind, what, per, most, soft, at_ms } = alert;
    let time = i64::try_from(*at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    json!({
        "type": kind.as_str(),
        "timestamp": time.map(|time| time.to_string()),
        "data": {"of": what, "per": per.as_str(), "limit_micro_usd": most, "soft_limit_micro_usd": soft},
    })
    .to_string()
}

async fn send(client: &reqwest::Client, webhook: &Webhook, body: &str) {
    let id = format!("msg_{:032x}", rand::random::<u128>());
    for (attempt, pause) in PAUSES.into_iter().enumerate() {
        match once(client, webhook, &id, body).await {
            Ok(()) => return,
            Err(why) => tracing::warn!(attempt, why, "a webhook was not taken"),
        }
        tokio::time::sleep(pause).await;
    }
    tracing::error!("a webhook is given up");
}

/// The error says nothing of the address, which may hold a secret.
async fn once(client: &reqwest::Client, webhook: &Webhook, id: &str, body: &str) -> Result<(), String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut request = client
        .post(webhook.url.expose())
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", now)
        .body(body.to_owned());
    if let Some(secret) = &webhook.secret {
        request = request.header("webhook-signature", signature(secret.expose(), id, now, body));
    }
    let reply = request.send().await.map_err(|error| error.without_url().to_string())?;
    if reply.status().is_success() { Ok(()) } else { Err(format!("it answered {}", reply.status())) }
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
