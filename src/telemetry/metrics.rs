//! Counters and histograms for Prometheus.
//!
//! Names follow the OpenTelemetry semantic conventions for generative AI
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>), written as Prometheus writes them: dots become
//! underscores, and the unit stands at the end. What the conventions do not name begins with `askonce_`.

use super::handles::{self, MODEL, count, record};
use crate::types::error::Error;
use crate::types::money::MicroUsd;
use crate::types::outcome::{BypassReason, MissReason, NotStored, StaleReason, Tier};
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

const PROVIDER: &str = "gen_ai_provider_name";

const REQUEST_DURATION: &str = "gen_ai_server_request_duration_seconds";
const FIRST_TOKEN: &str = "gen_ai_server_time_to_first_token_seconds";
const PER_TOKEN: &str = "gen_ai_server_time_per_output_token_seconds";
const TOKEN_USAGE: &str = "gen_ai_client_token_usage";
const TOKENS_TOTAL: &str = "askonce_tokens_total";
const COST: &str = "askonce_cost_micro_usd_total";
const UPSTREAM_DURATION: &str = "gen_ai_client_operation_duration_seconds";
const LOOKUPS: &str = "askonce_cache_lookups_total";
const SIMILARITY: &str = "askonce_cache_similarity";
const LOOKUP_DURATION: &str = "askonce_cache_lookup_duration_seconds";
const STORED: &str = "askonce_cache_stored_total";
const SAVED: &str = "askonce_cache_saved_usd";
const SAVED_TOKENS: &str = "askonce_cache_saved_tokens_total";
const REVALIDATIONS: &str = "askonce_cache_revalidations_total";
const EVICTIONS: &str = "askonce_cache_evictions_total";
const FLIGHT_WAITS: &str = "askonce_cache_flight_waits_total";
const DECISIONS: &str = "askonce_judgement_decisions_total";
const LABELS: &str = "askonce_judgement_labels_total";
const CHECKS: &str = "askonce_judgement_shadow_calls_total";
const JUDGE_CALLS: &str = "askonce_judge_calls_total";
const JUDGEMENT_COST: &str = "askonce_judgement_cost_usd";
const FEEDBACK: &str = "askonce_feedback_total";
const EMBEDDED_TEXTS: &str = "askonce_embedding_texts_total";
const EMBEDDED_TRUNCATED: &str = "askonce_embedding_truncated_total";
const EMBEDDED_TOKENS: &str = "askonce_embedding_tokens_total";
const EMBEDDING_BATCHES: &str = "askonce_embedding_batches_total";
const EMBEDDING_MEMO: &str = "askonce_embedding_memo_total";
const UPSTREAM_ATTEMPTS: &str = "askonce_upstream_attempts_total";
const RETRIES: &str = "askonce_upstream_retries_total";
const FALLBACKS: &str = "askonce_upstream_fallbacks_total";
const HEDGES: &str = "askonce_upstream_hedges_total";
const BREAKER_TURNS: &str = "askonce_breaker_turns_total";
const BREAKER: &str = "askonce_breaker_state";
const BUDGET_ALERTS: &str = "askonce_budget_alerts_total";
const ROLL_BACKS: &str = "askonce_canary_roll_backs_total";
const RECORDED: &str = "askonce_recording_lines_total";
const USAGE_RECORDS: &str = "askonce_usage_records_total";
const QUEUE_WAITING: &str = "askonce_queue_waiting";
const QUEUE_WAIT: &str = "askonce_queue_wait_seconds";
const QUEUE_REFUSED: &str = "askonce_queue_refused_total";
const CONDITION_ERRORS: &str = "askonce_condition_errors_total";
const AUDIT_BROKEN: &str = "askonce_audit_broken";
const AUDIT_EXPORT_LAG: &str = "askonce_audit_export_lag_rows";
const AUDIT_EXPORT_AGE: &str = "askonce_audit_export_lag_seconds";
const AUDIT_EXPORT_ROWS: &str = "askonce_audit_export_rows_total";
const AUDIT_EXPORT_FAILURES: &str = "askonce_audit_export_failures_total";
const GUARDRAILS: &str = "askonce_guardrails_total";
const SHADOW_REQUESTS: &str = "askonce_shadow_requests_total";
const SHADOW_COMPARISONS: &str = "askonce_shadow_comparisons_total";
const SHADOW_TOKENS: &str = "askonce_shadow_tokens_total";
const SHADOW_COST: &str = "askonce_shadow_cost_micro_usd_total";
const SHADOW_LABELS: &str = "askonce_shadow_labels_total";
const CONDITION_QUESTIONS: &str = "askonce_condition_questions_total";
const DEFINITIONS_LEFT_OUT: &str = "askonce_definitions_left_out";
const RELOADS: &str = "askonce_config_reloads_total";
const SECRETS: &str = "askonce_secret_refresh_total";

