//! The settings as YAML again, every default written out and every secret masked.

mod access;
mod audit;
mod guardrails;
mod provider;
mod secrets;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::resolved::{
    Account, Allowance, Auth, Breaker, Cache, CacheRights, CallerKey, Embedding, Index, KnownProvider, Limits, Log,
    Measure, Model, Pin, Price, Recording, RequestLog, Resolved, Retry, Rights, Shadow, Share, Staleness, Target,
    Usage,
};
use super::size;
use crate::types::params::Param;
use crate::types::secret::Secret;

/// What stands in place of a secret.
const MASK: &str = "\"[secret]\"";

impl Resolved {
    /// These settings as YAML that can be read again, once its masked secrets are filled in.
    pub fn show(&self) -> String {
        let mut yaml = Yaml::default();
        yaml.line("listen", &text(&self.listen));
        if !self.trusted_proxies.is_empty() {
            let ranges: Vec<String> = self.trusted_proxies.iter().map(ToString::to_string).collect();
            yaml.line("trusted_proxies", &texts(&ranges));
        }
        yaml.line("data_dir", &path(&self.data_dir));
        yaml.map("log", |yaml| log(yaml, &self.log));
        yaml.list("accounts", &self.accounts, account);
        yaml.line("reservation", self.reservation.as_str());
        yaml.map("audit", |yaml| audit::audit(yaml, &self.audit));
        yaml.map("alerts", |yaml| {
            yaml.list("webhooks", &self.alerts.webhooks, |yaml, webhook| {
                yaml.line("url", &secret(&webhook.url));
                yaml.maybe("secret", webhook.secret.as_ref().map(secret));
            });
        });
        yaml.map("auth", |yaml| auth(yaml, &self.auth));
        access::admin(&mut yaml, &self.admin);
        yaml.map("limits", |yaml| limits(yaml, &self.limits));
        yaml.map("secrets", |yaml| secrets::secrets(yaml, &self.secrets));
        secrets::store(&mut yaml, &self.store);
        yaml.list("catalogue", &self.catalogue, |yaml, entry| known(yaml, entry));
        yaml.list("providers", &self.providers, provider::provider);
        if let Some(name) = &self.default_provider {
            yaml.line("default_provider", &text(name));
        }
        yaml.list("models", &self.models, model);
        yaml.list("prices", &self.prices, |yaml, own| {
            yaml.line("name", &text(&own.name));
            yaml.line("provider", &text(&own.provider));
            yaml.line("model", &text(&own.model));
            yaml.map("price", |yaml| price(yaml, &own.price));
        });
        yaml.list("topics", &self.topics, |yaml, topic| {
            yaml.line("name", &text(&topic.name));
            yaml.line("examples", &texts(&topic.examples));
            yaml.line("at_least", &topic.at_least.to_string());
        });
        if let Some(complexity) = &self.complexity {
            yaml.map("complexity", |yaml| yaml.line("file", &path(&complexity.file)));
        }
        yaml.list("guardrails", &self.guardrails, guardrails::guardrail);
        yaml.map("retry", |yaml| retry(yaml, &self.retry));
        yaml.map("breaker", |yaml| breaker(yaml, &self.breaker));
        yaml.map("queue", |yaml| {
            yaml.line("most", &self.queue.most.to_string());
            yaml.line("most_per_tenant", &self.queue.most_per_tenant.to_string());
            yaml.millis("timeout_ms", self.queue.timeout);
        });
        yaml.map("embedding", |yaml| embedding(yaml, &self.embedding));
        yaml.map("index", |yaml| index(yaml, self.index));
        yaml.map("cache", |yaml| cache(yaml, &self.cache));
        yaml.map("responses", |yaml| {
            yaml.line("most", &self.responses.most.to_string());
            yaml.line("memory_bytes", &size::format(self.responses.memory_bytes as u64));
            yaml.line("ttl_s", &self.responses.ttl.as_secs().to_string());
        });
        if let Some(settings) = &self.recording {
            yaml.map("recording", |yaml| recording(yaml, settings));
        }
        yaml.map("usage", |yaml| usage(yaml, self.usage));
        if let Some(settings) = &self.request_log {
            yaml.map("request_log", |yaml| request_log(yaml, settings));
        }
        yaml.text
    }
}

