//! Request bodies → `Request`. Checks what the gateway itself reads; all other fields are the provider's to check.

use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::types::request::{QuestionAt, Request};
use crate::types::surface::Surface;
use crate::wire::json::span_of;
use bytes::Bytes;

/// A model's name may be this long.
const MODEL_BYTES: usize = 512;

/// Reads a request of `surface` from its parsed body; `body` is what `json` was parsed from.
pub fn decode(surface: Surface, json: &Json<'_>, body: &Bytes) -> Result<Request, Error> {
    if !matches!(json, Json::Object(_)) {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("The body must be a JSON object; got {}.", json.kind()),
        ));
    }
    let model = model(json)?;
    match surface {
        Surface::ChatCompletions => check_messages(json)?,
        Surface::Completions => check_prompt(json, "prompt")?,
        Surface::Embeddings => check_prompt(json, "input")?,
    }
    let stream = flag(json, "stream")?;
    let include_usage = match json.get("stream_options") {
        None | Some(Json::Null) => false,
        Some(options @ Json::Object(_)) => flag(options, "include_usage")?,
        Some(other) => return Err(wrong_type("stream_options", "an object", other)),
    };
    let question_at = match surface {
        Surface::ChatCompletions => question_at(json),
        Surface::Completions | Surface::Embeddings => None,
    };
    let question = question_at.and_then(|at| text_at(json, at)).map(str::to_owned);
    let model_span = match borrowed_span(body, model) {
        Some(span) => span,
        None => span_of(body, "model").ok_or_else(|| Error::new(ErrorKind::Internal, "`model` lost its place."))?,
    };
    Ok(Request {
        surface,
        model: model.to_owned(),
        model_span,
        stream,
        include_usage,
        body: body.clone(),
        question_at,
        question,
    })
}

fn model<'j>(json: &'j Json<'_>) -> Result<&'j str, Error> {
    match json.get("model") {
        Some(Json::String(name)) if (1..=MODEL_BYTES).contains(&name.len()) => Ok(name),
        Some(Json::String(name)) if !name.is_empty() => {
            Err(Error::invalid("model", format!("`model` is longer than {MODEL_BYTES} bytes.")))
        }
        Some(Json::String(_)) => {
            Err(Error::invalid("model", "`model` is empty. Name a model; GET /v1/models lists them."))
        }
        Some(other) => Err(wrong_type("model", "a string", other)),
        None => Err(Error::invalid(
            "model",
            "you must provide a model parameter: `model` is missing. GET /v1/models lists the models.",
        )),
    }
}

/// The span of a string that was borrowed from `body`, quotes included. `None` when it had escapes.
fn borrowed_span(body: &Bytes, text: &str) -> Option<std::ops::Range<usize>> {
    let start = (text.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let end = start.checked_add(text.len())?;
    let quoted = start.checked_sub(1)?..end.checked_add(1)?;
    let inside = body.get(quoted.clone())?;
    (inside.first() == Some(&b'"') && inside.last() == Some(&b'"') && &inside[1..inside.len() - 1] == text.as_bytes())
        .then_some(quoted)
}

fn check_messages(json: &Json<'_>) -> Result<(), Error> {
    let messages = match json.get("messages") {
        Some(Json::Array(messages)) => messages,
        Some(other) => return Err(wrong_type("messages", "an array", other)),
        None => {
            return Err(Error::invalid("messages", "`messages` is missing. Send an array of messages."));
        }
    };
    if messages.is_empty() {
        return Err(
            Error::invalid("messages", "`messages` is empty. Send at least one message.").with_code("empty_array")
        );
    }
    for (at, message) in messages.iter().enumerate() {
        if !matches!(message, Json::Object(_)) {
            return Err(wrong_type(format!("messages.[{at}]"), "an object", message));
        }
        match message.get("role") {
            Some(Json::String(role)) if !role.is_empty() => {}
            Some(other) => return Err(wrong_type(format!("messages.[{at}].role"), "a non-empty string", other)),
            None => {
                return Err(Error::invalid(
                    format!("messages.[{at}].role"),
                    format!("`messages.[{at}].role` is missing."),
                ));
            }
        }
        match message.get("content") {
            None | Some(Json::Null | Json::String(_) | Json::Array(_)) => {}
            Some(other) => {
                return Err(wrong_type(format!("messages.[{at}].content"), "a string or an array of parts", other));
            }
        }
    }
    Ok(())
}

fn check_prompt(json: &Json<'_>, name: &'static str) -> Result<(), Error> {
    match json.get(name) {
        Some(Json::String(_)) => Ok(()),
        Some(Json::Array(items)) if !items.is_empty() => Ok(()),
        Some(Json::Array(_)) => {
            Err(Error::invalid(name, format!("`{name}` is an empty array.")).with_code("empty_array"))
        }
        // The completions endpoint has a default prompt; embeddings has no default input.
        None | Some(Json::Null) if name == "prompt" => Ok(()),
        Some(other) => Err(wrong_type(name, "a string or an array", other)),
        None => Err(Error::invalid(name, format!("`{name}` is missing."))),
    }
}

fn flag(json: &Json<'_>, name: &'static str) -> Result<bool, Error> {
    match json.get(name) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(value)) => Ok(*value),
        Some(other) => Err(wrong_type(name, "a boolean", other)),
    }
}

