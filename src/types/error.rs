//! `Error`: what went wrong, whose fault it is, and what the caller should be told.

use bytes::Bytes;
use http::HeaderMap;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The code of a request that its target cannot express: another target may.
pub const UNSUPPORTED: &str = "unsupported_by_target";

/// A failed request. Turned into HTTP in one place only: `edge::reject`.
#[derive(Clone, Debug)]
pub struct Error {
    /// What kind of failure; decides the HTTP status.
    pub kind: ErrorKind,
    /// For the caller: what was expected, what came, what to do.
    pub message: String,
    /// The request field at fault.
    pub param: Option<Cow<'static, str>>,
    /// A stable word for programs, such as `model_not_found`.
    pub code: Option<&'static str>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The provider's own error reply, passed on as it came.
    pub reply: Option<UpstreamReply>,
    /// What was tried, for callers who want to know: the value of `x-askonce-attempts`.
    pub attempts: Option<Box<str>>,
    /// Headers that the caller is to be told.
    pub headers: Option<Box<HeaderMap>>,
}

/// A provider's error reply.
#[derive(Clone, Debug)]
pub struct UpstreamReply {
    /// HTTP status.
    pub status: u16,
    /// `content-type`, when there was one.
    pub content_type: Option<String>,
    /// The body, up to a limit.
    pub body: Bytes,
}

/// Kinds of failure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// The request is wrong: 400.
    InvalidRequest,
    /// No or an unknown key: 401.
    Unauthenticated,
    /// No money is left for it: 402.
    OverBudget,
    /// Known, but not allowed: 403.
    Forbidden,
    /// No such model, entry or path: 404.
    NotFound,
    /// The path exists, the method does not: 405.
    MethodNotAllowed,
    /// It does not fit what is there: 409.
    Conflict,
    /// What is there has changed since it was read: 412.
    PreconditionFailed,
    /// The request took too long to arrive: 408.
    RequestTimeout,
    /// The body is over the limit: 413.
    TooLarge,
    /// The body is not JSON by its content type: 415.
    UnsupportedMedia,
    /// The request came from this gateway itself: 508.
    LoopDetected,
    /// The gateway itself is full: 503.
    Overloaded,
    /// The caller's tenant has as much under way as it may: 429.
    TooMany,
    /// `only-if-cached` and nothing stored: 504.
    NotCached,
    /// The provider answered with an error status; the reply is passed on.
    UpstreamStatus(u16),
    /// The provider could not be reached: 502.
    UpstreamUnreachable,
    /// The provider did not answer in time: 504.
    UpstreamTimeout,
    /// The provider broke off, or sent what is not its wire: 502.
    UpstreamBroken,
    /// Our own fault: 500.
    Internal,
}

impl Error {
    /// An error of `kind` with a message for the caller.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            reply: None,
            attempts: None,
            headers: None,
        }
    }

    /// A wrong request, with the field at fault.
    pub fn invalid(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Error {
        Error { param: Some(param.into()), ..Error::new(ErrorKind::InvalidRequest, message) }
    }

    /// Adds the stable word.
    pub fn with_code(mut self, code: &'static str) -> Error {
        self.code = Some(code);
        self
    }

    /// Without its attempts, unless they were `asked` for.
    pub fn untold(mut self, asked: bool) -> Error {
        self.attempts.take_if(|_| !asked);
        self
    }

    /// The HTTP status of this error.
    pub fn status(&self) -> u16 {
        match self.kind {
            ErrorKind::InvalidRequest => 400,
            ErrorKind::Unauthenticated => 401,
            ErrorKind::OverBudget => 402,
            ErrorKind::Forbidden => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::MethodNotAllowed => 405,
            ErrorKind::Conflict => 409,
            ErrorKind::PreconditionFailed => 412,
            ErrorKind::RequestTimeout => 408,
            ErrorKind::TooLarge => 413,
            ErrorKind::UnsupportedMedia => 415,
            ErrorKind::LoopDetected => 508,
            ErrorKind::Overloaded => 503,
            ErrorKind::TooMany => 429,
            ErrorKind::NotCached | ErrorKind::UpstreamTimeout => 504,
            ErrorKind::UpstreamStatus(status) => status,
            ErrorKind::UpstreamUnreachable | ErrorKind::UpstreamBroken => 502,
            ErrorKind::Internal => 500,
        }
    }

    /// Another attempt may succeed: the fault is passing, and not in the request.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::UpstreamStatus(status) => matches!(status, 408 | 409 | 425 | 429 | 500..=599),
            ErrorKind::UpstreamUnreachable | ErrorKind::UpstreamTimeout | ErrorKind::UpstreamBroken => true,
            _ => false,
        }
    }

    /// Another *target* may succeed, although this one will not: a key, quota or model problem of its own.
    pub fn is_target_fault(&self) -> bool {
        self.is_transient()
            || matches!(self.kind, ErrorKind::UpstreamStatus(401..=404))
            || self.code == Some(UNSUPPORTED)
    }

    /// The word for logs and metrics (`error.type`).
    pub fn word(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self.kind {
            ErrorKind::InvalidRequest => "invalid_request",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::OverBudget => "over_budget",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::NotFound => "not_found",
            ErrorKind::MethodNotAllowed => "method_not_allowed",
            ErrorKind::Conflict => "conflict",
            ErrorKind::PreconditionFailed => "precondition_failed",
            ErrorKind::RequestTimeout => "request_timeout",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::UnsupportedMedia => "unsupported_media",
            ErrorKind::LoopDetected => "loop_detected",
            ErrorKind::Overloaded => "overloaded",
            ErrorKind::TooMany => "too_many",
            ErrorKind::NotCached => "not_cached",
            ErrorKind::UpstreamStatus(status) => return Cow::Owned(status.to_string()),
            ErrorKind::UpstreamUnreachable => "upstream_unreachable",
            ErrorKind::UpstreamTimeout => "upstream_timeout",
            ErrorKind::UpstreamBroken => "upstream_broken",
            ErrorKind::Internal => "internal",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