fn log(yaml: &mut Yaml, log: &Log) {
    yaml.line("format", log.format.as_str());
    yaml.line("level", &text(log.level.as_str()));
    yaml.line("prompts", &log.prompts.to_string());
}

fn auth(yaml: &mut Yaml, auth: &Auth) {
    yaml.line("open", &auth.open.to_string());
    yaml.list("keys", &auth.keys, caller_key);
    access::issuers(yaml, &auth.issuers);
}

fn caller_key(yaml: &mut Yaml, key: &CallerKey) {
    yaml.line("name", &text(&key.name));
    yaml.line("key", &secret(&key.key));
    yaml.line("tenant", &text(&key.tenant));
    yaml.maybe("account", key.account.as_deref().map(text));
    yaml.maybe("expires", key.expires.map(|at| quoted(&at.to_string())));
    rights(yaml, &key.rights);
}

impl Account {
    /// It as JSON, with the keys of the configuration.
    pub fn to_json(&self) -> String {
        as_json(|yaml| account(yaml, self))
    }
}

impl CallerKey {
    /// It as JSON, with the keys of the configuration; in place of its key stands a mask.
    pub fn to_json(&self) -> String {
        as_json(|yaml| caller_key(yaml, self))
    }
}

/// What `write` writes, as JSON: so there is one place that knows the keys.
fn as_json(write: impl FnOnce(&mut Yaml)) -> String {
    let mut yaml = Yaml::default();
    write(&mut yaml);
    let json = super::file::read(&yaml.text).ok().and_then(|node| super::fields::Item::root(&node)?.json().ok()?);
    json.unwrap_or_else(|| "{}".to_owned())
}

fn account(yaml: &mut Yaml, account: &Account) {
    yaml.line("name", &text(&account.name));
    yaml.line("kind", account.kind.as_str());
    yaml.maybe("in", account.parent.as_deref().map(text));
    rights(yaml, &account.rights);
}

fn rights(yaml: &mut Yaml, rights: &Rights) {
    let surfaces: Vec<String> = rights.surfaces.iter().map(|one| one.as_str().to_owned()).collect();
    let addresses: Vec<String> = rights.addresses.iter().map(ToString::to_string).collect();
    let lists = [
        ("models", &rights.models),
        ("providers", &rights.providers),
        ("surfaces", &surfaces),
        ("addresses", &addresses),
        ("tags", &rights.tags),
    ];
    for (key, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        yaml.line(key, &texts(names));
    }
    yaml.maybe("max_output_tokens", rights.max_output_tokens.map(|most| most.to_string()));
    for (key, may) in [("tools", rights.tools), ("images", rights.images)] {
        yaml.maybe(key, (!may).then(|| may.to_string()));
    }
    if rights.cache != CacheRights::default() {
        yaml.map("cache", |yaml| {
            yaml.line("read", &rights.cache.read.to_string());
            yaml.line("write", &rights.cache.write.to_string());
            yaml.line("share", &rights.cache.share.to_string());
        });
    }
    let (budgets, rates): (Vec<&Allowance>, Vec<&Allowance>) =
        rights.allowances.iter().partition(|one| one.measure == Measure::Usd);
    for (key, all) in [("budgets", budgets), ("rate_limits", rates)] {
        if !all.is_empty() {
            yaml.list(key, &all, |yaml, one| allowance(yaml, one));
        }
    }
}

fn allowance(yaml: &mut Yaml, one: &Allowance) {
    match one.measure {
        Measure::Usd => {
            yaml.line("usd", &usd(one.most));
            yaml.maybe("soft_usd", one.soft.map(usd));
        }
        measure => yaml.line(measure.as_str(), &one.most.to_string()),
    }
    if one.measure != Measure::Concurrent {
        yaml.line("per", one.per.as_str());
        yaml.line("window", one.counted.as_str());
        yaml.maybe("time_zone", one.time_zone.iana_name().map(text));
    }
    for (key, names) in [("models", &one.models), ("providers", &one.providers)] {
        if !names.is_empty() {
            yaml.line(key, &texts(names));
        }
    }
}

