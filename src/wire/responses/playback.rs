//! The body that a stream ends with, and a stored body as the stream it would have been.
//!
//! A vendor that speaks this wire itself answers with more than there are words for in `Completion`: what its own tools
//! did, quotations, log probabilities. Its streams end with their whole body, and that is played back, so nothing is lost.

use super::history::is_kept;
use super::stream::Events;
use crate::types::json::Json;
use crate::wire::hub::ReplyFor;
use crate::wire::json::{parse, span_of};
use crate::wire::sse::Event;
use crate::wire::write::{Object, text_of, to_text, value};

/// The body that a stream amounts to, out of the event that ends it; `None` for every other event.
pub fn whole(event: &Event<'_>) -> Option<Vec<u8>> {
    let ends = |name: &str| matches!(name, "response.completed" | "response.incomplete");
    if !event.name.is_empty() && !ends(event.name) {
        return None;
    }
    let json = parse(&event.data).ok()?;
    // Some servers leave the items out here: then the body is what their events amount to.
    let output = json.get("response")?.get("output").and_then(Json::as_array)?;
    if !json.get("type").and_then(Json::as_str).is_some_and(ends) || output.is_empty() {
        return None;
    }
    span_of(&event.data, "response").and_then(|span| event.data.get(span)).map(<[u8]>::to_vec)
}

/// Fields of a request that tell no two requests apart and stand in its answer.
const HARMLESS: [&str; 5] = ["metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"];

/// A stored body with another id and date, as the answer to another request.
pub fn as_body(body: &[u8], reply: &ReplyFor) -> Option<Vec<u8>> {
    let json = parse(body).ok()?;
    let request = parse(&reply.request).ok();
    Some(renewed(&json, reply, request.as_ref(), false).into_bytes())
}

/// A stored body as the stream it would have been, with another id and date; texts are cut into pieces by `cut`. `None`
/// where it is no body of this wire.
pub fn as_stream(body: &[u8], reply: &ReplyFor, cut: impl Fn(&str) -> Vec<String>) -> Option<Vec<u8>> {
    let json = parse(body).ok()?;
    let request = parse(&reply.request).ok();
    let items = json.get("output").and_then(Json::as_array)?;
    let mut play = Play { events: Events::default(), out: Vec::with_capacity(body.len() * 4), cut: &cut };
    let begun = renewed(&json, reply, request.as_ref(), true);
    for name in ["response.created", "response.in_progress"] {
        play.events.write(&mut play.out, name, |o| o.raw("response", &begun));
    }
    for (index, item) in items.iter().enumerate() {
        play.item(index as u64, item);
    }
    let incomplete = json.get("status").and_then(Json::as_str) == Some("incomplete");
    let last = if incomplete { "response.incomplete" } else { "response.completed" };
    play.events.write(&mut play.out, last, |o| o.raw("response", &renewed(&json, reply, request.as_ref(), false)));
    Some(play.out)
}

/// The response with another id and date; where it has only `begun`, without what is not there yet.
fn renewed(json: &Json<'_>, reply: &ReplyFor, request: Option<&Json<'_>>, begun: bool) -> String {
    let Json::Object(fields) = json else { return "{}".to_owned() };
    let unkept = request.is_some_and(|request| !is_kept(request, reply.no_store));
    to_text(|o| {
        for (name, field) in fields {
            match name.as_ref() {
                "id" => o.text(name, &reply.id),
                "created_at" => o.integer(name, reply.created_s),
                "store" if unkept => o.flag(name, false),
                "status" if begun => o.text(name, "in_progress"),
                "output" if begun => o.array(name, |_| {}),
                own if HARMLESS.contains(&own) && request.is_some() => {
                    match request.and_then(|request| request.get(own)).filter(|value| **value != Json::Null) {
                        Some(told) => value(o.key(name), told),
                        None if own == "metadata" => o.object(name, |_| {}),
                        None => o.null(name),
                    }
                }
                "usage" | "incomplete_details" | "completed_at" if begun => o.null(name),
                _ => value(o.key(name), field),
            }
        }
    })
}

