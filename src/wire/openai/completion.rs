//! Whole answers of chat completions ↔ `Completion` (<https://platform.openai.com/docs/api-reference/chat/object>).

use super::ending;
use super::request::parts;
use super::{answer, thoughts};
use crate::types::chat::{Content, Media, Part, Source, ToolCall};
use crate::types::completion::{Choice, Completion, Stop};
use crate::types::json::Json;
use crate::types::usage::Usage;
use crate::wire::hub::ReplyFor;
use crate::wire::json::parse;
use crate::wire::openai::request::{address, image, sign, signature};
use crate::wire::write::{Object, to_vec};

/// Reads a whole answer. The error says in words what is wrong with it.
pub fn decode(body: &[u8]) -> Result<Completion, String> {
    let json = parse(body).map_err(|error| error.message)?;
    if let Some(error) = json.get("error").filter(|error| **error != Json::Null) {
        return Err(ending::told(error));
    }
    let choices = json.get("choices").and_then(Json::as_array).ok_or("expected a `choices` array")?;
    let text = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let mut whole = Completion {
        id: text("id"),
        model: text("model"),
        created_s: json.get("created").and_then(Json::as_u64),
        usage: json.get("usage").and_then(answer::usage_of),
        ..Completion::default()
    };
    for choice in choices {
        let said = choice.get("message").ok_or("expected a `message` in each choice")?;
        whole.choices.push(choice_of(choice, said)?);
        note_dropped(choice, said, &mut whole.dropped);
    }
    Ok(whole)
}

