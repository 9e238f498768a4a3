//! Whole answers of every surface → `Answer`: where the id stands, what it cost, how it ended, what it says.

use super::json::{parse, span_of};
use super::{embeddings, hub, openai, rerank};
use crate::types::answer::{Answer, Ending};
use crate::types::chat::Content;
use crate::types::completion::{Choice, Completion, Stop};
use crate::types::json::Json;
use crate::types::lost::Lost;
use crate::types::surface::Surface;
use bytes::Bytes;

/// Reads the body of an answer of `surface`. The error says in words what is wrong with it.
pub fn read(surface: Surface, body: Bytes) -> Result<Answer, String> {
    match surface {
        Surface::ChatCompletions | Surface::Completions | Surface::Embeddings => openai::answer::read(surface, body),
        Surface::Responses if is_made_later(&body) => {
            Ok(Answer { ending: Ending::Unfinished, ..of_chat(surface, &Completion::default(), body) })
        }
        chat if chat.is_chat() => {
            let completion = hub::decode_answer(chat, &body)?;
            Ok(of_chat(chat, &completion, body))
        }
        other => of_others(other, body),
    }
}

/// A response in the background, which is to be asked for again.
fn is_made_later(body: &[u8]) -> bool {
    let waits = |json: Json<'_>| matches!(json.get("status").and_then(Json::as_str), Some("queued" | "in_progress"));
    parse(body).is_ok_and(waits)
}

/// The answer of a conversation, whose body was read already.
pub(super) fn of_chat(surface: Surface, completion: &Completion, body: Bytes) -> Answer {
    let is_call = |choice: &Choice| choice.parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    Answer {
        surface,
        id_span: id_key(surface).and_then(|key| span_of(&body, key)).filter(|span| body.get(span.start) == Some(&b'"')),
        created_span: created_key(surface).and_then(|key| span_of(&body, key)),
        usage: completion.usage,
        usage_unasked: false,
        ending: ending(completion),
        tool_calls: completion.choices.iter().any(is_call),
        lost: Lost::default(),
        body,
    }
}

/// Answers that are no conversations and have no endings: vectors, ranks, counts.
fn of_others(surface: Surface, body: Bytes) -> Result<Answer, String> {
    let json = parse(&body).map_err(|error| error.message)?;
    if !matches!(json, Json::Object(_) | Json::Array(_)) {
        return Err(format!("expected a JSON object, got {}", json.kind()));
    }
    let usage = match surface {
        Surface::Rerank | Surface::RerankTexts => rerank::usage(&json),
        other => embeddings::usage(other, &json),
    };
    drop(json);
    Ok(Answer {
        surface,
        id_span: id_key(surface).and_then(|key| span_of(&body, key)).filter(|span| body.get(span.start) == Some(&b'"')),
        created_span: None,
        usage,
        usage_unasked: false,
        ending: Ending::Whole,
        tool_calls: false,
        lost: Lost::default(),
        body,
    })
}

/// The words of each choice of an answer's body; empty where there are none.
pub fn texts(surface: Surface, body: &Bytes) -> Vec<String> {
    match surface {
        Surface::ChatCompletions | Surface::Completions => openai::answer::texts(body),
        chat if chat.is_chat() => {
            let completion = hub::decode_answer(chat, body).unwrap_or_default();
            completion.choices.iter().map(words).collect()
        }
        _ => Vec::new(),
    }
}

fn words(choice: &Choice) -> String {
    choice.parts.iter().filter_map(|part| part.as_text()).collect::<Vec<_>>().concat()
}

/// The same answer in the wire of another surface of conversations, and the names of what that cannot carry. The error says in
/// words why there is none.
pub fn translated(answer: &Answer, surface: Surface, reply: &hub::ReplyFor) -> Result<(Answer, Vec<String>), String> {
    let completion = hub::decode_answer(answer.surface, &answer.body)?;
    let body = hub::encode_answer(surface, &completion, reply);
    let own = Answer { usage_unasked: answer.usage_unasked, lost: answer.lost.clone(), ..read(surface, body.into())? };
    Ok((own, completion.dropped))
}

/// Where a body tells its id.
pub fn id_key(surface: Surface) -> Option<&'static str> {
    match surface {
        Surface::GenerateContent => Some("responseId"),
        Surface::Converse | Surface::OllamaChat | Surface::OllamaEmbed => None,
        _ => Some("id"),
    }
}

/// Where a body tells when it was made.
fn created_key(surface: Surface) -> Option<&'static str> {
    match surface {
        Surface::Responses | Surface::OllamaChat => Some("created_at"),
        Surface::ChatCompletions | Surface::Completions => Some("created"),
        _ => None,
    }
}

fn ending(completion: &Completion) -> Ending {
    if completion.choices.is_empty() {
        return Ending::Unfinished;
    }
    let of = |choice: &Choice| match &choice.stop {
        _ if choice.parts.iter().any(|part| matches!(part.content, Content::Refusal(_))) => Ending::Filtered,
        Some(Stop::End | Stop::Sequence(_) | Stop::ToolCalls) => Ending::Whole,
        Some(Stop::Length) => Ending::Length,
        Some(Stop::Filtered | Stop::Refusal) => Ending::Filtered,
        Some(Stop::Pause | Stop::Other(_)) | None => Ending::Unfinished,
    };
    completion.choices.iter().map(of).fold(Ending::Whole, |all, one| if all == Ending::Whole { one } else { all })
}