fn limits(yaml: &mut Yaml, limits: &Limits) {
    yaml.line("body_bytes", &size::format(limits.body_bytes as u64));
    yaml.line("upload_bytes", &size::format(limits.upload_bytes as u64));
    yaml.line("in_flight", &limits.in_flight.to_string());
    yaml.millis("header_timeout_ms", limits.header_timeout);
    yaml.millis("request_timeout_ms", limits.request_timeout);
    yaml.millis("shutdown_timeout_ms", limits.shutdown_timeout);
}

fn known(yaml: &mut Yaml, known: &KnownProvider) {
    yaml.line("name", &text(&known.name));
    yaml.line("title", &text(&known.title));
    // A variable in it was meant to be looked up later, and still is when this is read again.
    yaml.line("base_url", &text(&known.base_url));
    yaml.line("auth", &text(known.auth.as_str()));
    yaml.maybe("header", known.header.as_deref().map(text));
    yaml.maybe("env", known.env.as_deref().map(text));
    yaml.line("models", &text(known.models.as_deref().unwrap_or("none")));
    let surfaces: Vec<String> = known.surfaces.iter().map(|surface| surface.as_str().to_owned()).collect();
    yaml.line("surfaces", &texts(&surfaces));
    yaml.maybe("limit_field", known.limit_field.map(|field| text(field.as_str())));
    yaml.maybe("stream_usage", known.stream_usage.map(|when| text(when.as_str())));
    yaml.line("refuses", &texts(&known.refuses));
    yaml.line("ignores", &texts(&known.ignores));
    for (key, value) in [("note", &known.note), ("docs", &known.docs), ("source", &known.source), ("read", &known.read)]
    {
        yaml.maybe(key, value.as_deref().map(text));
    }
    for (key, on) in
        [("discover", known.discover), ("second_hand", known.second_hand), ("unconfirmed", known.unconfirmed)]
    {
        yaml.line(key, &on.to_string());
    }
}

fn model(yaml: &mut Yaml, model: &Model) {
    yaml.line("name", &text(&model.name));
    if !model.aliases.is_empty() {
        yaml.line("aliases", &texts(&model.aliases));
    }
    yaml.line("strategy", model.strategy.as_str());
    yaml.list("targets", &model.targets, target);
    if let Some(hedge) = &model.hedge {
        yaml.map("hedge", |yaml| {
            yaml.line("percentile", &(hedge.share * 100.0).to_string());
            yaml.millis("at_least_ms", hedge.at_least);
            yaml.line("budget_percent", &hedge.budget_percent.to_string());
        });
    }
    if let Some(one) = &model.price {
        yaml.map("price", |yaml| price(yaml, one));
    }
    yaml.maybe("max_output_tokens", model.max_output_tokens.map(|most| most.to_string()));
    if let Some(one) = &model.shadow {
        yaml.map("shadow", |yaml| shadow(yaml, one));
    }
}

fn price(yaml: &mut Yaml, price: &Price) {
    yaml.line("input_usd_per_million_tokens", &usd(price.input_micro_usd_per_million));
    yaml.line("output_usd_per_million_tokens", &usd(price.output_micro_usd_per_million));
    let parts = [
        ("cached_input_usd_per_million_tokens", price.cached_input_micro_usd_per_million),
        ("cache_write_usd_per_million_tokens", price.cache_write_micro_usd_per_million),
        ("reasoning_usd_per_million_tokens", price.reasoning_micro_usd_per_million),
        ("request_usd", (price.request_micro_usd > 0).then_some(price.request_micro_usd)),
    ];
    parts.into_iter().for_each(|(key, price)| yaml.maybe(key, price.map(usd)));
}

fn shadow(yaml: &mut Yaml, shadow: &Shadow) {
    yaml.line("provider", &text(&shadow.provider));
    yaml.line("model", &text(&shadow.model));
    yaml.maybe("key", shadow.key.as_deref().map(text));
    params(yaml, &shadow.params);
    if let Some(one) = &shadow.price {
        yaml.map("price", |yaml| price(yaml, one));
    }
    yaml.line("percent", &shadow.percent.to_string());
    yaml.line("judge", &shadow.judge.to_string());
    yaml.maybe("usd_per_day", shadow.usd_per_day.map(|usd| usd.to_string()));
    yaml.line("max_in_flight", &shadow.max_in_flight.to_string());
    yaml.line("labels", &shadow.labels.to_string());
}

