//! `Request`: one request of a trace, whatever file it came from.

use crate::types::usage::Usage;

/// One request of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The request body, as a caller would send it.
    pub body: String,
    /// The model that was asked, if the trace says.
    pub model: Option<String>,
    /// The text that is asked; its digest where `hashed` says so; empty where no text is asked.
    pub text: String,
    /// Only a digest of the question is known: equal questions can be told, near ones cannot.
    pub hashed: bool,
    /// Requests of one group have one right answer.
    pub group: Option<String>,
    /// The answer that was given when the trace was recorded.
    pub answer: Option<String>,
    /// That answer came out of a cache itself: it does not say what a model would have answered.
    pub cached: bool,
    /// The partition that it is asked in.
    pub scope: Option<String>,
    /// Seconds since the trace began.
    pub t: f64,
    /// Its tokens; all 0 where the trace counts none.
    pub usage: Usage,
    /// Milliseconds that the answer took.
    pub took_ms: Option<f64>,
}
