//! What somebody else is asked about: the sentence model about topics, a server of the operator's, a moderation endpoint. All of a
//! request's are asked at once, each within its time.

use super::super::insight::Insight;
use super::super::serve::{Pipeline, Setup};
use super::{Direction, failed};
use crate::config::{GuardFailure, GuardModeration, GuardTopics, GuardWebhook, LooksFor, ModerationAt};
use crate::guardrails::{Rule, Seen};
use crate::providers::RelayCall;
use crate::telemetry::metrics;
use crate::types::caller::Caller;
use crate::types::error::Error;
use crate::types::surface::Surface;
use crate::wire::texts::{self, Scope, Speaker};
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::{HeaderValue, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use std::time::Duration;

/// Texts of one request or answer that are sent elsewhere; what is longer is not asked about.
const SENT_BYTES: usize = 1 << 20;
/// An answer of who is asked.
const ANSWER_BYTES: usize = 256 << 10;
/// Characters of a text that are held against topics at once, of which the sentence model reads all; how many of them the next part
/// begins before the end of the last; and the most parts.
const TOPIC_CHARS: usize = 1_000;
const TOPIC_OVERLAP: usize = 200;
const TOPIC_PARTS: usize = 64;

/// What is asked about.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) direction: Direction,
    pub(super) model: &'a str,
    pub(super) caller: &'a Caller,
    /// A body, whose texts count.
    pub(super) body: &'a str,
    pub(super) scope: Scope,
    /// The question, where there is one.
    pub(super) about: Option<&'a str>,
}

/// Connections to servers of the operator's: through a proxy of the environment, and on this machine without.
#[derive(Debug)]
pub(super) struct Clients {
    outside: reqwest::Client,
    here: reqwest::Client,
}

impl Clients {
    pub(super) fn new() -> Result<Clients, String> {
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(5))
                // A redirect would carry texts and keys to wherever it points.
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("askonce/", env!("CARGO_PKG_VERSION")))
        };
        let built = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| format!("the HTTP client of guardrails cannot be built: {error}"))
        };
        Ok(Clients { outside: built(builder())?, here: built(builder().no_proxy())? })
    }

    fn of(&self, url: &str) -> &reqwest::Client {
        let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        if host == "localhost" || address.is_ok_and(|address| address.is_loopback()) {
            &self.here
        } else {
            &self.outside
        }
    }
}

/// Does it take somebody else to tell?
pub(super) fn is_outside(rule: &Rule) -> bool {
    matches!(rule.settings.looks_for, LooksFor::Topics(_) | LooksFor::Webhook(_) | LooksFor::Moderation(_))
}

/// What somebody said, and what holds where they said nothing.
type Told = Result<bool, (GuardFailure, String)>;

impl Pipeline {
    /// Asks all of `rules` that ask somebody, and notes what they found. An error where one fails that nothing passes without.
    pub(super) async fn ask_outside(
        &self,
        setup: &Setup,
        rules: &[usize],
        asked: Asked<'_>,
        seen: &mut Seen,
    ) -> Result<(), Error> {
        let all = &setup.guardrails;
        let asking: Vec<(usize, &Rule)> = rules.iter().filter_map(|at| Some((*at, all.rule(*at)?))).collect();
        let asking: Vec<(usize, &Rule)> = asking.into_iter().filter(|(_, rule)| is_outside(rule)).collect();
        if asking.is_empty() {
            return Ok(());
        }
        let mut texts: Vec<(String, Speaker)> = Vec::new();
        texts::shown(asked.body, asked.scope, &mut |text, speaker| texts.push((text.to_owned(), speaker)));
        if texts.is_empty() {
            return Ok(());
        }
        let told = join_all(asking.iter().map(|(_, rule)| told(setup, rule, &asked, &texts))).await;
        for ((at, rule), told) in asking.into_iter().zip(told) {
            match told {
                Ok(true) => seen.note(at, rule.settings.action),
                Ok(false) => {}
                Err((on_error, why)) => {
                    let (name, direction) = (&rule.settings.name, asked.direction.as_str());
                    tracing::warn!(guardrail = name, direction, why, "a guardrail could not be asked");
                    metrics::guardrail(name, "failed", direction);
                    if on_error == GuardFailure::Refuse {
                        return Err(failed(name));
                    }
                }
            }
        }
        Ok(())
    }
}

async fn told(setup: &Setup, rule: &Rule, asked: &Asked<'_>, texts: &[(String, Speaker)]) -> Told {
    match &rule.settings.looks_for {
        LooksFor::Topics(topics) => of_topic(&setup.insight, topics, asked, texts).await,
        LooksFor::Webhook(webhook) => {
            let said = within(webhook.timeout, of_webhook(setup, rule, webhook, asked, texts)).await;
            said.map_err(|why| (webhook.on_error, why))
        }
        LooksFor::Moderation(endpoint) => {
            let said = within(endpoint.timeout, of_endpoint(setup, endpoint, asked, texts)).await;
            said.map_err(|why| (endpoint.on_error, why))
        }
        _ => Ok(false),
    }
}

