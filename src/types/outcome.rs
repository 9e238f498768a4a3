//! Cache outcomes as words, so that headers, logs and metrics say the same.

/// Which tier served a hit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tier {
    /// The same canonical request.
    Exact,
    /// The same but for case, spaces, edge punctuation and courtesies of the question.
    Normalised,
    /// A question near enough in meaning.
    Semantic,
    /// Shared the upstream call of an identical request in flight.
    Flight,
}

impl Tier {
    /// The word for headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Exact => "exact",
            Tier::Normalised => "normalised",
            Tier::Semantic => "semantic",
            Tier::Flight => "flight",
        }
    }
}

/// Why a request was not served from the cache although the cache was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MissReason {
    /// Nothing stored answers it, and no semantic lookup applies.
    Absent,
    /// There were candidates, none above the threshold.
    BelowThreshold,
    /// Every candidate near enough differs in a number, id, date or unit.
    Vetoed,
    /// What would be probable enough looks like a trap: near in words, and another question.
    Trap,
    /// No candidate is probable enough for the error budget.
    OverBudget,
    /// The scope has erred more than its error budget lets it, and serves by words only for now.
    Fallback,
    /// The stored answer was older than its TTL or the caller's `max-age`.
    Expired,
    /// The question is longer than the sentence model reads, so that it cannot be compared by meaning.
    TooLong,
    /// The embedder or the index could not say in time; a broken cache is just a miss.
    Unavailable,
}

impl MissReason {
    /// The word for headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            MissReason::Absent => "absent",
            MissReason::BelowThreshold => "below_threshold",
            MissReason::Vetoed => "vetoed",
            MissReason::Trap => "trap",
            MissReason::OverBudget => "over_budget",
            MissReason::Fallback => "fallback",
            MissReason::Expired => "expired",
            MissReason::TooLong => "too_long",
            MissReason::Unavailable => "unavailable",
        }
    }
}

/// Why an answer past its time was served.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StaleReason {
    /// It is being fetched anew in the background (`stale-while-revalidate`, RFC 5861, section 3).
    WhileRevalidate,
    /// No provider gave a fresh one (`stale-if-error`, RFC 5861, section 4).
    IfError,
}

impl StaleReason {
    /// The word for headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            StaleReason::WhileRevalidate => "stale_while_revalidate",
            StaleReason::IfError => "stale_if_error",
        }
    }
}

/// Why the cache was not asked at all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BypassReason {
    /// `cache.enabled: false`, here or in an override.
    Disabled,
    /// The caller asked for a fresh answer.
    NoCache,
    /// A number in the request has no exact canonical form.
    InexactNumber,
    /// This surface is served on the host; a lookup would cost more than the answer.
    Local,
    /// Answers of this surface are not kept.
    Surface,
    /// The answer depends on what the provider keeps, or is made later.
    Stateful,
    /// The question is of the staleness class `never`: every answer to it is another.
    Volatile,
    /// Requests of this surface are passed on as they are, and their answers never kept.
    Relayed,
    /// A guardrail found something in the request.
    Guardrail,
}

impl BypassReason {
    /// The word for headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            BypassReason::Disabled => "disabled",
            BypassReason::NoCache => "no_cache",
            BypassReason::InexactNumber => "inexact_number",
            BypassReason::Local => "local",
            BypassReason::Surface => "surface",
            BypassReason::Stateful => "stateful",
            BypassReason::Volatile => "volatile",
            BypassReason::Relayed => "relayed",
            BypassReason::Guardrail => "guardrail",
        }
    }
}

/// Why an answer was not stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotStored {
    /// The cache is off for this request, or the caller said `no-store`.
    NotAsked,
    /// An error, a broken stream or a caller gone.
    Incomplete,
    /// Cut at a token limit.
    Truncated,
    /// Cut by a content filter, or a refusal.
    Filtered,
    /// A purge came while the answer was on its way.
    Purged,
    /// Larger than `cache.max_answer_bytes`.
    TooLarge,
    /// Begins with one of `cache.refusal_phrases`.
    Refused,
    /// By itself larger than the bytes of `cache.quota` for its scope or tenant.
    Quota,
    /// Its scope or tenant stores more new answers than `cache.quota` lets it.
    InsertRate,
    /// A target on trial made it.
    Canary,
    /// A guardrail found something in it.
    Guardrail,
}

impl NotStored {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            NotStored::NotAsked => "not_asked",
            NotStored::Incomplete => "incomplete",
            NotStored::Truncated => "truncated",
            NotStored::Filtered => "filtered",
            NotStored::Purged => "purged",
            NotStored::TooLarge => "too_large",
            NotStored::Refused => "refused",
            NotStored::Quota => "quota",
            NotStored::InsertRate => "insert_rate",
            NotStored::Canary => "canary",
            NotStored::Guardrail => "guardrail",
        }
    }
}