/// An item or a part as it begins: the fields of these names are empty.
fn begun(json: &Json<'_>, empty: &[&str]) -> String {
    let Json::Object(fields) = json else { return text_of(json) };
    to_text(|o| {
        for (name, field) in fields {
            match field {
                Json::String(_) if name == "status" => o.text(name, "in_progress"),
                Json::String(_) if empty.contains(&name.as_ref()) => o.text(name, ""),
                Json::Array(_) if empty.contains(&name.as_ref()) => o.array(name, |_| {}),
                _ => value(o.key(name), field),
            }
        }
    })
}

struct Play<'c> {
    events: Events,
    out: Vec<u8>,
    cut: &'c dyn Fn(&str) -> Vec<String>,
}

/// Where an event stands: its item, and what else counts it.
#[derive(Clone, Copy)]
struct At<'j> {
    id: &'j str,
    index: u64,
    /// `content_index` or `summary_index`, and the number.
    inner: Option<(&'static str, u64)>,
}

impl Play<'_> {
    fn about(&mut self, at: At<'_>, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.events.write(&mut self.out, name, |o| {
            o.text("item_id", at.id);
            o.integer("output_index", at.index);
            if let Some((name, n)) = at.inner {
                o.integer(name, n);
            }
            fill(o);
        });
    }

    fn item(&mut self, index: u64, item: &Json<'_>) {
        let text = |name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default();
        let list = |name: &str| item.get(name).and_then(Json::as_array).unwrap_or_default();
        let kind = text("type");
        let empty: &[&str] = match kind {
            "message" => &["content"],
            "reasoning" => &["summary"],
            "function_call" => &["arguments"],
            "custom_tool_call" => &["input"],
            _ => &[],
        };
        let added = begun(item, empty);
        self.events.write(&mut self.out, "response.output_item.added", |o| {
            o.integer("output_index", index);
            o.raw("item", &added);
        });
        let at = At { id: text("id"), index, inner: None };
        match kind {
            "message" => {
                for (n, part) in list("content").iter().enumerate() {
                    self.content(At { inner: Some(("content_index", n as u64)), ..at }, part);
                }
            }
            "reasoning" => {
                for (n, part) in list("summary").iter().enumerate() {
                    self.summary(At { inner: Some(("summary_index", n as u64)), ..at }, part);
                }
            }
            "function_call" => self.pieces(at, "response.function_call_arguments", "arguments", item, Some("name")),
            "custom_tool_call" => self.pieces(at, "response.custom_tool_call_input", "input", item, None),
            _ => {}
        }
        self.events.write(&mut self.out, "response.output_item.done", |o| {
            o.integer("output_index", index);
            value(o.key("item"), item);
        });
    }

    /// `<event>.delta`s of a field, and its `<event>.done`, in which the field `also` stands, too.
    fn pieces(&mut self, at: At<'_>, event: &str, field: &str, json: &Json<'_>, also: Option<&str>) {
        let whole = json.get(field).and_then(Json::as_str).unwrap_or_default();
        let words = event == "response.output_text";
        for piece in (self.cut)(whole) {
            self.about(at, &format!("{event}.delta"), |o| {
                o.text("delta", &piece);
                if words {
                    o.array("logprobs", |_| {});
                }
            });
        }
        let also = also.and_then(|name| Some((name, json.get(name)?)));
        self.about(at, &format!("{event}.done"), |o| {
            o.text(field, whole);
            match also {
                Some((name, json)) => value(o.key(name), json),
                None if words => o.array("logprobs", |_| {}),
                None => {}
            }
        });
    }

    fn content(&mut self, at: At<'_>, part: &Json<'_>) {
        let added = begun(part, &["text", "refusal", "annotations", "logprobs"]);
        self.about(at, "response.content_part.added", |o| o.raw("part", &added));
        match part.get("type").and_then(Json::as_str) {
            Some("refusal") => self.pieces(at, "response.refusal", "refusal", part, None),
            _ => {
                let also = part.get("logprobs").map(|_| "logprobs");
                self.pieces(at, "response.output_text", "text", part, also);
                for (n, one) in part.get("annotations").and_then(Json::as_array).unwrap_or_default().iter().enumerate()
                {
                    self.about(at, "response.output_text.annotation.added", |o| {
                        o.integer("annotation_index", n as u64);
                        value(o.key("annotation"), one);
                    });
                }
            }
        }
        self.about(at, "response.content_part.done", |o| value(o.key("part"), part));
    }

    fn summary(&mut self, at: At<'_>, part: &Json<'_>) {
        let added = begun(part, &["text"]);
        self.about(at, "response.reasoning_summary_part.added", |o| o.raw("part", &added));
        self.pieces(at, "response.reasoning_summary_text", "text", part, None);
        self.about(at, "response.reasoning_summary_part.done", |o| value(o.key("part"), part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::completion::{Delta, Gather};
    use crate::wire::hub::Decoder as _;
    use crate::wire::responses::{answer, stream};
    use crate::wire::sse::{self, Splitter};

    const BODY: &str = include_str!("../../../tests/golden/responses/answer.json");

    fn reply(id: &str, created_s: u64) -> ReplyFor {
        ReplyFor { id: id.to_owned(), created_s, ..ReplyFor::default() }
    }

    fn words(text: &str) -> Vec<String> {
        text.split_inclusive(' ').map(str::to_owned).collect()
    }

    fn events(stream: &[u8]) -> Vec<bytes::Bytes> {
        let mut splitter = Splitter::default();
        splitter.push(stream);
        std::iter::from_fn(|| splitter.next_event()).collect()
    }

    #[test]
    fn a_played_stream_ends_with_its_body() {
        let stream = as_stream(BODY.as_bytes(), &reply("resp_2", 9), words).unwrap();
        let events = events(&stream);
        let (last, others) = events.split_last().unwrap();
        assert!(others.iter().all(|event| whole(&sse::event(event).unwrap()).is_none()));
        let body = whole(&sse::event(last).unwrap()).unwrap();
        assert_eq!(body, as_body(BODY.trim().as_bytes(), &reply("resp_2", 9)).unwrap());
        assert_eq!(as_body(&body, &reply("resp_1", 7)).unwrap(), BODY.trim().as_bytes());
    }

    #[test]
    fn what_is_not_kept_does_not_say_that_it_is() {
        let store = |no_store, request: &'static [u8]| {
            let reply = ReplyFor { no_store, request: request.into(), ..reply("r", 0) };
            let body = as_body(br#"{"id":"x","store":true,"output":[]}"#, &reply).unwrap();
            String::from_utf8(body).unwrap().contains(r#""store":true"#)
        };
        assert!(store(false, b"{}") && !store(true, b"{}") && store(true, br#"{"store":true}"#));
    }

    #[test]
    fn a_played_stream_says_what_its_body_says() {
        let stream = as_stream(BODY.as_bytes(), &reply("resp_1", 7), words).unwrap();
        let (mut decoder, mut gather, mut deltas) =
            (stream::Decoder::default(), Gather::default(), Vec::<Delta>::new());
        for event in events(&stream) {
            decoder.push(&sse::event(&event).unwrap(), &mut deltas).unwrap();
        }
        deltas.into_iter().for_each(|delta| gather.push(delta));
        let mut body = answer::decode(BODY.as_bytes()).unwrap();
        body.created_s = None;
        assert_eq!(gather.finish(), body);
    }

    #[test]
    fn what_has_no_word_is_played_too() {
        let body = br#"{"id":"r","status":"completed","output":[{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"x"}},{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"a b","annotations":[{"type":"url_citation","url":"u"}],"logprobs":[{"token":"a"}]}]}]}"#;
        let stream = String::from_utf8(as_stream(body, &reply("r", 0), words).unwrap()).unwrap();
        for expected in [
            r#""item":{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"x"}}"#,
            r#""annotation_index":0,"annotation":{"type":"url_citation","url":"u"}"#,
            r#""text":"a b","logprobs":[{"token":"a"}]}"#,
        ] {
            assert!(stream.contains(expected), "{expected} in {stream}");
        }
        let last = events(stream.as_bytes()).pop().unwrap();
        assert_eq!(whole(&sse::event(&last).unwrap()).unwrap(), body);
    }
}