async fn within(timeout: Duration, asking: impl Future<Output = Result<bool, String>>) -> Result<bool, String> {
    let late = |_| Err(format!("no answer within {} ms (`timeout_ms`)", timeout.as_millis()));
    tokio::time::timeout(timeout, asking).await.unwrap_or_else(late)
}

/// Is a text about what it must not be about? Of a request that is its question, of an answer all that is said.
async fn of_topic(insight: &Insight, topics: &GuardTopics, asked: &Asked<'_>, texts: &[(String, Speaker)]) -> Told {
    let failed = |why: &str| Err((topics.on_error, why.to_owned()));
    let Some(known) = &insight.topics else { return failed("there is no sentence model") };
    let all = || {
        let said = texts.iter().filter(|(_, speaker)| *speaker != Speaker::System);
        said.map(|(text, _)| text.as_str()).collect::<Vec<_>>().join("\n")
    };
    let text = asked.about.map_or_else(all, str::to_owned);
    let parts = parts(text.trim());
    if parts.len() > TOPIC_PARTS {
        return failed("the text is too long to be held against topics");
    }
    let mut vectors = Vec::with_capacity(parts.len());
    for part in &parts {
        let Some(vector) = insight.vector(part, &asked.caller.tenant).await else {
            return failed("the text was not embedded");
        };
        vectors.push(vector);
    }
    let reached: Vec<&str> = vectors.iter().flat_map(|vector| known.reached(vector)).collect();
    let is_of = |names: &[String]| names.iter().any(|name| reached.contains(&name.as_str()));
    Ok(is_of(&topics.deny) || (!topics.allow.is_empty() && !parts.is_empty() && !is_of(&topics.allow)))
}

/// A text in parts that overlap, each no longer than what the sentence model reads.
fn parts(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let starts = (0..chars.len()).step_by(TOPIC_CHARS - TOPIC_OVERLAP);
    // What is left behind the last part stands in the one before it.
    let starts = starts.filter(|start| *start == 0 || chars.len() - start > TOPIC_OVERLAP);
    starts.map(|start| chars[start..chars.len().min(start + TOPIC_CHARS)].iter().collect()).collect()
}

fn few(texts: &[(String, Speaker)]) -> Result<Vec<&str>, String> {
    let bytes: usize = texts.iter().map(|(text, _)| text.len()).sum();
    if bytes > SENT_BYTES {
        return Err(format!("the texts have {bytes} bytes, and at most {SENT_BYTES} are sent"));
    }
    Ok(texts.iter().map(|(text, _)| text.as_str()).filter(|text| !text.trim().is_empty()).collect())
}

async fn of_webhook(
    setup: &Setup,
    rule: &Rule,
    webhook: &GuardWebhook,
    asked: &Asked<'_>,
    texts: &[(String, Speaker)],
) -> Result<bool, String> {
    let clients = setup.guardrails.clients.as_ref().ok_or("there is no HTTP client")?;
    let body = json!({
        "guardrail": rule.settings.name,
        "direction": asked.direction.as_str(),
        "model": asked.model,
        "key": asked.caller.name,
        "texts": few(texts)?,
    });
    let mut request = clients.of(&webhook.url).post(&webhook.url).json(&body);
    for (name, value) in &webhook.headers {
        request = request.header(name, value.expose());
    }
    let said = answer(request).await?;
    match said.get("verdict").and_then(Value::as_str) {
        Some("pass") => Ok(false),
        Some("fail") => Ok(true),
        _ => Err("it answered without a `verdict` of `pass` or `fail`".to_owned()),
    }
}

/// Sends a request, and reads its JSON answer. Errors tell no URL, which may hold a key.
async fn answer(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let plain = |error: reqwest::Error| error.without_url().to_string();
    let response = request.send().await.map_err(plain)?;
    if !response.status().is_success() {
        return Err(format!("it answered with status {}", response.status().as_u16()));
    }
    let mut body: Vec<u8> = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(plain)?);
        if body.len() > ANSWER_BYTES {
            return Err(format!("it answered with more than {ANSWER_BYTES} bytes"));
        }
    }
    serde_json::from_slice(&body).map_err(|_| "its answer is no JSON".to_owned())
}

async fn of_endpoint(
    setup: &Setup,
    endpoint: &GuardModeration,
    asked: &Asked<'_>,
    texts: &[(String, Speaker)],
) -> Result<bool, String> {
    let texts = few(texts)?;
    if texts.is_empty() {
        return Ok(false);
    }
    let body = json!({"model": endpoint.model, "input": texts});
    let said = match &endpoint.at {
        ModerationAt::Url { url, api_key } => {
            let clients = setup.guardrails.clients.as_ref().ok_or("there is no HTTP client")?;
            let request = clients.of(url).post(url).json(&body);
            answer(match api_key {
                Some(key) => request.bearer_auth(key.expose()),
                None => request,
            })
            .await?
        }
        ModerationAt::Provider(name) => at_provider(setup, name, endpoint, &body, asked.caller).await?,
    };
    let results = said.get("results").and_then(Value::as_array).ok_or("it answered without `results`")?;
    if results.len() < texts.len() {
        return Err(format!("it told {} results of {} texts", results.len(), texts.len()));
    }
    results.iter().try_fold(false, |any, result| Ok(any | counts(result, endpoint)?))
}

