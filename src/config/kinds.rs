//! The settings that are one word out of a few, each with its words as they stand in the file.

use std::fmt;
use std::str::FromStr;

use super::nearest::nearest;
use crate::types::surface::Surface;

/// A word that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    /// What kind of word was expected.
    what: &'static str,
    /// The word that came.
    found: String,
    /// The words that are known.
    known: &'static [&'static str],
    /// The one of them that was probably meant.
    near: Option<&'static str>,
}

impl UnknownWord {
    pub(super) fn new(what: &'static str, found: &str, known: &'static [&'static str]) -> Self {
        Self { what, found: found.to_owned(), known, near: nearest(found, known.iter().copied()) }
    }

    /// What was expected and what came, quoted as it was written before a variable was replaced.
    pub(super) fn message(&self, written: Option<&str>) -> String {
        let found = shortened(written.unwrap_or(&self.found));
        format!("unknown {} `{found}`, expected one of {}", self.what, quoted(self.known))
    }

    /// The word that was probably meant.
    pub(super) fn near(&self) -> Option<&'static str> {
        self.near
    }
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(None))?;
        self.near.map_or(Ok(()), |word| write!(f, "; did you mean `{word}`?"))
    }
}

impl std::error::Error for UnknownWord {}

/// The longest text that a message quotes, in characters.
const MAX_QUOTED_CHARS: usize = 60;

/// `text` for a message: control characters escaped, and cut where it is long.
pub(super) fn shortened(text: &str) -> String {
    let mut shortened: String = text.chars().take(MAX_QUOTED_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_QUOTED_CHARS).is_some() {
        shortened.push('…');
    }
    shortened
}

