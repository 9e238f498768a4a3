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
    /// A candidate above the threshold differed in a number, id, date or unit.
    Vetoed,
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
            MissReason::Expired => "expired",
            MissReason::TooLong => "too_long",
            MissReason::Unavailable => "unavailable",
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
}

impl BypassReason {
    /// The word for headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            BypassReason::Disabled => "disabled",
            BypassReason::NoCache => "no_cache",
            BypassReason::InexactNumber => "inexact_number",
            BypassReason::Local => "local",
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
        }
    }
}