fn wrong_type(param: impl Into<String>, expected: &str, got: &Json<'_>) -> Error {
    let param = param.into();
    let message = format!("Invalid type for `{param}`: expected {expected}, but got {} instead.", got.kind());
    Error::invalid(param, message).with_code("invalid_type")
}

/// The last text of the last message, when that message is a user's.
///
/// Of several text parts only the last is the question; the others count exactly, like everything else.
fn question_at(json: &Json<'_>) -> Option<QuestionAt> {
    let messages = json.get("messages")?.as_array()?;
    let message = messages.len().checked_sub(1)?;
    let last = &messages[message];
    if last.get("role")?.as_str()? != "user" {
        return None;
    }
    match last.get("content")? {
        Json::String(_) => Some(QuestionAt { message, part: None }),
        Json::Array(parts) => {
            let is_text = |part: &Json<'_>| {
                part.get("type").and_then(Json::as_str) == Some("text")
                    && part.get("text").and_then(Json::as_str).is_some()
            };
            let part = parts.iter().rposition(is_text)?;
            Some(QuestionAt { message, part: Some(part) })
        }
        _ => None,
    }
}

fn text_at<'j>(json: &'j Json<'_>, at: QuestionAt) -> Option<&'j str> {
    let content = json.get("messages")?.as_array()?.get(at.message)?.get("content")?;
    match at.part {
        None => content.as_str(),
        Some(part) => content.as_array()?.get(part)?.get("text")?.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;
    use proptest::prelude::*;

    fn chat(body: &str) -> Result<Request, Error> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let json = parse(&body)?;
        decode(Surface::ChatCompletions, &json, &body)
    }

    #[test]
    fn finds_the_question() {
        let table = [
            (r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#, Some("hi")),
            (r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#, None),
            (
                r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"b"}]}]}"#,
                Some("b"),
            ),
            (
                r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
                None,
            ),
            (r#"{"model":"m","messages":[{"role":"tool","content":"4"}]}"#, None),
        ];
        for (body, expected) in table {
            assert_eq!(chat(body).unwrap().question.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn refuses_wrong_shapes_by_field() {
        let table = [
            ("[]", None, "must be a JSON object"),
            (r#"{"messages":[]}"#, Some("model"), "missing"),
            (r#"{"model":"","messages":[]}"#, Some("model"), "empty"),
            (r#"{"model":7,"messages":[]}"#, Some("model"), "expected a string, but got a number"),
            (r#"{"model":"m"}"#, Some("messages"), "missing"),
            (r#"{"model":"m","messages":{}}"#, Some("messages"), "expected an array"),
            (r#"{"model":"m","messages":[]}"#, Some("messages"), "empty"),
            (r#"{"model":"m","messages":["x"]}"#, Some("messages.[0]"), "expected an object"),
            (r#"{"model":"m","messages":[{"content":"x"}]}"#, Some("messages.[0].role"), "missing"),
            (r#"{"model":"m","messages":[{"role":1}]}"#, Some("messages.[0].role"), "string"),
            (r#"{"model":"m","messages":[{"role":"user","content":3}]}"#, Some("messages.[0].content"), "string"),
            (r#"{"model":"m","messages":[{"role":"user"}],"stream":"yes"}"#, Some("stream"), "a boolean"),
            (r#"{"model":"m","messages":[{"role":"user"}],"stream_options":1}"#, Some("stream_options"), "an object"),
        ];
        for (body, param, expected) in table {
            let error = chat(body).unwrap_err();
            assert_eq!(error.param.as_deref(), param, "{body}");
            assert!(error.message.contains(expected), "{body}: {}", error.message);
        }
    }

    #[test]
    fn an_escaped_model_name_is_replaced_too() {
        let request =
            chat(r#"{"messages":[{"role":"user","content":"model"}],"model" : "gpt\u002d4" , "x":1}"#).unwrap();
        assert_eq!(request.model, "gpt-4");
        let sent = request.body_for("a\"b");
        assert_eq!(sent, r#"{"messages":[{"role":"user","content":"model"}],"model" : "a\"b" , "x":1}"#.as_bytes());
    }

    proptest! {
        /// The bytes law: everything but the model's name passes as it came.
        #[test]
        fn only_the_model_name_changes(before in "[a-z]{1,6}", number in "-?[1-9][0-9]{0,30}(\\.[0-9]{1,9})?", text in "\\PC{0,40}", space in "[ \\n\\t]{0,3}") {
            let text = serde_json::to_string(&text).unwrap();
            let make = |model: &str| format!("{{{space}\"x_{before}\":{number},{space}\"model\":{space}{model}{space},\"messages\":[{{\"role\":\"user\",\"content\":{text},\"z\":{number}}}]}}");
            let request = chat(&make("\"one\"")).unwrap();
            prop_assert_eq!(request.body_for("one"), make("\"one\"").into_bytes());
            prop_assert_eq!(request.body_for("two/2"), make("\"two/2\"").into_bytes());
        }
    }
}
