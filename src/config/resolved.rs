//! The settings as used: plain structs with every default filled in, environment variables replaced, and every value
//! checked. Times are `Duration`s, sizes are bytes, secrets are [`Secret`]s. Engines build themselves from these.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::types::params::Param;
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use ipnet::IpNet;
use jiff::Timestamp;

pub use super::accounts::{Account, VirtualKey, read_account, read_virtual_key};
pub use super::admin::{Admin, AdminToken, Role};
pub use super::alerts::{AlertSettings, Webhook};
pub use super::allowance::Allowance;
pub use super::audit::AuditSettings;
pub use super::audit_export::{AuditExport, ExportTo, SyslogExport, WebhookExport};
pub use super::condition::Condition;
pub use super::guardrails::{
    GuardAction, GuardFailure, GuardModeration, GuardOn, GuardTopics, GuardWebhook, Guardrail, LooksFor, ModerationAt,
    Pii, SecretKind,
};
pub use super::insight::{Complexity, Topic};
pub use super::issuer::{ALGORITHMS, Claims, Issuer};
pub use super::judgement::Judge;
pub use super::keeping::{Quota, Share, Staleness};
pub use super::kinds::{
    AccountKind, After, Counted, Device, Eviction, ExportFormat, FollowUps, GraphKind, Judgement, Kernels, KeyPlace,
    LimitField, LogFormat, LogLevel, LongText, Measure, OnHangUp, Per, Pin, Precision, ProviderKind, RecordedPrompts,
    Replay, Reservation, Strategy, StreamUsage, Strictness, SyslogProtocol,
};
pub use super::known::{KnownProvider, known_providers};
pub use super::prices::{ListPrice, OwnPrice, list_price, list_price_of, list_prices};
pub use super::queue::Queue;
pub use super::recording::Recording;
pub use super::references::{Draft, Referred, SharedEnv};
pub use super::responses::Responses;
pub use super::rights::{CacheRights, Rights};
pub use super::secrets::{AwsSecrets, AzureSecrets, GcpSecrets, Secrets, Vault, VaultAuth};
pub use super::shadow::Shadow;
pub use super::sso::Sso;
pub use super::store::{Store, master_key};
pub use super::usage::{RequestLog, Usage};
pub use crate::types::money::Price;

/// Everything that the process needs to know to start.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Where to listen: `host:port`. The host may be a name or an address; an IPv6 address is in brackets.
    pub listen: String,
    /// The folder that holds the store, the cache and the downloaded models.
    pub data_dir: PathBuf,
    /// What is logged, and how.
    pub log: Log,
    /// Who may call.
    pub auth: Auth,
    /// Where secrets are that are referred to.
    pub secrets: Secrets,
    /// What the database is written with.
    pub store: Store,
    /// Who pays, in the order written.
    pub accounts: Vec<Account>,
    /// What is reserved for an answer.
    pub reservation: Reservation,
    /// From where `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whom to tell of budgets.
    pub alerts: AlertSettings,
    /// What is kept of who did what.
    pub audit: AuditSettings,
    /// Who may administer.
    pub admin: Admin,
    /// What one process takes on at most.
    pub limits: Limits,
    /// Where requests can be sent, in the order written.
    pub providers: Vec<Provider>,
    /// Providers that the operator added to the catalogue, in the order written.
    pub catalogue: Vec<Arc<KnownProvider>>,
    /// The provider of a model that no entry of `models` names and no provider lists. Always one of `providers`.
    pub default_provider: Option<String>,
    /// Models with a route or a price of their own, in the order written.
    pub models: Vec<Model>,
    /// What models cost where no entry of `models` says so, before the vendors' lists.
    pub prices: Vec<OwnPrice>,
    /// What questions may be about, for conditions of targets.
    pub topics: Vec<Topic>,
    /// How it is known which questions need the stronger model; `None`: it is not.
    pub complexity: Option<Complexity>,
    /// What is looked for in requests and answers, in the order written.
    pub guardrails: Vec<Guardrail>,
    /// When and how often a target is tried again.
    pub retry: Retry,
    /// When a target that keeps failing is left alone.
    pub breaker: Breaker,
    /// Requests that wait for a busy target.
    pub queue: Queue,
    /// The sentence model.
    pub embedding: Embedding,
    /// The index of vectors.
    pub index: Index,
    /// What is cached, and how an answer is found again.
    pub cache: Cache,
    /// Responses that later requests may go on from.
    pub responses: Responses,
    /// Traffic as a trace; `None` records nothing.
    pub recording: Option<Recording>,
    /// Sums of what was used.
    pub usage: Usage,
    /// The log of requests; `None` keeps none.
    pub request_log: Option<RequestLog>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least severe level that is written.
    pub level: LogLevel,
    /// Whether the texts of prompts and answers may appear in the log.
    pub prompts: bool,
}