/// Notes what of a choice has no word in `Completion`, whether it is whole or a piece of a stream.
pub(super) fn note_dropped(choice: &Json<'_>, said: &Json<'_>, names: &mut Vec<String>) {
    let there = |json: &Json<'_>, name: &str| match json.get(name) {
        None | Some(Json::Null) => false,
        Some(Json::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    let found = [("logprobs", there(choice, "logprobs")), ("annotations", there(said, "annotations"))];
    for (name, there) in found {
        if there && !names.iter().any(|old| old == name) {
            names.push(name.to_owned());
        }
    }
}

fn choice_of(choice: &Json<'_>, said: &Json<'_>) -> Result<Choice, String> {
    let mut all = thoughts::read(said);
    let words = parts::content(said, "message").map_err(|error| error.message)?;
    all.extend(words.into_iter().filter(|part| part.as_text() != Some("")));
    if let Some(signature) = signature(said)
        && let Some(last) = all.iter_mut().rev().find(|part| part.as_text().is_some())
    {
        last.signature = Some(signature.to_owned());
    }
    let refusal = said.get("refusal").and_then(Json::as_str).filter(|text| !text.is_empty());
    all.extend(refusal.map(|text| Part::new(Content::Refusal(text.to_owned()))));
    for one in said.get("images").and_then(Json::as_array).unwrap_or_default() {
        let picture = parts::image(one, "images").map_err(|error| error.message)?;
        all.push(Part::new(Content::Image(picture)));
    }
    if let Some(data) = said.get("audio").and_then(|audio| audio.get("data")).and_then(Json::as_str) {
        all.push(Part::new(Content::Audio(Media::new(Source::Data(data.to_owned()), None))));
    }
    let calls = said.get("tool_calls").and_then(Json::as_array).unwrap_or_default();
    for (at, call) in calls.iter().enumerate() {
        let signed = signature(call).map(str::to_owned);
        let own = call.get("function").or_else(|| call.get("custom")).ok_or("expected a `function` in each call")?;
        let id = call.get("id").and_then(Json::as_str).map_or_else(|| format!("call_{at}"), str::to_owned);
        let signed = signed.or_else(|| thoughts::signature_of_call(said, &id).map(str::to_owned));
        all.retain(|part| !matches!(&part.content, Content::RedactedThinking(data) if Some(data) == signed.as_ref()));
        all.push(Part { signature: signed, ..Part::new(call_of(own, id)) });
    }
    if let Some(own @ Json::Object(_)) = said.get("function_call") {
        all.push(Part::new(call_of(own, "call_0".to_owned())));
    }
    let word = choice.get("finish_reason").and_then(Json::as_str);
    let has = |kind: fn(&Content) -> bool| all.iter().any(|part| kind(&part.content));
    let called = has(|content| matches!(content, Content::ToolCall(_)));
    let refused = has(|content| matches!(content, Content::Refusal(_)));
    Ok(Choice { stop: word.map(|word| ending::read(word, called, refused)), parts: all })
}

fn call_of(own: &Json<'_>, id: String) -> Content {
    let text = |name: &str| own.get(name).and_then(Json::as_str).map(str::to_owned);
    let arguments = match own.get("arguments") {
        // Ollama's native form and some others tell them as an object.
        Some(object @ Json::Object(_)) => crate::wire::write::text_of(object),
        _ => text("arguments").or_else(|| text("input")).unwrap_or_default(),
    };
    Content::ToolCall(ToolCall { id, name: text("name").unwrap_or_default(), arguments })
}

/// Writes a whole answer.
pub fn encode(completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    let old = ending::wants_function_call(&reply.request);
    to_vec(|o| {
        o.text("id", &reply.id);
        o.text("object", "chat.completion");
        o.integer("created", reply.created_s);
        o.text("model", &reply.model);
        o.array("choices", |list| {
            for (index, choice) in completion.choices.iter().enumerate() {
                list.object(|o| {
                    o.integer("index", index as u64);
                    o.object("message", |o| message(o, &choice.parts, reply, old));
                    o.null("logprobs");
                    write_ending(o, choice, old);
                });
            }
        });
        if let Some(tokens) = completion.usage {
            o.object("usage", |o| usage(o, &tokens));
        }
    })
}

fn write_ending(o: &mut Object<'_>, choice: &Choice, old: bool) {
    let called = choice.parts.iter().any(|part| matches!(part.content, Content::ToolCall(_)));
    let refused = choice.parts.iter().any(|part| matches!(part.content, Content::Refusal(_)));
    let unsaid = if called { Stop::ToolCalls } else { Stop::End };
    ending::write(o, choice.stop.as_ref().unwrap_or(&unsaid), refused, old);
}

fn message(o: &mut Object<'_>, parts: &[Part], reply: &ReplyFor, old: bool) {
    let words: Vec<&str> = parts.iter().filter_map(Part::as_text).collect();
    o.text("role", "assistant");
    let calls: Vec<&Part> = parts.iter().filter(|part| matches!(part.content, Content::ToolCall(_))).collect();
    let refusals = parts.iter().filter_map(|part| match &part.content {
        Content::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    let refusal = refusals.collect::<Vec<_>>().concat();
    if words.is_empty() && !(calls.is_empty() && refusal.is_empty()) {
        o.null("content");
    } else {
        o.text("content", &words.concat());
    }
    match refusal.as_str() {
        "" => o.null("refusal"),
        text => o.text("refusal", text),
    }
    let thought = thoughts::joined(parts);
    o.maybe_text("reasoning_content", Some(thought.as_str()).filter(|text| !text.is_empty()));
    if thoughts::are_signed(parts) {
        thoughts::write(o, parts, None);
    }
    pictures(o, parts);
    for part in parts {
        if let Content::Audio(Media { source: Source::Data(data), .. }) = &part.content {
            o.object("audio", |o| sound(o, data, reply));
        }
    }
    let signed_words = parts.iter().rev().find(|part| part.as_text().is_some() && part.signature.is_some());
    if let Some(signature) = signed_words.and_then(|part| part.signature.as_deref()) {
        sign(o, signature);
    }
    match calls.as_slice() {
        [] => {}
        [Part { content: Content::ToolCall(call), .. }, ..] if old => o.object("function_call", |o| {
            o.text("name", &call.name);
            o.text("arguments", &call.arguments);
        }),
        calls => o.array("tool_calls", |list| {
            for part in calls {
                list.object(|o| write_call(o, part));
            }
        }),
    }
}

fn pictures(o: &mut Object<'_>, parts: &[Part]) {
    let urls: Vec<String> = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Image(media) => address(media),
            _ => None,
        })
        .collect();
    if !urls.is_empty() {
        o.array("images", |list| urls.iter().for_each(|url| list.object(|o| image(o, url, None))));
    }
}

/// Sound, as the vendor's SDK wants it: with an id and a date after which that id is of no use.
pub fn sound(o: &mut Object<'_>, data: &str, reply: &ReplyFor) {
    o.text("id", &format!("audio_{}", reply.id.trim_start_matches("chatcmpl-")));
    o.text("data", data);
    o.integer("expires_at", reply.created_s.saturating_add(3_600));
    o.text("transcript", "");
}

fn write_call(o: &mut Object<'_>, part: &Part) {
    let Content::ToolCall(call) = &part.content else { return };
    o.text("id", &call.id);
    o.text("type", "function");
    o.object("function", |o| {
        o.text("name", &call.name);
        o.text("arguments", &call.arguments);
    });
    if let Some(signature) = &part.signature {
        sign(o, signature);
    }
}

/// `usage`, with its details.
pub fn usage(o: &mut Object<'_>, usage: &Usage) {
    o.integer("prompt_tokens", usage.input_tokens);
    o.integer("completion_tokens", usage.output_tokens);
    o.integer("total_tokens", usage.total());
    o.object("prompt_tokens_details", |o| {
        o.integer("cached_tokens", usage.cached_tokens);
        // OpenRouter's word; OpenAI has none, as writing costs nothing there.
        o.maybe_integer("cache_write_tokens", Some(usage.cache_write_tokens).filter(|&n| n > 0));
    });
    o.object("completion_tokens_details", |o| o.integer("reasoning_tokens", usage.reasoning_tokens));
}