/// The one registry of the process. Several gateways in one process (as in tests) share it.
static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();

/// Seconds, as the conventions advise for requests.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 40.96, 81.92];
/// Seconds, for what takes microseconds.
const SHORT_SECONDS: [f64; 13] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5];
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
const COSINE: [f64; 14] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.95, 0.98, 1.0];

/// Starts the registry, once for the process.
pub fn start() -> Result<PrometheusHandle, String> {
    HANDLE.get_or_init(|| install().map_err(|error| error.to_string())).clone()
}

fn install() -> Result<PrometheusHandle, BuildError> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(full(REQUEST_DURATION), &SECONDS)?
        .set_buckets_for_metric(full(UPSTREAM_DURATION), &SECONDS)?
        .set_buckets_for_metric(full(FIRST_TOKEN), &SECONDS)?
        .set_buckets_for_metric(full(PER_TOKEN), &SECONDS)?
        .set_buckets_for_metric(full(QUEUE_WAIT), &SECONDS)?
        .set_buckets_for_metric(full(TOKEN_USAGE), &TOKENS)?
        .set_buckets_for_metric(full(SIMILARITY), &COSINE)?
        .set_buckets_for_metric(full(LOOKUP_DURATION), &SHORT_SECONDS)?
        .install_recorder()?;
    handles::begin();
    describe();
    Ok(handle)
}