/// Who may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    /// Whether callers without a key are let in. With keys and `open`, a key that is given still has to be right.
    pub open: bool,
    /// The keys that callers may show. Names and keys are unique.
    pub keys: Vec<CallerKey>,
    /// Identity providers whose tokens callers may show instead. Names are unique.
    pub issuers: Vec<Issuer>,
}

/// One key that callers may show.
#[derive(Debug, Clone, PartialEq)]
pub struct CallerKey {
    /// What logs and metrics call this key.
    pub name: String,
    /// The key itself, at least [`super::MIN_KEY_CHARS`] characters of visible ASCII.
    pub key: Secret,
    /// Whose answers this key shares. Keys of one tenant share cached answers; no others do.
    pub tenant: String,
    /// Whose key it is. `None`: nobody's.
    pub account: Option<String>,
    /// It is a key until then. `None`: until it is taken out.
    pub expires: Option<Timestamp>,
    /// What it may ask for, and how much.
    pub rights: Rights,
}

/// What one process takes on at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// The largest form, in bytes: files and recordings come as such. Never less than `body_bytes`.
    pub upload_bytes: usize,
    /// How many requests may be in flight at once, process-wide.
    pub in_flight: usize,
    /// How long a caller may take to send the head of a request.
    pub header_timeout: Duration,
    /// How long one request may take as a whole, its stream included.
    pub request_timeout: Duration,
    /// How long requests in flight get to finish at shutdown.
    pub shutdown_timeout: Duration,
}

/// One place where requests can be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// What models, logs and metrics call it. Unique.
    pub name: String,
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// What the catalogue calls it, where its kind is a name of the catalogue or one that stands there too.
    pub catalogue: Option<String>,
    /// Whether it answers where the catalogue says, so that its list prices hold.
    pub list_prices: bool,
    /// Where it answers: `http` or `https`, without a slash at the end, user information, query or fragment. Empty for
    /// [`ProviderKind::Demo`], which answers inside the process, and for [`ProviderKind::Vertex`] and
    /// [`ProviderKind::Bedrock`], whose regions have addresses of their own, unless one was written.
    ///
    /// Of those that speak OpenAI's wire this is the part before `/chat/completions`, so that it usually ends in `/v1`;
    /// of the other kinds it is the part before the version.
    pub base_url: String,
    /// The key that it wants.
    pub api_key: Option<Secret>,
    /// The header that holds the key, in lower case. `None`: it is a bearer token.
    pub key_header: Option<String>,
    /// The path of the list of its models below `base_url`. `None`: it has none.
    pub models_path: Option<String>,
    /// Headers to send along, by lower-case name. Their values are secrets, because they often hold keys.
    pub headers: BTreeMap<String, Secret>,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long the first byte of the reply may take, counted from the request's last byte.
    pub first_byte_timeout: Duration,
    /// How long the reply may pause between two reads.
    pub idle_timeout: Duration,
    /// The models it is known to have. Empty: ask it.
    pub models: Vec<String>,
    /// The surfaces that it serves as they come; other conversations are translated. Empty: those of its kind.
    /// Where nothing is written, what the catalogue knows of it is added to those that everyone has.
    pub surfaces: Vec<Surface>,
    /// Further keys, and what each is for.
    pub keys: Vec<ProviderKey>,
    /// How it is signed in to, where it belongs to a cloud.
    pub cloud: Cloud,
    /// The proxy it is reached through.
    pub proxy: Proxy,
    /// Certificates beside those of the system.
    pub tls: Tls,
    /// What it does differently from others of its wire.
    pub quirks: Quirks,
    /// Whether to ask for the usage at the end of a stream where the caller did not (`stream_options.include_usage`).
    pub stream_usage: bool,
}