fn target(yaml: &mut Yaml, target: &Target) {
    yaml.line("provider", &text(&target.provider));
    yaml.line("model", &text(&target.model));
    yaml.maybe("key", target.key.as_deref().map(text));
    yaml.maybe("when", target.when.as_ref().map(|when| text(when.as_str())));
    match &target.canary {
        Some(canary) => yaml.map("canary", |yaml| {
            yaml.line("percent", &canary.percent.to_string());
            yaml.line("error_percent", &canary.error_percent.to_string());
            yaml.line("min_requests", &canary.min_requests.to_string());
        }),
        None => {
            yaml.line("weight", &target.weight.to_string());
            yaml.line("tier", &target.tier.to_string());
        }
    }
    if !target.after.is_empty() {
        let after: Vec<String> = target.after.iter().map(|after| after.to_string()).collect();
        yaml.line("after", &texts(&after));
    }
    yaml.maybe("max_in_flight", target.max_in_flight.map(|most| most.to_string()));
    if let Some(timeout) = target.first_token_timeout {
        yaml.millis("first_token_timeout_ms", timeout);
    }
    params(yaml, &target.params);
}

fn params(yaml: &mut Yaml, params: &[Param]) {
    if params.is_empty() {
        return;
    }
    // What is JSON is YAML, too.
    yaml.map("params", |yaml| {
        for Param { name, value } in params {
            yaml.line(&quoted(name), &value.as_deref().unwrap_or("null").replace('$', "$$"));
        }
    });
}

fn breaker(yaml: &mut Yaml, breaker: &Breaker) {
    yaml.line("failures", &breaker.failures.to_string());
    yaml.millis("open_ms", breaker.open);
    yaml.millis("open_max_ms", breaker.open_max);
    yaml.millis("slow_start_ms", breaker.slow_start);
    yaml.maybe("probe_interval_ms", breaker.probe_interval.map(|every| every.as_millis().to_string()));
}

fn retry(yaml: &mut Yaml, retry: &Retry) {
    yaml.line("attempts", &retry.attempts.to_string());
    yaml.millis("backoff_ms", retry.backoff);
    yaml.millis("backoff_max_ms", retry.backoff_max);
    yaml.millis("retry_after_max_ms", retry.retry_after_max);
    yaml.line("budget_percent", &retry.budget_percent.to_string());
    yaml.millis("total_timeout_ms", retry.total_timeout);
}

fn embedding(yaml: &mut Yaml, embedding: &Embedding) {
    yaml.line("model", &text(&embedding.model));
    if let Some(folder) = &embedding.model_dir {
        yaml.line("model_dir", &path(folder));
    }
    yaml.line("device", &text(&embedding.device.to_string()));
    if let Some(precision) = embedding.precision {
        yaml.line("precision", &text(precision.as_str()));
    }
    yaml.line("kernels", &text(embedding.kernels.as_str()));
    yaml.line("threads", &embedding.threads.to_string());
    yaml.line("pin", &pin(&embedding.pin));
    yaml.line("batch_tokens", &embedding.batch_tokens.to_string());
    yaml.line("batch_wait_us", &embedding.batch_wait.as_micros().to_string());
    yaml.line("queue", &embedding.queue.to_string());
    yaml.line("queue_bytes", &size::format(embedding.queue_bytes as u64));
    yaml.line("long_text", embedding.long_text.as_str());
    yaml.line("max_windows", &embedding.max_windows.to_string());
    yaml.line("memo_bytes", &size::format(embedding.memo_bytes as u64));
    yaml.millis("deadline_ms", embedding.deadline);
}

fn index(yaml: &mut Yaml, index: Index) {
    yaml.line("graph", index.graph.as_str());
    yaml.line("ef_search", &index.ef_search.to_string());
    yaml.line("threads", &index.threads.to_string());
}

