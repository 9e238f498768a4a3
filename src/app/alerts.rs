//! Alerts: what there is to tell of budgets goes to the log, the metrics, and to whoever wants to be sent it.
//! A webhook is sent JSON, signed as `webhook` says.

use super::webhook;
use crate::config::{AlertSettings, Webhook};
use crate::governance::Alert;
use crate::telemetry::metrics;
use arc_swap::ArcSwap;
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
    let client = webhook::client(PATIENCE);
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

async fn send(client: &reqwest::Client, to: &Webhook, body: &str) {
    let id = format!("msg_{:032x}", rand::random::<u128>());
    for (attempt, pause) in PAUSES.into_iter().enumerate() {
        match webhook::post(client, to, "application/json", &id, body.to_owned()).await {
            Ok(()) => return,
            Err(why) => tracing::warn!(attempt, %why, "a webhook was not taken"),
        }
        tokio::time::sleep(pause).await;
    }
    tracing::error!("a webhook is given up");
}