/// One of several keys of a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderKey {
    /// What logs and metrics call it. Unique within its provider.
    pub name: String,
    /// The key.
    pub key: Secret,
    /// Its share of the requests beside the others; above 0.
    pub weight: f64,
    /// The provider's models that it is for. Empty: all.
    pub models: Vec<String>,
    /// What it may be used for at most.
    pub limits: KeyLimits,
}

/// What a key may be used for at most. `None`: no limit of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests begun within any minute. At least 1.
    pub requests_per_minute: Option<usize>,
    /// Requests under way at a time, their replies included. At least 1.
    pub concurrent: Option<usize>,
}

/// The proxy that a provider is reached through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// What the environment says (`HTTPS_PROXY` and the like), but none for this machine.
    #[default]
    Environment,
    /// None.
    None,
    /// This one: `http://host:port`, perhaps with user name and password in it.
    At(Secret),
}

/// Certificates for the connections to a provider, as files in PEM form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificate authorities that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The certificate that says who calls, with those that vouch for it behind it.
    pub client_cert_file: Option<PathBuf>,
    /// Its private key. There where the certificate is.
    pub client_key_file: Option<PathBuf>,
}

/// What a provider does differently from others of its wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quirks {
    /// The field for the longest answer, where it understands only one.
    pub limit_field: Option<LimitField>,
    /// When it tells the usage of a stream, where that is known.
    pub stream_usage: Option<StreamUsage>,
    /// Request fields that it answers with an error, such as `logit_bias` and `messages[].name`. They are not sent.
    pub refuses: Vec<String>,
}

/// How a provider that belongs to a cloud is signed in to. Which fields are there depends on its kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cloud {
    /// The region, as in `us-east-1` and `europe-west4`.
    pub region: Option<String>,
    /// Google: the project.
    pub project: Option<String>,
    /// Azure: the version of its API, as in `2024-10-21`. Anthropic: its own, as in `2023-06-01`.
    pub api_version: Option<String>,
    /// AWS: the id of the access key.
    pub access_key_id: Option<Secret>,
    /// AWS: the access key.
    pub secret_access_key: Option<Secret>,
    /// AWS: the token of a temporary access key.
    pub session_token: Option<Secret>,
    /// AWS: the role that is taken on, by STS.
    pub role_arn: Option<String>,
    /// AWS: what the role's trust policy asks for.
    pub external_id: Option<Secret>,
    /// Google: the file of a service account's key, or of application default credentials.
    pub credentials_file: Option<PathBuf>,
    /// Azure: the Entra tenant.
    pub tenant_id: Option<String>,
    /// Azure: the application in it.
    pub client_id: Option<String>,
    /// Azure: the application's secret.
    pub client_secret: Option<Secret>,
    /// Where tokens are fetched, in place of the cloud's own address: STS, Google's token endpoint, Entra.
    pub token_url: Option<String>,
}

/// A model with a route or a price of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What callers call it. Unique. One `*` stands for any text.
    pub name: String,
    /// What callers may call it, too. Unique among all names.
    pub aliases: Vec<String>,
    /// How its targets share the requests.
    pub strategy: Strategy,
    /// When a second attempt is made beside a slow one. `None`: never.
    pub hedge: Option<Hedge>,
    /// Where it is to be had, the first choice first. Never empty.
    pub targets: Vec<Target>,
    /// What it costs, where that is known.
    pub price: Option<Price>,
    /// The longest answer that it gives, in tokens, where that is known: so much is reserved for a request that names no most.
    pub max_output_tokens: Option<u64>,
    /// Another target that some of its requests are sent to as well, to compare.
    pub shadow: Option<Shadow>,
}

/// One provider that has a model, and the name it has there.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The name of one of [`Resolved::providers`].
    pub provider: String,
    /// What the provider calls the model. A `*` stands for what the `*` of the model's name stood for.
    pub model: String,
    /// The name of the only one of the provider's keys that it is asked with. `None`: any.
    pub key: Option<String>,
    /// Its share of its tier's requests, against those of the others; above 0.
    pub weight: f64,
    /// Lower tiers are asked first.
    pub tier: u32,
    /// It is asked only after another target failed in one of these ways. Empty: always.
    pub after: Vec<After>,
    /// Requests that it is sent at a time. `None`: no limit of ours.
    pub max_in_flight: Option<u32>,
    /// How long it may take to the first piece of its answer. `None`: the provider's time for the first byte.
    pub first_token_timeout: Option<Duration>,
    /// Whether it takes part in a request. `None`: in all.
    pub when: Option<Condition>,
    /// Fields that are set in the requests to it.
    pub params: Vec<Param>,
    /// It is on trial: it gets a share of the requests and is rolled back where it fails. `None`: it is like the others.
    pub canary: Option<Canary>,
}