fn describe() {
    describe_histogram!(REQUEST_DURATION, Unit::Seconds, "From the request's arrival to the end of its reply.");
    describe_histogram!(
        FIRST_TOKEN,
        Unit::Seconds,
        "From the request's arrival to the first words of a streamed reply."
    );
    describe_histogram!(PER_TOKEN, Unit::Seconds, "Time per output token after the first, of streamed replies.");
    describe_histogram!(TOKEN_USAGE, "Tokens that providers counted, by gen_ai_token_type.");
    describe_counter!(
        TOKENS_TOTAL,
        "Tokens that providers counted, by gen_ai_token_type: input and output, and of these what was read from a prompt \
         cache, written to one, and reasoning."
    );
    describe_counter!(COST, "Millionths of a US dollar that answers of providers cost, where prices are known.");
    describe_histogram!(
        UPSTREAM_DURATION,
        Unit::Seconds,
        "From sending a request to a provider to the end of its reply."
    );
    describe_counter!(LOOKUPS, "Cache lookups by outcome, tier and reason.");
    describe_histogram!(SIMILARITY, "Similarity of the nearest stored question, by outcome.");
    describe_histogram!(LOOKUP_DURATION, Unit::Seconds, "Time of a lookup's steps: hash, embed, search.");
    describe_counter!(STORED, "Answers by what became of them: stored, or why not.");
    describe_gauge!(SAVED, "US dollars that hits did not cost, where prices are known.");
    describe_counter!(SAVED_TOKENS, "Tokens that hits did not cost, by gen_ai_token_type.");
    describe_counter!(REVALIDATIONS, "Stale answers that were to be fetched anew in the background, by outcome.");
    describe_counter!(
        EVICTIONS,
        "Entries that left for room, by what there was none in: memory, scope_quota, tenant_quota."
    );
    describe_counter!(DECISIONS, "Decisions of the learned judgement, by what came of them.");
    describe_counter!(
        LABELS,
        "Labels for the judgement, by where they came from, which judge gave them, and what it said."
    );
    describe_counter!(CHECKS, "Hits that were to be checked by a fresh answer, by outcome.");
    describe_counter!(JUDGE_CALLS, "Calls of the model that compares answers (`cache.judge`), by outcome.");
    describe_gauge!(JUDGEMENT_COST, "US dollars that shadow calls and judge calls have cost, where prices are known.");
    describe_counter!(FEEDBACK, "Feedback of callers on answers, by what they said and what came of it.");
    describe_gauge!(
        DEFINITIONS_LEFT_OUT,
        "Providers, models and prices of the admin surface that do not fit beside the file."
    );
    describe_gauge!(AUDIT_BROKEN, "1 where the audit log is not what was seen and written, so that nothing is signed.");
    describe_gauge!(AUDIT_EXPORT_LAG, "Rows of the audit log that a receiver has not taken yet, by export.");
    describe_gauge!(AUDIT_EXPORT_AGE, Unit::Seconds, "How old the first of them is, where it was refused, by export.");
    describe_counter!(AUDIT_EXPORT_ROWS, "Rows of the audit log by export and result: delivered, or missing.");
    describe_counter!(AUDIT_EXPORT_FAILURES, "Attempts to export the audit log that failed, by export.");
    describe_gauge!("askonce_judgement_error", "Estimated wrong hits over requests, of all scopes.");
    describe_gauge!("askonce_judgement_error_upper", "Upper bound of it, 95 %, one-sided.");
    describe_gauge!(
        "askonce_judgement_lambda",
        "A candidate is served if 1 less its probability is at most this, by error_budget."
    );
    describe_gauge!("askonce_judgement_scopes", "Scopes that the judgement knows.");
    describe_gauge!("askonce_judgement_scopes_fallback", "Of those, scopes that serve by words only for now.");
    describe_gauge!("askonce_judgement_labels", "Labels that are kept.");
    describe_gauge!("askonce_cache_wrong", "Entries that left because their answers were wrong since the start.");
    describe_counter!(FLIGHT_WAITS, "Requests that waited for an identical one in flight, by how that ended.");
    describe_counter!(UPSTREAM_ATTEMPTS, "Requests sent to providers, by outcome.");
    describe_counter!(GUARDRAILS, "What guardrails found, by guardrail, action and direction.");
    describe_counter!(RETRIES, "Attempts at a target that had failed the same request, by provider.");
    describe_counter!(FALLBACKS, "Attempts at another target after one had failed, by provider.");
    describe_counter!(HEDGES, "Second attempts beside a slow first one, by provider: begun, and won of these.");
    describe_counter!(BREAKER_TURNS, "How often a lane was left alone, and taken back: opened, closed.");
    describe_counter!(ROLL_BACKS, "How often a target on trial (`canary`) was rolled back.");
    describe_counter!(
        BUDGET_ALERTS,
        "Budgets that were told of: a soft limit that was reached, or a request that was refused."
    );
    describe_gauge!(BREAKER, "A lane's breaker: 0 closed, 1 half open, 2 open.");
    describe_counter!(RECORDED, "Lines of the recording, by result: written, dropped, failed.");
    describe_counter!(
        USAGE_RECORDS,
        "Records of requests that have ended, by result: taken, dropped, bodies_dropped, log_dropped."
    );
    describe_counter!(CONDITION_ERRORS, "Conditions of targets that could not be told, by model and provider.");
    describe_counter!(SHADOW_REQUESTS, "Requests drawn for the shadow of a model, by outcome.");
    describe_counter!(
        SHADOW_COMPARISONS,
        "Answers of shadows that were compared, by who could tell and what they said."
    );
    describe_counter!(SHADOW_TOKENS, "Tokens that providers counted for shadows, by gen_ai_token_type.");
    describe_counter!(
        SHADOW_COST,
        "Millionths of a US dollar that answers of shadows cost, where prices are known; they are in no other count."
    );
    describe_counter!(SHADOW_LABELS, "Lines of the labels of shadows, by result: written, dropped, full, failed.");
    describe_counter!(RELOADS, "Configuration reloads, by outcome.");
    describe_counter!(SECRETS, "Secrets read from their stores, by store and outcome: read, changed, failed.");
    describe_gauge!("askonce_cache_entries", "Stored answers.");
    describe_gauge!("askonce_cache_bytes", Unit::Bytes, "Bytes that stored answers are charged with.");
    describe_gauge!("askonce_cache_evicted", "Entries that left for room since the start.");
    describe_gauge!("askonce_cache_expired", "Entries that left because they had expired since the start.");
    describe_gauge!("askonce_cache_write_errors", "Changes that could not be written to disk since the start.");
    describe_gauge!("askonce_index_vectors", "Vectors in the index.");
    describe_gauge!("askonce_index_scopes", "Scopes that hold vectors.");
    describe_gauge!("askonce_index_bytes", Unit::Bytes, "Bytes of the index in memory, about.");
    describe_counter!(
        EMBEDDED_TEXTS,
        "Texts that the sentence model gave a vector; what the memo knew is not counted."
    );
    describe_counter!(EMBEDDED_TRUNCATED, "Of those, texts whose end was left out.");
    describe_counter!(EMBEDDED_TOKENS, "Tokens that the sentence model computed, without padding.");
    describe_counter!(EMBEDDING_BATCHES, "Passes of the sentence model, by how many rows went together.");
    describe_counter!(EMBEDDING_MEMO, "Texts looked up in the embedder's memo, by outcome.");
    describe_gauge!("askonce_embedding_queued", "Texts that wait to be embedded.");
    describe_gauge!("askonce_embedding_memo_entries", "Texts whose vectors are remembered.");
    describe_gauge!("askonce_embedding_memo_bytes", Unit::Bytes, "Bytes that they are charged with.");
    describe_gauge!(QUEUE_WAITING, "Requests in line for a busy target.");
    describe_histogram!(QUEUE_WAIT, Unit::Seconds, "Time in line for a busy target, by how it ended.");
    describe_counter!(QUEUE_REFUSED, "Requests that could not wait in line, by why: full, tenant_full, too_late.");
    describe_gauge!("askonce_requests_in_flight", "Requests being served now.");
}