/// `a, b, c`, each in back quotes.
pub(super) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// An enum with one word per variant: `WORDS`, `as_str`, `FromStr` and `Display`.
macro_rules! words {
    ($(#[$about:meta])* $name:ident, $what:literal { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every word that is understood.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word for it in a settings file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord::new($what, text, Self::WORDS)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use words;

words! {
    /// The form of a log line.
    LogFormat, "log format" {
        /// For people.
        Pretty = "pretty",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// The least severe level that is logged.
    LogLevel, "log level" {
        /// Nothing.
        Off = "off",
        /// What failed.
        Error = "error",
        /// What may fail.
        Warn = "warn",
        /// What happened.
        Info = "info",
        /// How it happened.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}

words! {
    /// How the targets of a model share its requests.
    Strategy, "strategy" {
        /// The first that takes requests.
        Ordered = "ordered",
        /// By their weights, at random.
        Weighted = "weighted",
        /// One after the other.
        RoundRobin = "round_robin",
        /// Of two at random, by their weights, the one with less to wait for: mean time to the first token times requests under
        /// way.
        LeastLatency = "least_latency",
        /// The one with the fewest requests under way for its weight.
        LeastBusy = "least_busy",
        /// The cheapest; among equals by their weights.
        LeastCost = "least_cost",
        /// For the same session, or the same beginning of a conversation, always the same one: providers' prompt caches are hit.
        Sticky = "sticky",
    }
}

words! {
    /// What a limit counts.
    Measure, "measure" {
        /// Micro-dollars.
        Usd = "usd",
        /// Requests, those that a stored answer serves among them.
        Requests = "requests",
        /// Tokens of prompts and answers together.
        Tokens = "tokens",
        /// Tokens of prompts.
        InputTokens = "input_tokens",
        /// Tokens of answers.
        OutputTokens = "output_tokens",
        /// Requests under way.
        Concurrent = "concurrent",
    }
}

words! {
    /// A time in which so much may be used.
    Per, "time" {
        /// A minute.
        Minute = "minute",
        /// An hour.
        Hour = "hour",
        /// A day.
        Day = "day",
        /// A week, from Monday.
        Week = "week",
        /// A month; of a rolling window, 30 days.
        Month = "month",
        /// A year; of a rolling window, 365 days.
        Year = "year",
        /// For ever.
        Ever = "ever",
    }
}

words! {
    /// How a time is counted.
    Counted, "window" {
        /// From one full hour, midnight, first of the month to the next.
        Calendar = "calendar",
        /// The last so long, at every moment.
        Rolling = "rolling",
        /// All at once after a pause, and evenly from then on.
        Bucket = "bucket",
    }
}

words! {
    /// What an account is.
    #[derive(PartialOrd, Ord)]
    AccountKind, "kind of account" {
        /// The whole house.
        Organisation = "organisation",
        /// One that the house bills.
        Customer = "customer",
        /// People who work together.
        Team = "team",
        /// One person, or one program.
        User = "user",
    }
}

words! {
    /// After which failures of another target one is asked.
    After, "failure" {
        /// The request was too long for a model.
        ContextLength = "context_length",
        /// A provider's filter took offence.
        ContentFilter = "content_filter",
    }
}

words! {
    /// How a provider is spoken to.
    ProviderKind, "provider kind" {
        /// OpenAI itself.
        OpenAi = "openai",
        /// A server that speaks OpenAI's API at a base URL of its own.
        OpenAiCompatible = "openai_compatible",
        /// OpenAI's models at Azure, by deployments.
        Azure = "azure",
        /// Anthropic.
        Anthropic = "anthropic",
        /// Google's Gemini, by key.
        Gemini = "gemini",
        /// Google Cloud's Vertex AI.
        Vertex = "vertex",
        /// AWS Bedrock.
        Bedrock = "bedrock",
        /// Cohere.
        Cohere = "cohere",
        /// Ollama, by its own API: `ollama` is the entry of the catalogue that is spoken to in OpenAI's wire.
        Ollama = "ollama-native",
        /// The built-in provider that answers from the bundled questions.
        Demo = "demo",
    }
}

words! {
    /// How a provider's key is sent.
    KeyPlace, "word for `auth`" {
        /// As a bearer token.
        Bearer = "bearer",
        /// In a header of its own.
        Header = "header",
        /// No key is wanted. One that is given all the same is a bearer token.
        None = "none",
    }
}

words! {
    /// The request field for the longest answer.
    LimitField, "word for `limit_field`" {
        /// The older one.
        MaxTokens = "max_tokens",
        /// The newer one.
        MaxCompletionTokens = "max_completion_tokens",
    }
}

words! {
    /// When a provider tells the usage of a stream.
    StreamUsage, "word for `stream_usage`" {
        /// Where `stream_options.include_usage` asks for it.
        Asked = "asked",
        /// Unasked.
        Always = "always",
        /// Never.
        None = "none",
    }
}

impl FromStr for Surface {
    type Err = UnknownWord;

    /// The words are those of logs and metrics; `chat` is short for `chat_completions`.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        const WORDS: &[&str] = &surface_words();
        match text {
            "chat" => Ok(Surface::ChatCompletions),
            _ => Surface::from_word(text).ok_or_else(|| UnknownWord::new("surface", text, WORDS)),
        }
    }
}

/// The words for surfaces in a settings file: the short one, and all.
const fn surface_words() -> [&'static str; Surface::ALL.len() + 1] {
    let mut words = ["chat"; Surface::ALL.len() + 1];
    let mut at = 0;
    while at < Surface::ALL.len() {
        words[at + 1] = Surface::ALL[at].as_str();
        at += 1;
    }
    words
}

words! {
    /// What is reserved of budgets and limits of tokens for an answer, before it is there.
    Reservation, "word for `reservation`" {
        /// The longest answer that the request allows.
        Longest = "longest",
        /// What answers of the model usually come to, where that is known and less.
        Learned = "learned",
    }
}

words! {
    /// What becomes of an answer whose caller hung up while it was being fetched.
    OnHangUp, "word for `on_hang_up`" {
        /// Fetch the rest, for the cache.
        Finish = "finish",
        /// Drop it, and the connection to the provider with it.
        Abandon = "abandon",
    }
}

words! {
    /// How the turns before the question count where a follow-up is compared by meaning.
    FollowUps, "word for `follow_ups`" {
        /// Exactly: they belong to the scope.
        Scope = "scope",
        /// Short ones by meaning too, together with the question.
        Condensed = "condensed",
    }
}

words! {
    /// Which entries go when there is no room.
    Eviction, "word for `eviction`" {
        /// Those that save the least money and time for their bytes, by how often they are used, with ageing.
        Cost = "cost",
        /// The least recently used.
        Lru = "lru",
        /// The least frequently used, with ageing.
        Lfu = "lfu",
    }
}

words! {
    /// What decides whether a near entry may be served.
    Judgement, "word for `judgement`" {
        /// What was learned from labels, within `cache.error_budget`.
        Learned = "learned",
        /// `threshold` and `veto`, and nothing else.
        Static = "static",
    }
}

words! {
    /// How sure the learned judgement must be that two questions are no trap: near in words, and another question.
    Strictness, "word for `strictness`" {
        /// It does not look for traps.
        Off = "off",
        /// Few traps, at little cost in hits.
        Balanced = "balanced",
        /// Hardly any trap, at a cost in hits.
        Strict = "strict",
    }
}

words! {
    /// How questions and answers stand in a recorded trace.
    RecordedPrompts, "word for `prompts`" {
        /// As hashes that only this installation can make.
        Hashed = "hashed",
        /// As they are.
        Clear = "clear",
    }
}

words! {
    /// The arithmetic of the sentence model.
    Precision, "precision" {
        /// 32-bit floats.
        F32 = "f32",
        /// bfloat16 with sums in 32-bit floats.
        Bf16 = "bf16",
        /// Weights in 8-bit integers.
        Int8 = "int8",
    }
}

words! {
    /// The instructions that the sentence model runs on.
    Kernels, "word for `kernels`" {
        /// The fastest that the processor has.
        Auto = "auto",
        /// x86-64 with AMX.
        Amx = "amx",
        /// x86-64 with AVX-512.
        Avx512 = "avx512",
        /// x86-64 with AVX2.
        Avx2 = "avx2",
        /// AArch64 with NEON.
        Neon = "neon",
        /// Any processor.
        Portable = "portable",
    }
}

words! {
    /// What becomes of a text that is longer than the sentence model reads at once.
    LongText, "word for `long_text`" {
        /// Only its beginning is read, and it is not compared by meaning.
        Truncate = "truncate",
        /// It is read in windows, whose vectors are averaged.
        Mean = "mean",
    }
}

words! {
    /// The graph of a large scope's vectors.
    GraphKind, "word for `graph`" {
        /// Ours, packed.
        Packed = "packed",
        /// The crate of that name, to compare with.
        HnswRs = "hnsw_rs",
    }
}

/// Which cores the threads that embed are bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// None.
    Off,
    /// One each, of those that the process may use.
    Each,
    /// These, by number.
    Cores(Vec<usize>),
}

/// What the sentence model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, by its number. `cuda` alone is `cuda:0`.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let number = text.strip_prefix("cuda:").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        match (text, number.and_then(|digits| digits.parse().ok())) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(number)) => Ok(Self::Cuda(number)),
            _ => Err(UnknownWord::new("device", text, &["cpu", "cuda", "cuda:N"])),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

words! {
    /// Whether a token may be shown more than once.
    Replay, "answer to a replayed token" {
        /// It may, until it ends.
        Allow = "allow",
        /// It may not; each has to have an id.
        Refuse = "refuse",
    }
}

words! {
    /// By what a receiver of syslog is reached.
    SyslogProtocol, "protocol" {
        /// Datagrams (RFC 5426).
        Udp = "udp",
        /// A connection, with the length before each message (RFC 6587).
        Tcp = "tcp",
        /// The same within TLS (RFC 5425).
        Tls = "tls",
    }
}

words! {
    /// The form in which rows are sent to a webhook.
    ExportFormat, "format" {
        /// A JSON array.
        Json = "json",
        /// A JSON object a line.
        Ndjson = "ndjson",
    }
}