fn pin(pin: &Pin) -> String {
    match pin {
        Pin::Off => "false".to_owned(),
        Pin::Each => "true".to_owned(),
        Pin::Cores(cores) => format!("[{}]", cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn cache(yaml: &mut Yaml, cache: &Cache) {
    yaml.line("enabled", &cache.enabled.to_string());
    yaml.line("ttl_s", &cache.ttl.as_secs().to_string());
    yaml.line("memory_bytes", &size::format(cache.memory_bytes));
    yaml.line("max_answer_bytes", &size::format(cache.max_answer_bytes));
    yaml.line("normalised", &cache.normalised.to_string());
    yaml.map("semantic", |yaml| {
        yaml.line("enabled", &cache.semantic.enabled.to_string());
        yaml.line("judgement", cache.semantic.judgement.as_str());
        yaml.maybe("threshold", cache.semantic.threshold.map(|threshold| threshold.to_string()));
        yaml.line("veto", &cache.semantic.veto.to_string());
        yaml.line("strictness", &text(cache.semantic.strictness.as_str()));
        yaml.line("shadow_calls", &cache.semantic.shadow_calls.to_string());
        yaml.maybe("weights", cache.semantic.weights.as_deref().map(path));
        yaml.line("candidates", &cache.semantic.candidates.to_string());
        yaml.millis("flight_wait_ms", cache.semantic.flight_wait);
        yaml.line("follow_ups", cache.semantic.follow_ups.as_str());
    });
    yaml.line("error_budget", &cache.error_budget.to_string());
    if let Some(judge) = &cache.judge {
        yaml.map("judge", |yaml| {
            yaml.line("model", &text(&judge.model));
            yaml.line("calls_per_minute", &judge.calls_per_minute.to_string());
            yaml.line("usd_per_day", &judge.usd_per_day.to_string());
            yaml.millis("timeout_ms", judge.timeout);
        });
    }
    yaml.line("feedback_answers", &cache.feedback_answers.to_string());
    yaml.list("overrides", &cache.overrides, |yaml, one| {
        yaml.maybe("tenant", one.tenant.as_deref().map(text));
        yaml.maybe("model", one.model.as_deref().map(text));
        yaml.maybe("enabled", one.enabled.map(|on| on.to_string()));
        yaml.maybe("semantic", one.semantic.map(|on| on.to_string()));
        yaml.maybe("judgement", one.judgement.map(|judgement| judgement.to_string()));
        yaml.maybe("error_budget", one.error_budget.map(|budget| budget.to_string()));
        yaml.maybe("strictness", one.strictness.map(|strictness| text(strictness.as_str())));
        yaml.maybe("threshold", one.threshold.map(|threshold| threshold.to_string()));
        yaml.maybe("follow_ups", one.follow_ups.map(|word| word.as_str().to_owned()));
        yaml.maybe("ttl_s", one.ttl.map(|ttl| ttl.as_secs().to_string()));
    });
    yaml.line("harmless_fields", &texts(&cache.harmless_fields));
    yaml.millis("flight_wait_ms", cache.flight_wait);
    yaml.line("share_across_surfaces", &cache.share_across_surfaces.to_string());
    yaml.line("on_hang_up", cache.on_hang_up.as_str());
    yaml.line("stale_if_error_s", &cache.stale_if_error.as_secs().to_string());
    yaml.line("stale_while_revalidate_s", &cache.stale_while_revalidate.as_secs().to_string());
    yaml.line("revalidations", &cache.revalidations.to_string());
    yaml.line("hit_cost_percent", &cache.hit_cost_percent.to_string());
    yaml.map("staleness", |yaml| staleness(yaml, &cache.staleness));
    yaml.line("eviction", cache.eviction.as_str());
    yaml.line("wait_usd_per_hour", &cache.wait_usd_per_hour.to_string());
    yaml.map("quota", |yaml| {
        yaml.map("scope", |yaml| share(yaml, cache.quota.scope));
        yaml.map("tenant", |yaml| share(yaml, cache.quota.tenant));
    });
    yaml.line("refusal_phrases", &texts(&cache.refusal_phrases));
    yaml.map("sync", |yaml| yaml.millis("interval_ms", cache.sync.interval));
}

fn staleness(yaml: &mut Yaml, staleness: &Staleness) {
    yaml.line("enabled", &staleness.enabled.to_string());
    yaml.line("minutes_ttl_s", &staleness.minutes_ttl.as_secs().to_string());
    yaml.line("hours_ttl_s", &staleness.hours_ttl.as_secs().to_string());
    yaml.line("days_ttl_s", &staleness.days_ttl.as_secs().to_string());
    yaml.line("tools", staleness.tools.as_str());
    yaml.line("retrieval", staleness.retrieval.as_str());
    yaml.map("words", |yaml| {
        for (class, words) in &staleness.words {
            yaml.line(class.as_str(), &texts(words));
        }
    });
}

fn share(yaml: &mut Yaml, share: Share) {
    yaml.line("entries", &share.entries.to_string());
    yaml.line("bytes", &size::format(share.bytes));
    yaml.line("inserts_per_minute", &share.inserts_per_minute.to_string());
    yaml.line("insert_burst", &share.insert_burst.to_string());
}

fn recording(yaml: &mut Yaml, recording: &Recording) {
    yaml.line("path", &path(&recording.path));
    yaml.line("prompts", recording.prompts.as_str());
    yaml.line("max_bytes", &size::format(recording.max_bytes));
    yaml.line("files", &recording.files.to_string());
}

/// A mask, or the reference to the secret.
fn secret(secret: &Secret) -> String {
    secret.reference().map_or_else(|| MASK.to_owned(), text)
}

fn usage(yaml: &mut Yaml, usage: Usage) {
    yaml.line("enabled", &usage.enabled.to_string());
    yaml.millis("flush_ms", usage.flush);
    yaml.line("retention_days", &usage.retention_days.to_string());
}

fn request_log(yaml: &mut Yaml, log: &RequestLog) {
    yaml.line("sample", &log.sample.to_string());
    yaml.line("retention_days", &log.retention_days.to_string());
    yaml.line("prompts", &log.prompts.to_string());
    yaml.line("body_bytes", &size::format(log.body_bytes as u64));
    yaml.line("redact", &texts(&log.redact));
}

/// YAML in the making.
#[derive(Default)]
struct Yaml {
    text: String,
    indent: usize,
    /// Whether the next line begins an element of a list.
    element: bool,
}

impl Yaml {
    fn line(&mut self, key: &str, value: &str) {
        let dash = if std::mem::take(&mut self.element) { "- " } else { "" };
        let indent = self.indent - dash.len();
        let space = if value.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{dash}{key}:{space}{value}", "");
    }

    fn maybe(&mut self, key: &str, value: Option<String>) {
        if let Some(value) = value {
            self.line(key, &value);
        }
    }

    fn millis(&mut self, key: &str, time: Duration) {
        self.line(key, &time.as_millis().to_string());
    }

    fn map(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        self.line(key, "");
        self.indent += 2;
        inside(self);
        self.indent -= 2;
    }

    fn list<T>(&mut self, key: &str, elements: &[T], inside: impl Fn(&mut Self, &T)) {
        if elements.is_empty() {
            return self.line(key, "[]");
        }
        self.line(key, "");
        self.indent += 4;
        for element in elements {
            self.element = true;
            inside(self, element);
        }
        self.indent -= 4;
    }
}

/// Text as a YAML scalar that reads back as itself, its dollar signs doubled.
fn text(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

/// Text as a YAML scalar: bare where that is safe, quoted where it is not.
fn quoted(text: &str) -> String {
    let bare = |c: char| c.is_ascii_lowercase() || c == '_';
    // All-letter words that YAML reads as something else.
    let taken = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if !text.is_empty() && text.chars().all(bare) && !taken.contains(&text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c) || c == '\u{feff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn texts(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|one| text(one)).collect::<Vec<_>>().join(", "))
}

/// A path; one that is not Unicode is shown with replacement characters.
fn path(path: &Path) -> String {
    text(&path.to_string_lossy())
}

/// Micro-dollars as dollars, exactly.
fn usd(micro_usd: u64) -> String {
    let (whole, rest) = (micro_usd / 1_000_000, micro_usd % 1_000_000);
    let rest = format!("{rest:06}");
    format!("{whole}.{}", rest.trim_end_matches('0')).trim_end_matches('.').to_owned()
}