async fn at_provider(
    setup: &Setup,
    name: &str,
    endpoint: &GuardModeration,
    body: &Value,
    caller: &Caller,
) -> Result<Value, String> {
    let provider = setup.registry.get(name).ok_or_else(|| format!("there is no provider `{name}`"))?;
    let call = RelayCall {
        surface: Surface::Moderations,
        method: Method::POST,
        path: Surface::Moderations.path().to_owned(),
        query: None,
        model: endpoint.model.clone(),
        key: None,
        content_type: Some(HeaderValue::from_static("application/json")),
        body: body.to_string().into(),
        tenant: caller.tenant.clone(),
        bearer: None,
        headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
    };
    let mut reply = provider.relay(call).await.map_err(|error| error.message)?;
    let mut read: Vec<u8> = Vec::new();
    while let Some(piece) = reply.body.next().await {
        read.extend_from_slice(&piece.map_err(|error| error.message)?);
        if read.len() > ANSWER_BYTES {
            return Err(format!("it answered with more than {ANSWER_BYTES} bytes"));
        }
    }
    serde_json::from_slice(&read).map_err(|_| "its answer is no JSON".to_owned())
}

/// Does a result of the endpoint count, by its flags or by its scores? An error where it tells none of those that are meant: who does
/// not say is not taken for saying no.
fn counts(result: &Value, endpoint: &GuardModeration) -> Result<bool, String> {
    let any = |key: &str, counts: &dyn Fn(&Value) -> Option<bool>| {
        let missing = |name: &str| format!("it answered without {key} of `{name}`");
        let all = result.get(key).and_then(Value::as_object).ok_or_else(|| format!("it answered without `{key}`"))?;
        let of = |name: &str, value: &Value| counts(value).ok_or_else(|| missing(name));
        match endpoint.categories.as_slice() {
            [] => all.iter().try_fold(false, |any, (name, value)| Ok(any | of(name, value)?)),
            names => names.iter().try_fold(false, |any, name| {
                let value = all.get(name).ok_or_else(|| missing(name))?;
                Ok(any | of(name, value)?)
            }),
        }
    };
    match endpoint.threshold {
        Some(threshold) => any("category_scores", &|score| score.as_f64().map(|score| score >= threshold)),
        None if endpoint.categories.is_empty() => {
            result.get("flagged").and_then(Value::as_bool).ok_or_else(|| "it answered without `flagged`".to_owned())
        }
        None => any("categories", &Value::as_bool),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_moderation_count_by_flag_category_or_score() {
        let endpoint = |categories: &[&str], threshold| GuardModeration {
            at: ModerationAt::Provider("p".into()),
            model: "m".into(),
            categories: categories.iter().map(|one| (*one).to_owned()).collect(),
            threshold,
            timeout: Duration::from_secs(1),
            on_error: GuardFailure::Refuse,
        };
        let result = json!({
            "flagged": true, "categories": {"hate": true, "violence": false},
            "category_scores": {"hate": 0.8, "violence": 0.3},
        });
        let table = [
            (endpoint(&[], None), true),
            (endpoint(&["hate"], None), true),
            (endpoint(&["violence"], None), false),
            (endpoint(&["violence"], Some(0.25)), true),
            (endpoint(&[], Some(0.9)), false),
        ];
        for (endpoint, expected) in table {
            assert_eq!(counts(&result, &endpoint), Ok(expected), "{endpoint:?}");
        }
        let silent = [
            (endpoint(&[], Some(0.5)), json!({"flagged": true})),
            (endpoint(&[], Some(0.5)), json!({"category_scores": {"hate": null}})),
            (endpoint(&["hate"], None), json!({"flagged": true, "categories": {"violence": false}})),
            (endpoint(&["hate"], Some(0.5)), json!({"category_scores": {"violence": 0.1}})),
            (endpoint(&[], None), json!({})),
        ];
        for (endpoint, result) in silent {
            assert!(counts(&result, &endpoint).is_err(), "{endpoint:?}, {result}");
        }
    }

    #[test]
    fn all_of_a_long_text_is_in_its_parts() {
        assert!(parts("").is_empty());
        for length in [1, 999, 1_000, 1_001, 1_800, 1_801, 5_000] {
            let text: String = (0..length).map(|at| char::from_u32(0x100 + at % 7_919).unwrap_or('x')).collect();
            let parts = parts(&text);
            assert!(parts.iter().all(|part| part.chars().count() <= TOPIC_CHARS));
            let joined: String = parts
                .iter()
                .enumerate()
                .flat_map(|(at, part)| part.chars().skip(if at == 0 { 0 } else { TOPIC_OVERLAP }))
                .collect();
            assert_eq!(joined, text, "{length}");
        }
    }
}