/// The share of requests that a target on trial gets, and when it gets none any more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Canary {
    /// Its share, in percent.
    pub percent: f64,
    /// So many of a hundred requests may fail.
    pub error_percent: f64,
    /// It is not judged by fewer requests.
    pub min_requests: u32,
}

/// When a second attempt is made beside a slow one, and how often at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hedge {
    /// A first attempt is slow after the time within which this share of first tokens came.
    pub share: f64,
    /// It is not slow before this.
    pub at_least: Duration,
    /// Second attempts as a share of requests, in percent.
    pub budget_percent: u32,
}

/// When a target that keeps failing is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures in a row, or as large a share of failures.
    pub failures: u32,
    /// How long it is left alone at first; that doubles each time that it is found failing again.
    pub open: Duration,
    /// The longest such time.
    pub open_max: Duration,
    /// How long its share takes to grow back.
    pub slow_start: Duration,
    /// How often the provider of one that is left alone is asked for its model list; `None`: not at all.
    pub probe_interval: Option<Duration>,
}

/// When and how often a target is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries per target, the first included. At least 1.
    pub attempts: u32,
    /// The wait before the second try; it doubles with each one more.
    pub backoff: Duration,
    /// The longest such wait.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is waited out. A longer one makes the router go on to the next target.
    pub retry_after_max: Duration,
    /// Retries as a share of requests, in percent. Beyond it a failure is final.
    pub budget_percent: u32,
    /// How long all tries at all targets may take together.
    pub total_timeout: Duration,
}

/// The sentence model, and how it is fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedding {
    /// The name of a model in the manifest.
    pub model: String,
    /// A folder that already holds the model's files. Nothing is then downloaded.
    pub model_dir: Option<PathBuf>,
    /// What it runs on.
    pub device: Device,
    /// Its arithmetic. Vectors of different ones are never compared.
    pub precision: Option<Precision>,
    /// The instructions it runs on.
    pub kernels: Kernels,
    /// Threads that embed. At least 1.
    pub threads: usize,
    /// The cores they are bound to.
    pub pin: Pin,
    /// The most tokens in one batch, as the model computes them.
    pub batch_tokens: usize,
    /// How long a batch that is not full waits for company. Zero: not at all.
    pub batch_wait: Duration,
    /// How many texts may wait for a batch. Beyond it a lookup goes without the semantic tier.
    pub queue: usize,
    /// How many bytes of texts may wait for a batch. Beyond it a lookup goes without the semantic tier.
    pub queue_bytes: usize,
    /// What becomes of a text that is longer than the model reads at once.
    pub long_text: LongText,
    /// How many windows of a long text are read at most.
    pub max_windows: usize,
    /// Bytes of texts and vectors that are remembered. Zero: none.
    pub memo_bytes: usize,
    /// How long one text may wait and be embedded. Beyond it the lookup goes without the semantic tier.
    pub deadline: Duration,
}

/// The index of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// The graph of a large scope.
    pub graph: GraphKind,
    /// Candidates that a lookup in a graph keeps. At least 1.
    pub ef_search: usize,
    /// Threads that build graphs; 0 is half the processors.
    pub threads: usize,
}