/// Who and what a request was about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The door.
    pub surface: Surface,
    /// The model, as the caller named it, once a plan for it was found; else `unknown`, so that callers cannot fill the
    /// registry with names.
    pub model: &'a str,
    /// Who answered.
    pub provider: &'a str,
}

impl<'a> About<'a> {
    fn operation(self) -> (&'static str, &'a str) {
        ("gen_ai_operation_name", self.surface.operation())
    }

    fn model(self) -> (&'static str, &'a str) {
        (MODEL, self.model)
    }

    fn provider(self) -> (&'static str, &'a str) {
        (PROVIDER, self.provider)
    }
}

/// A request's reply has ended.
pub fn request_ended(about: About<'_>, took: Duration, cache: &'static str, error: Option<&Error>) {
    let error = error.map_or(Cow::Borrowed(""), Error::word);
    let labels = [about.operation(), about.model(), about.provider(), ("cache", cache), ("error_type", &error)];
    record(REQUEST_DURATION, &labels, took.as_secs_f64());
}

/// The first words of a streamed reply went out.
pub fn first_token(about: About<'_>, took: Duration, cache: &'static str) {
    let labels = [about.operation(), about.model(), about.provider(), ("cache", cache)];
    record(FIRST_TOKEN, &labels, took.as_secs_f64());
}

/// A streamed reply of `tokens` output tokens took `took` from its first words to its end.
pub fn per_token(about: About<'_>, took: Duration, tokens: u64) {
    if tokens > 1 {
        let labels = [about.operation(), about.model(), about.provider()];
        record(PER_TOKEN, &labels, took.as_secs_f64() / (tokens - 1) as f64);
    }
}

/// A provider counted tokens.
pub fn token_usage(about: About<'_>, usage: Usage) {
    for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
        let labels = [about.operation(), about.model(), about.provider(), ("gen_ai_token_type", kind)];
        record(TOKEN_USAGE, &labels, tokens as f64);
    }
    for (kind, tokens) in kinds(usage) {
        count(TOKENS_TOTAL, &[about.model(), about.provider(), ("gen_ai_token_type", kind)], tokens);
    }
}

