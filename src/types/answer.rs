//! `Answer`: one complete reply in the wire of its surface.

use super::lost::Lost;
use super::surface::Surface;
use super::usage::Usage;
use bytes::Bytes;
use std::ops::Range;

/// A complete answer as one JSON body, whether it came as a body or was folded from a stream.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The surface whose wire it is in.
    pub surface: Surface,
    /// The body, as the provider wrote it or as its stream folds to.
    pub body: Bytes,
    /// Where the value of `id` stands in `body`, quotes included.
    pub id_span: Option<Range<usize>>,
    /// Where the value of `created` stands in `body`.
    pub created_span: Option<Range<usize>>,
    /// Tokens, when the provider said.
    pub usage: Option<Usage>,
    /// It was folded from a stream whose caller had not asked for usage: a fresh answer would have some.
    pub usage_unasked: bool,
    /// How it ended.
    pub ending: Ending,
    /// Carries tool calls, whose arguments are drawn from the very words of the question.
    pub tool_calls: bool,
    /// What its request lost on the way to the provider, and what the provider said that is not in `body`.
    pub lost: Lost,
}

impl Answer {
    /// The id that it tells itself.
    pub fn own_id(&self) -> Option<String> {
        serde_json::from_slice(self.body.get(self.id_span.clone()?)?).ok()
    }
}

/// How an answer ended: only a whole one may be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Every choice ended by itself (`stop`, `tool_calls`, `function_call`), or the surface has no endings.
    Whole,
    /// A choice was cut at a token limit.
    Length,
    /// A choice was cut by a content filter, or refused.
    Filtered,
    /// A choice has no finish reason, or an unknown one.
    Unfinished,
}