/// What is cached, and how an answer is found again.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Whether anything is cached at all.
    pub enabled: bool,
    /// How long an entry may be served.
    pub ttl: Duration,
    /// What all entries may take in memory, in bytes.
    pub memory_bytes: u64,
    /// The largest answer that is cached, in bytes.
    pub max_answer_bytes: u64,
    /// Whether the normalised tier is on.
    pub normalised: bool,
    /// The semantic tier.
    pub semantic: Semantic,
    /// Wrong hits over all requests that the learned judgement may cost, above 0 and at most 0.2.
    pub error_budget: f64,
    /// The model that compares answers where cheaper judges cannot tell. `None`: nobody is asked.
    pub judge: Option<Judge>,
    /// How many answers feedback may be given on: the latest ones.
    pub feedback_answers: usize,
    /// Exceptions for a tenant, a model, or both. See [`Cache::rules_for`].
    pub overrides: Vec<CacheOverride>,
    /// Top-level request fields that do not tell requests apart.
    pub harmless_fields: Vec<String>,
    /// How long a request may wait for another that is fetching the same answer.
    pub flight_wait: Duration,
    /// Whether an answer that came through one surface of conversations may be served through another.
    pub share_across_surfaces: bool,
    /// What becomes of an answer whose caller hung up.
    pub on_hang_up: OnHangUp,
    /// How long past its `ttl` an entry may still be served when the providers fail. Zero: never.
    pub stale_if_error: Duration,
    /// How long past its time an entry may still be served while it is fetched anew (RFC 5861). Zero: not at all. An
    /// entry is never served stale for longer than it was fresh.
    pub stale_while_revalidate: Duration,
    /// How many entries are fetched anew at a time for that.
    pub revalidations: usize,
    /// What a stored answer costs its caller's budgets, in percent of what it would have cost.
    pub hit_cost_percent: u64,
    /// How soon an answer is out of date, by what its question says.
    pub staleness: Staleness,
    /// Which entries go for room.
    pub eviction: Eviction,
    /// What an hour of waiting for answers is worth beside their price, in US dollars, for [`Eviction::Cost`].
    pub wait_usd_per_hour: f64,
    /// What one scope and one tenant may take.
    pub quota: Quota,
    /// Beginnings of answers that count as refusals, lower case. None by default.
    pub refusal_phrases: Vec<String>,
    /// When entries reach the disk.
    pub sync: CacheSync,
}

/// The semantic tier: a reworded question may find the answer to an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct Semantic {
    /// Whether it is on.
    pub enabled: bool,
    /// What decides whether a near entry may be served.
    pub judgement: Judgement,
    /// The least cosine similarity that is served, 0.5 to 1. `None`: that of [`Judgement::Static`] is
    /// [`DEFAULT_THRESHOLD`], and [`Judgement::Learned`] has none.
    pub threshold: Option<f64>,
    /// Whether a differing number, identifier or date forbids a hit.
    pub veto: bool,
    /// How sure the learned judgement must be of no trap.
    pub strictness: Strictness,
    /// Hits that the learned judgement has checked by a fresh answer, over all hits, about; 0 to 0.5. Zero: none.
    pub shadow_calls: f64,
    /// Weights of the user's own training. `None`: those that ship.
    pub weights: Option<PathBuf>,
    /// How many near entries are looked at.
    pub candidates: usize,
    /// How long a request may wait for the answer to a near question that is being fetched. Zero: not at all.
    pub flight_wait: Duration,
    /// How the turns before the question count.
    pub follow_ups: FollowUps,
}

/// An exception from the cache's settings. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheOverride {
    /// The tenant it is for; `None` is every tenant. One of `tenant` and `model` is set.
    pub tenant: Option<String>,
    /// The model it is for, by the name that callers use; `None` is every model.
    pub model: Option<String>,
    /// In place of [`Cache::enabled`].
    pub enabled: Option<bool>,
    /// In place of [`Semantic::enabled`].
    pub semantic: Option<bool>,
    /// In place of [`Semantic::judgement`].
    pub judgement: Option<Judgement>,
    /// In place of [`Cache::error_budget`].
    pub error_budget: Option<f64>,
    /// In place of [`Semantic::strictness`].
    pub strictness: Option<Strictness>,
    /// In place of [`Semantic::threshold`].
    pub threshold: Option<f64>,
    /// In place of [`Semantic::follow_ups`].
    pub follow_ups: Option<FollowUps>,
    /// In place of [`Cache::ttl`].
    pub ttl: Option<Duration>,
}

/// When entries reach the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSync {
    /// How often written entries are synced to the disk. Zero: after each write.
    pub interval: Duration,
}

/// What the command line says in place of the file. `None` leaves the file's word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of [`Resolved::listen`].
    pub listen: Option<String>,
    /// In place of [`Resolved::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// In place of [`Embedding::model_dir`].
    pub model_dir: Option<PathBuf>,
    /// In place of [`Log::format`].
    pub log_format: Option<LogFormat>,
    /// In place of [`Log::level`].
    pub log_level: Option<LogLevel>,
}