/// Tokens by their kind. The kinds of parts are called as the attributes `gen_ai.usage.cache_read.input_tokens`,
/// `gen_ai.usage.cache_creation.input_tokens` and `gen_ai.usage.reasoning.output_tokens` of the conventions are; parts that
/// there are none of are left out.
fn kinds(usage: Usage) -> impl Iterator<Item = (&'static str, u64)> {
    let whole = [("input", usage.input_tokens), ("output", usage.output_tokens)];
    let parts = [
        ("cache_read_input", usage.cached_tokens),
        ("cache_creation_input", usage.cache_write_tokens),
        ("reasoning_output", usage.reasoning_tokens),
    ];
    whole.into_iter().chain(parts.into_iter().filter(|(_, tokens)| *tokens > 0))
}

/// An answer of a provider cost this much.
pub fn cost(about: About<'_>, cost: MicroUsd) {
    count(COST, &[about.model(), about.provider()], cost.0);
}

/// A provider's reply has ended.
pub fn upstream_ended(about: About<'_>, took: Duration, error: Option<&Error>) {
    let error = error.map_or(Cow::Borrowed(""), Error::word);
    let labels = [about.operation(), about.model(), about.provider(), ("error_type", &error)];
    record(UPSTREAM_DURATION, &labels, took.as_secs_f64());
    count(UPSTREAM_ATTEMPTS, &[about.provider(), ("error_type", &error)], 1);
}

/// A target that had failed a request is tried with it again.
pub fn retried(provider: &str) {
    counter!(RETRIES, "gen_ai_provider_name" => provider.to_owned()).increment(1);
}

/// A request that failed elsewhere is sent to this provider.
pub fn fell_back(provider: &str) {
    counter!(FALLBACKS, "gen_ai_provider_name" => provider.to_owned()).increment(1);
}

/// A second attempt beside a slow one: `begun`, or `won`.
pub fn hedged(provider: &str, outcome: &'static str) {
    counter!(HEDGES, "gen_ai_provider_name" => provider.to_owned(), "outcome" => outcome).increment(1);
}

/// One way to a model, as the configuration names it: labels that callers cannot add to.
#[derive(Clone, Copy, Debug)]
pub struct OfLane<'a> {
    /// The provider.
    pub provider: &'a str,
    /// What the provider calls the model; `None` for all that the configuration does not name.
    pub model: Option<&'a str>,
    /// The key's name, where the provider has keys.
    pub key: Option<&'a str>,
}

/// A lane is left alone (`opened`), or taken back (`closed`).
pub fn breaker_turned(lane: OfLane<'_>, turn: &'static str) {
    counter!(BREAKER_TURNS,
        "gen_ai_provider_name" => lane.provider.to_owned(), "model" => lane.model.unwrap_or_default().to_owned(),
        "key" => lane.key.unwrap_or_default().to_owned(), "turn" => turn)
    .increment(1);
}

/// A target on trial has failed too often.
pub fn rolled_back(provider: &str, model: &str) {
    counter!(ROLL_BACKS, "gen_ai_provider_name" => provider.to_owned(), "model" => model.to_owned()).increment(1);
}

/// A lane's breaker is closed (0), half open (1), or open (2).
pub fn breaker_state(lane: OfLane<'_>, state: u8) {
    gauge!(BREAKER,
        "gen_ai_provider_name" => lane.provider.to_owned(), "model" => lane.model.unwrap_or_default().to_owned(),
        "key" => lane.key.unwrap_or_default().to_owned())
    .set(f64::from(state));
}

/// Somebody is told of a budget.
pub fn budget_alert(kind: &'static str) {
    counter!(BUDGET_ALERTS, "kind" => kind).increment(1);
}

/// A lookup found an answer.
pub fn hit(tier: Tier, similarity: Option<f32>) {
    count(LOOKUPS, &[("outcome", "hit"), ("tier", tier.as_str()), ("reason", "")], 1);
    if let Some(similarity) = similarity {
        record(SIMILARITY, &[("outcome", "hit")], f64::from(similarity));
    }
}

