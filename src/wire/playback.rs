//! A stored `Answer` → a body or a stream in the wire of its surface, with a new id and date.

use super::hub::{self, ReplyFor};
use super::{openai, responses};
use crate::types::answer::Answer;
use crate::types::surface::Surface;
use bytes::Bytes;

pub use super::openai::playback::as_body;

/// The answer as a body: byte for byte as stored but for id and date, and for what a response repeats of its request.
pub fn whole(answer: &Answer, reply: &ReplyFor) -> Bytes {
    let own = match answer.surface {
        Surface::Responses => responses::playback::as_body(&answer.body, reply),
        _ => None,
    };
    own.map_or_else(|| as_body(answer, &reply.id, reply.created_s), Bytes::from)
}

/// The answer as a stream of server-sent events, its end included, and the names of what a stream cannot carry. The error
/// says in words why the body cannot be read.
pub fn as_stream(answer: &Answer, reply: &ReplyFor) -> Result<(Bytes, Vec<String>), String> {
    let events = match answer.surface {
        Surface::ChatCompletions | Surface::Completions => {
            let ReplyFor { id, created_s, include_usage, .. } = reply;
            openai::playback::as_stream(answer.surface, answer, id, *created_s, *include_usage).concat()
        }
        Surface::Responses => {
            let played = responses::playback::as_stream(&answer.body, reply, openai::playback::pieces);
            played.ok_or("the stored body is no response")?
        }
        surface => {
            let completion = hub::decode_answer(surface, &answer.body)?;
            let model = completion.model.clone().unwrap_or_else(|| reply.model.clone());
            let mut encoder =
                hub::encoder(surface, ReplyFor { model, calls_tools: answer.tool_calls, ..reply.clone() });
            let mut out = Vec::with_capacity(answer.body.len() * 2);
            for delta in completion.deltas(openai::playback::pieces) {
                encoder.push(&delta, &mut out);
            }
            encoder.finish(&mut out);
            return Ok((out.into(), completion.dropped));
        }
    };
    Ok((events.into(), Vec::new()))
}
