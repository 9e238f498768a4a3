//! What the gateway itself reads of an OpenAI request; all other fields are the provider's to check.

use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::request::QuestionAt;
use crate::types::surface::Surface;
use crate::wire::hub::Inspected;
use crate::wire::read::wrong_type;
use crate::wire::request::model;

/// Checks a request of `surface`.
pub fn inspect(surface: Surface, json: &Json<'_>) -> Result<Inspected, Error> {
    let model = model(json)?;
    match surface {
        Surface::ChatCompletions => check_messages(json)?,
        Surface::Embeddings => check_prompt(json, "input")?,
        _ => check_prompt(json, "prompt")?,
    }
    // Vectors come whole, whatever is asked.
    let stream = flag(json, "stream")? && surface != Surface::Embeddings;
    let include_usage = match json.get("stream_options") {
        None | Some(Json::Null) => false,
        Some(options @ Json::Object(_)) => flag(options, "include_usage")?,
        Some(other) => return Err(wrong_type("stream_options", "an object", other)),
    };
    let question_at = if surface == Surface::ChatCompletions { question_at(json) } else { None };
    Ok(Inspected { model: Some(model), stream: Some(stream), include_usage, question_at })
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

fn question_at(json: &Json<'_>) -> Option<QuestionAt> {
    let is_user = |message: &Json<'_>| message.get("role").and_then(Json::as_str) == Some("user");
    let is_text = |part: &Json<'_>| part.get("type").and_then(Json::as_str) == Some("text");
    QuestionAt::last(json, "messages", "content", is_user, is_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::request::Request;
    use crate::wire::json::parse;
    use crate::wire::request::{InPath, read};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn chat(body: &str) -> Result<Request, Error> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let json = parse(&body)?;
        read(Surface::ChatCompletions, &json, &body, &InPath::default())
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