/// A lookup found none.
pub fn miss(reason: MissReason, similarity: Option<f32>) {
    count(LOOKUPS, &[("outcome", "miss"), ("tier", ""), ("reason", reason.as_str())], 1);
    if let Some(similarity) = similarity {
        record(SIMILARITY, &[("outcome", "miss")], f64::from(similarity));
    }
}

/// An answer past its time was served.
pub fn stale(tier: Tier, reason: StaleReason) {
    count(LOOKUPS, &[("outcome", "stale"), ("tier", tier.as_str()), ("reason", reason.as_str())], 1);
}

/// A fresh answer was to be fetched in the background: it was begun, or there were too many already.
pub fn revalidation(begun: bool) {
    counter!(REVALIDATIONS, "outcome" => if begun { "begun" } else { "no_place" }).increment(1);
}

/// Entries that left for room since the start, by what there was no room in.
pub fn evicted(by_reason: [(&'static str, u64); 3]) {
    for (reason, count) in by_reason {
        counter!(EVICTIONS, "reason" => reason).absolute(count);
    }
}

/// The cache was not asked.
pub fn bypass(reason: BypassReason) {
    count(LOOKUPS, &[("outcome", "bypass"), ("tier", ""), ("reason", reason.as_str())], 1);
}

/// The guardrail `name` found something, once for a request or an answer.
pub fn guardrail(name: &str, action: &'static str, direction: &'static str) {
    counter!(GUARDRAILS, "guardrail" => name.to_owned(), "action" => action, "direction" => direction).increment(1);
}

/// The audit log is not what was seen and written.
pub fn audit_broken() {
    gauge!(AUDIT_BROKEN).set(1.0);
}

/// So many rows have not been taken by the export's receiver yet; the first of them is so many seconds old.
pub fn audit_export_lag(export: &str, rows: u64, seconds: f64) {
    gauge!(AUDIT_EXPORT_LAG, "export" => export.to_owned()).set(rows as f64);
    gauge!(AUDIT_EXPORT_AGE, "export" => export.to_owned()).set(seconds);
}

/// Rows were `delivered` to a receiver, or are `missing` there for good.
pub fn audit_export_rows(export: &str, result: &'static str, rows: u64) {
    counter!(AUDIT_EXPORT_ROWS, "export" => export.to_owned(), "result" => result).increment(rows);
}

/// A receiver did not take rows.
pub fn audit_export_failed(export: &str) {
    counter!(AUDIT_EXPORT_FAILURES, "export" => export.to_owned()).increment(1);
}

/// A step of a lookup took this long.
pub fn lookup_step(step: &'static str, took: Duration) {
    record(LOOKUP_DURATION, &[("step", step)], took.as_secs_f64());
}

/// What became of a fresh answer.
pub fn stored(result: Result<(), NotStored>) {
    let word = match result {
        Ok(()) => "stored",
        Err(why) => why.as_str(),
    };
    count(STORED, &[("result", word)], 1);
}

/// A hit spared this much.
pub fn saved(usage: Option<Usage>, cost: Option<MicroUsd>) {
    if let Some(usage) = usage {
        for (kind, tokens) in kinds(usage) {
            count(SAVED_TOKENS, &[("gen_ai_token_type", kind)], tokens);
        }
    }
    if let Some(cost) = cost {
        gauge!(SAVED).increment(cost.0 as f64 / 1e6);
    }
}

/// A line of the recording: `written`, `dropped` for want of room, or `failed`.
pub fn recorded(result: &'static str) {
    counter!(RECORDED, "result" => result).increment(1);
}

/// The record of a request: `taken`, or `dropped` for want of room; its bodies, or its place in the log.
pub fn usage_record(result: &'static str) {
    count(USAGE_RECORDS, &[("result", result)], 1);
}

/// A request waited for an identical one; how that ended.
pub fn flight_wait(end: &'static str) {
    counter!(FLIGHT_WAITS, "end" => end).increment(1);
}

/// The learned judgement decided.
pub fn judged(reason: &'static str) {
    counter!(DECISIONS, "reason" => reason).increment(1);
}

/// A fresh answer was compared with a stored one: `right`, `wrong`, `undecided`, or `dropped` before that.
pub fn labelled(source: &'static str, judge: &'static str, result: &'static str) {
    counter!(LABELS, "source" => source, "judge" => judge, "result" => result).increment(1);
}

/// A hit is to be checked: it was begun, or there were too many already.
pub fn check(begun: bool) {
    counter!(CHECKS, "outcome" => if begun { "begun" } else { "no_place" }).increment(1);
}

/// The fresh answer of a check has come.
pub fn checked(cost: Option<MicroUsd>) {
    counter!(CHECKS, "outcome" => "answered").increment(1);
    if let Some(cost) = cost {
        gauge!(JUDGEMENT_COST, "call" => "shadow").increment(cost.0 as f64 / 1e6);
    }
}

/// The model that compares answers was asked, or was not to be.
pub fn judge_call(outcome: &'static str) {
    counter!(JUDGE_CALLS, "outcome" => outcome).increment(1);
}

/// The model that compares answers was paid.
pub fn judge_paid(cost: Option<MicroUsd>) {
    if let Some(cost) = cost {
        gauge!(JUDGEMENT_COST, "call" => "judge").increment(cost.0 as f64 / 1e6);
    }
}

/// A caller said what it thinks of an answer.
pub fn feedback(said: &'static str, result: &'static str) {
    counter!(FEEDBACK, "said" => said, "result" => result).increment(1);
}

/// λ of an error budget.
pub fn lambda(error_budget: f64, lambda: f32) {
    gauge!("askonce_judgement_lambda", "error_budget" => error_budget.to_string()).set(f64::from(lambda));
}

/// The condition of a target could not be told. `model` is the configured one, which callers cannot invent.
pub fn condition_failed(model: &str, provider: &str) {
    let (model, provider) = (model.to_owned(), provider.to_owned());
    counter!(CONDITION_ERRORS, "gen_ai_request_model" => model, "gen_ai_provider_name" => provider).increment(1);
}

/// The shadow of a model, as they are configured: labels that callers cannot add to.
#[derive(Clone, Copy, Debug)]
pub struct OfShadow<'a> {
    /// The model.
    pub model: &'a str,
    /// The shadow's provider.
    pub provider: &'a str,
}

/// A request was drawn for a shadow: `answered`, `failed` with that error's word, or not sent, and why.
pub fn shadow_request(of: OfShadow<'_>, outcome: &'static str, error: &str) {
    counter!(SHADOW_REQUESTS,
        "gen_ai_request_model" => of.model.to_owned(), "gen_ai_provider_name" => of.provider.to_owned(),
        "outcome" => outcome, "error_type" => error.to_owned())
    .increment(1);
}

/// A shadow has answered.
pub fn shadow_answered(of: OfShadow<'_>, usage: Option<Usage>, cost: Option<MicroUsd>) {
    for (kind, tokens) in usage.into_iter().flat_map(kinds) {
        counter!(SHADOW_TOKENS,
            "gen_ai_request_model" => of.model.to_owned(), "gen_ai_provider_name" => of.provider.to_owned(),
            "gen_ai_token_type" => kind)
        .increment(tokens);
    }
    if let Some(cost) = cost {
        counter!(SHADOW_COST,
            "gen_ai_request_model" => of.model.to_owned(), "gen_ai_provider_name" => of.provider.to_owned())
        .increment(cost.0);
    }
}

/// The answer of a shadow was compared with the real one: `same`, `different`, or `undecided`.
pub fn shadow_compared(of: OfShadow<'_>, judge: &'static str, result: &'static str) {
    counter!(SHADOW_COMPARISONS,
        "gen_ai_request_model" => of.model.to_owned(), "gen_ai_provider_name" => of.provider.to_owned(),
        "judge" => judge, "result" => result)
    .increment(1);
}

/// A label of a shadow: `written`, `dropped` for want of room in line, its file is `full`, or it `failed`.
pub fn shadow_label(result: &'static str) {
    counter!(SHADOW_LABELS, "result" => result).increment(1);
}

/// A request came whose conditions ask about its question, and how the vector of that was had.
pub fn insight(outcome: &'static str) {
    counter!(CONDITION_QUESTIONS, "outcome" => outcome).increment(1);
}

/// The configuration was read again.
pub fn reloaded(ok: bool) {
    counter!(RELOADS, "outcome" => if ok { "ok" } else { "refused" }).increment(1);
}

/// So many of what was made at the admin surface is not in force, though it should be.
pub fn definitions_left_out(count: usize) {
    #[allow(clippy::cast_precision_loss, reason = "there are a few thousand at most")]
    gauge!(DEFINITIONS_LEFT_OUT).set(count as f64);
}

/// A secret was read from its store, is another than before, or could not be read.
pub fn secret_refreshed(store: &'static str, outcome: &'static str) {
    counter!(SECRETS, "store" => store, "outcome" => outcome).increment(1);
}

/// What the sentence model has done since the start.
pub fn embedded(texts: u64, truncated: u64, tokens: u64) {
    counter!(EMBEDDED_TEXTS).absolute(texts);
    counter!(EMBEDDED_TRUNCATED).absolute(truncated);
    counter!(EMBEDDED_TOKENS).absolute(tokens);
}

/// Passes of the sentence model since the start, by their rows.
pub fn embedding_batches(batches: &[u64; 7]) {
    const ROWS: [&str; 7] = ["1", "2", "3-4", "5-8", "9-16", "17-32", "33+"];
    for (rows, count) in ROWS.into_iter().zip(batches) {
        counter!(EMBEDDING_BATCHES, "rows" => rows).absolute(*count);
    }
}

/// Texts that the embedder's memo knew since the start, and those it did not.
pub fn embedding_memo(hits: u64, misses: u64) {
    counter!(EMBEDDING_MEMO, "outcome" => "hit").absolute(hits);
    counter!(EMBEDDING_MEMO, "outcome" => "miss").absolute(misses);
}

/// Requests being served now.
pub fn in_flight(change: i64) {
    gauge!("askonce_requests_in_flight").increment(change as f64);
}

/// A request waits in line for a busy target.
pub fn queued() {
    gauge!(QUEUE_WAITING).increment(1.0);
}

/// It waits no more: it was `served`, its `timeout` had come, or it `left`.
pub fn queue_left(end: &'static str, waited: Duration) {
    gauge!(QUEUE_WAITING).decrement(1.0);
    histogram!(QUEUE_WAIT, "end" => end).record(waited.as_secs_f64());
}

/// A request could not wait: the line was `full`, its tenant's `tenant_full`, or its turn would have come `too_late`.
pub fn queue_refused(reason: &'static str) {
    counter!(QUEUE_REFUSED, "reason" => reason).increment(1);
}

/// Sets a gauge that is read off when `/metrics` is asked.
pub fn set(name: &'static str, value: f64) {
    gauge!(name).set(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_tokens_are_counted_where_there_are_some() {
        assert_eq!(kinds(Usage::new(3, 0)).collect::<Vec<_>>(), [("input", 3), ("output", 0)]);
        let usage = Usage { cached_tokens: 2, cache_write_tokens: 1, reasoning_tokens: 4, ..Usage::new(3, 5) };
        let parts: Vec<_> = kinds(usage).skip(2).collect();
        assert_eq!(parts, [("cache_read_input", 2), ("cache_creation_input", 1), ("reasoning_output", 4)]);
        let handle = PrometheusBuilder::new().build_recorder();
        let about = About { surface: Surface::ChatCompletions, model: "priced", provider: "p" };
        metrics::with_local_recorder(&handle, || {
            token_usage(about, usage);
            cost(about, MicroUsd(7));
            cost(about, MicroUsd(5));
        });
        let text = handle.handle().render();
        // The model may be called `other`: another test fills the registry.
        for (name, kind, count) in [
            ("askonce_cost_micro_usd_total", "", "12"),
            ("askonce_tokens_total", "gen_ai_token_type=\"reasoning_output\"", "4"),
            ("askonce_tokens_total", "gen_ai_token_type=\"input\"", "3"),
        ] {
            let is_it =
                |line: &str| line.starts_with(name) && line.contains(kind) && line.ends_with(&format!("}} {count}"));
            assert!(text.lines().any(is_it), "{name} {kind} {count}\n{text}");
        }
    }
}
