//! `Fault`: what a failed attempt says: who is at fault, and what helps.

use crate::types::error::{Error, ErrorKind};
use std::time::Duration;

/// Kinds of failed attempts, by what helps against them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The request is wrong: it is as wrong everywhere.
    Caller,
    /// The request is longer than the model can read: another model may.
    ContextLength,
    /// The provider's filter took offence: another may not.
    ContentFilter,
    /// The target cannot do this request, or has no such model: another may.
    Unable,
    /// The key is refused: no request with it will be answered.
    Key,
    /// The key may not be used for this.
    Forbidden,
    /// A rate limit is reached; `Some`: until when the target said so.
    Limited(Option<Duration>),
    /// The target failed. It may be well the next time.
    Passing,
}

/// Words of providers for a request that is longer than their model reads: OpenAI and those of its wire, Anthropic, Gemini, Bedrock,
/// Cohere.
const TOO_LONG: [&str; 9] = [
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "prompt is too long",
    "input is too long",
    "input token count",
    "exceeds the maximum number of tokens",
    "too many total text bytes",
    "too many tokens",
];

/// Words of providers for a request that their filters refuse.
const FILTERED: [&str; 5] = [
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "content management policy",
    "guardrail intervened",
];

/// OpenAI's word for a key whose account has no money left, which comes with the status of a rate limit; and how Anthropic's message
/// for that begins, which comes with the status of a wrong request.
const UNPAID: &str = "insufficient_quota";
const UNPAID_MESSAGE: &str = "Your credit balance is too low";

impl Fault {
    /// What `error`, of one attempt, says.
    pub fn of(error: &Error) -> Fault {
        match error.kind {
            ErrorKind::UpstreamStatus(401 | 402) => Fault::Key,
            ErrorKind::UpstreamStatus(403) => Fault::Forbidden,
            ErrorKind::UpstreamStatus(404) => Fault::Unable,
            ErrorKind::UpstreamStatus(400 | 429) if is_unpaid(error) => Fault::Key,
            ErrorKind::UpstreamStatus(429) => Fault::Limited(error.retry_after),
            ErrorKind::UpstreamStatus(400 | 413 | 422) => refusal(error),
            // A conflict is about what was sent.
            ErrorKind::UpstreamStatus(409) => Fault::Unable,
            // A stream may begin with an error in words.
            ErrorKind::UpstreamBroken => {
                Some(refusal(error)).filter(|one| *one != Fault::Caller).unwrap_or(Fault::Passing)
            }
            // What is left of a limit that is counted there does not reach: another's may.
            ErrorKind::OverBudget | ErrorKind::TooMany => Fault::Unable,
            // What went wrong here is not the target's fault; one that speaks another wire may do.
            ErrorKind::Internal => Fault::Unable,
            _ if error.is_transient() => Fault::Passing,
            _ if error.is_target_fault() => Fault::Unable,
            _ => Fault::Caller,
        }
    }

    /// The word for logs, metrics and `targets[].after`.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Caller => "caller",
            Fault::ContextLength => "context_length",
            Fault::ContentFilter => "content_filter",
            Fault::Unable => "unable",
            Fault::Key => "key",
            Fault::Forbidden => "forbidden",
            Fault::Limited(_) => "limited",
            Fault::Passing => "passing",
        }
    }
}

/// Which kind of wrong request it is, by the provider's words.
fn refusal(error: &Error) -> Fault {
    let words = words(error);
    match () {
        () if says(&words, &TOO_LONG) => Fault::ContextLength,
        () if says(&words, &FILTERED) => Fault::ContentFilter,
        () => Fault::Caller,
    }
}

/// Does it say, in the fields that are for that, that the key's account has no money left? Elsewhere the words may be the caller's.
fn is_unpaid(error: &Error) -> bool {
    let json = error.reply.as_ref().and_then(|reply| serde_json::from_slice::<serde_json::Value>(&reply.body).ok());
    let text = |name: &str| json.as_ref().and_then(|json| json["error"][name].as_str()).unwrap_or_default();
    text("code") == UNPAID || text("type") == UNPAID || text("message").starts_with(UNPAID_MESSAGE)
}

/// What the provider says, in lower case.
fn words(error: &Error) -> String {
    let body = error.reply.as_ref().map(|reply| String::from_utf8_lossy(&reply.body).to_lowercase());
    body.unwrap_or_else(|| error.message.to_lowercase())
}

fn says(words: &str, any: &[&str]) -> bool {
    any.iter().any(|word| words.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::error::UpstreamReply;

    #[test]
    fn tells_what_helps() {
        let error = |kind| Error::new(kind, "x");
        let status = |status| error(ErrorKind::UpstreamStatus(status));
        let told = |status: u16, body: &'static str| Error {
            reply: Some(UpstreamReply { status, content_type: None, body: body.into() }),
            ..error(ErrorKind::UpstreamStatus(status))
        };
        let after = Some(Duration::from_secs(2));
        let table = [
            (status(500), Fault::Passing),
            (status(529), Fault::Passing),
            (status(408), Fault::Passing),
            (error(ErrorKind::UpstreamUnreachable), Fault::Passing),
            (error(ErrorKind::UpstreamTimeout), Fault::Passing),
            (error(ErrorKind::UpstreamBroken), Fault::Passing),
            (Error { retry_after: after, ..status(429) }, Fault::Limited(after)),
            (status(429), Fault::Limited(None)),
            (status(401), Fault::Key),
            (status(402), Fault::Key),
            (status(403), Fault::Forbidden),
            (status(404), Fault::Unable),
            (error(ErrorKind::InvalidRequest).with_code(crate::types::error::UNSUPPORTED), Fault::Unable),
            (error(ErrorKind::InvalidRequest), Fault::Caller),
            (status(400), Fault::Caller),
            (told(400, r#"{"error":{"code":"context_length_exceeded"}}"#), Fault::ContextLength),
            (
                told(400, r#"{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#),
                Fault::ContextLength,
            ),
            (
                told(400, r#"{"error":{"message":"The input token count (5) exceeds the maximum"}}"#),
                Fault::ContextLength,
            ),
            (told(400, r#"{"error":{"code":"content_filter"}}"#), Fault::ContentFilter),
            (told(429, r#"{"error":{"code":"insufficient_quota"}}"#), Fault::Key),
            (told(400, r#"{"error":{"message":"Your credit balance is too low to access the API."}}"#), Fault::Key),
            (told(400, r#"{"error":{"message":"Unrecognized argument: insufficient_quota"}}"#), Fault::Caller),
            (status(409), Fault::Unable),
            (Error::new(ErrorKind::UpstreamBroken, "it began with an error: prompt is too long"), Fault::ContextLength),
            (told(429, r#"{"error":{"code":"rate_limit_exceeded"}}"#), Fault::Limited(None)),
            (told(400, r#"{"error":{"message":"`temperature` is above 2"}}"#), Fault::Caller),
        ];
        for (error, expected) in table {
            assert_eq!(Fault::of(&error), expected, "{error:?}");
        }
    }
}
