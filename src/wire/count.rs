//! Counts of tokens, from one vendor's wire into another's: the conversation goes by way of `Chat`, the answer is a number.
//!
//! - Anthropic, `POST /v1/messages/count_tokens` (<https://platform.claude.com/docs/en/api/messages-count-tokens>)
//! - Gemini, `:countTokens` (<https://ai.google.dev/api/tokens>)
//! - OpenAI, `POST /v1/responses/input_tokens` (<https://platform.openai.com/docs/api-reference/responses/input-tokens>)

use super::hub::{self, Encoded};
use super::json::{parse, top_level};
use super::{anthropic, gemini, write};
use crate::types::chat::Chat;
use crate::types::error::{Error, ErrorKind};
use crate::types::json::Json;
use crate::types::surface::Surface;

/// The surfaces of counts, each of which can be translated into each other.
pub const SURFACES: [Surface; 3] = [Surface::InputTokens, Surface::CountTokens, Surface::CountContent];

/// What Anthropic's counter takes of a request of messages.
const OF_MESSAGES: [&str; 7] = ["model", "system", "messages", "tools", "tool_choice", "thinking", "output_config"];

/// What OpenAI's counter takes of a request of responses.
const OF_RESPONSES: [&str; 8] =
    ["model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning"];

/// Is it a surface of counts?
pub fn is_count(surface: Surface) -> bool {
    SURFACES.contains(&surface)
}

/// Reads what is to be counted.
pub fn decode(surface: Surface, json: &Json<'_>, model: &str) -> Result<Chat, Error> {
    let chat = match surface {
        Surface::CountTokens => hub::decode(Surface::Messages, json, model, false)?,
        Surface::InputTokens => hub::decode(Surface::Responses, json, model, false)?,
        Surface::CountContent => gemini::count::decode(json)?,
        other => return Err(no_count(other)),
    };
    // How the answer is drawn has no part in what the question counts.
    Ok(Chat {
        model: model.to_owned(),
        max_tokens: None,
        temperature: None,
        top_p: None,
        top_k: None,
        frequency_penalty: None,
        presence_penalty: None,
        seed: None,
        stop: Vec::new(),
        choices: None,
        user: None,
        stream: false,
        include_usage: false,
        ..chat
    })
}

/// Writes a request.
pub fn encode(surface: Surface, chat: &Chat) -> Result<Encoded, Error> {
    match surface {
        Surface::CountTokens => hub::encode(Surface::Messages, chat).map(|encoded| only(encoded, &OF_MESSAGES)),
        Surface::InputTokens => hub::encode(Surface::Responses, chat).map(|encoded| only(encoded, &OF_RESPONSES)),
        Surface::CountContent => gemini::count::encode(chat),
        other => Err(no_count(other)),
    }
}

/// The request without the fields that a wire writes for the sake of the answer, which its counter refuses.
fn only(encoded: Encoded, taken: &[&str]) -> Encoded {
    let Some(fields) = top_level(&encoded.body) else { return encoded };
    let body = write::to_vec(|object| {
        for (name, value) in fields.iter().filter(|(name, _)| taken.contains(&name.as_ref())) {
            object.raw(name, value);
        }
    });
    Encoded { body, dropped: encoded.dropped }
}

/// Reads an answer. The error says in words what is wrong with it.
pub fn decode_answer(surface: Surface, body: &[u8]) -> Result<u64, String> {
    match surface {
        Surface::CountTokens => anthropic::count::decode(body),
        Surface::CountContent => gemini::count::decode_answer(body),
        Surface::InputTokens => {
            let json = parse(body).map_err(|error| error.message)?;
            json.get("input_tokens").and_then(Json::as_u64).ok_or_else(|| "expected a number `input_tokens`".to_owned())
        }
        other => Err(no_count(other).message),
    }
}

/// Writes an answer.
pub fn encode_answer(surface: Surface, tokens: u64) -> Vec<u8> {
    match surface {
        Surface::CountTokens => anthropic::count::encode(tokens),
        Surface::CountContent => gemini::count::encode_answer(tokens),
        _ => write::to_vec(|object| {
            object.text("object", "response.input_tokens");
            object.integer("input_tokens", tokens);
        }),
    }
}

fn no_count(surface: Surface) -> Error {
    Error::new(ErrorKind::Internal, format!("`{}` is no surface of counts.", surface.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = r#"{"model":"c","system":"s","messages":[{"role":"user","content":"hi"}]}"#;
    const RESPONSES: &str = r#"{"model":"c","instructions":"s","input":[{"role":"user","content":"hi"}]}"#;
    const CONTENTS: &str = r#"{"generateContentRequest":{"model":"models/c","contents":[{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"s"}]}}}"#;

    #[test]
    fn each_is_asked_by_each() {
        let asked = [
            (Surface::CountTokens, MESSAGES),
            (Surface::CountContent, CONTENTS),
            (Surface::InputTokens, RESPONSES),
            // What an SDK sends along for the answer is of no use to a counter.
            (
                Surface::CountContent,
                r#"{"generateContentRequest":{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"temperature":0.5,"maxOutputTokens":9,"topK":3,"stopSequences":["x"]}}}"#,
            ),
        ];
        for (surface, body) in asked {
            let chat = decode(surface, &parse(body.as_bytes()).unwrap(), "c").unwrap();
            for (target, fields) in [
                (Surface::CountTokens, vec!["model", "system", "messages"]),
                (Surface::CountContent, vec!["generateContentRequest"]),
                (Surface::InputTokens, vec!["model", "instructions", "input"]),
            ] {
                let encoded = encode(target, &chat).unwrap();
                let text = String::from_utf8(encoded.body).unwrap();
                let names: Vec<_> =
                    top_level(text.as_bytes()).unwrap().iter().map(|(name, _)| name.to_string()).collect();
                assert_eq!(names, fields, "{surface:?} to {target:?}: {text}");
                assert_eq!(encoded.dropped, Vec::<String>::new());
                let back = decode(target, &parse(text.as_bytes()).unwrap(), "c").unwrap();
                assert_eq!((&back.system, &back.messages), (&chat.system, &chat.messages), "{text}");
            }
        }
    }

    #[test]
    fn tools_are_counted_and_what_is_kept_elsewhere_is_refused() {
        let tools = r#"{"model":"c","messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}"#;
        let chat = decode(Surface::CountTokens, &parse(tools.as_bytes()).unwrap(), "c").unwrap();
        for target in [Surface::InputTokens, Surface::CountContent] {
            let text = String::from_utf8(encode(target, &chat).unwrap().body).unwrap();
            assert!(text.contains(r#""name":"f""#), "{text}");
        }
        let kept = br#"{"model":"c","input":"hi","previous_response_id":"r"}"#;
        let chat = decode(Surface::InputTokens, &parse(kept).unwrap(), "c").unwrap();
        let error = encode(Surface::CountTokens, &chat).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("previous_response_id"));
    }

    #[test]
    fn answers() {
        let openai = br#"{"object":"response.input_tokens","input_tokens":7}"#;
        assert_eq!(encode_answer(Surface::InputTokens, 7), openai);
        for surface in SURFACES {
            assert_eq!(decode_answer(surface, &encode_answer(surface, 7)), Ok(7));
            assert!(decode_answer(surface, br#"{"error":{"message":"no"}}"#).is_err(), "{surface:?}");
        }
        assert!(decode(Surface::Messages, &parse(b"{}").unwrap(), "c").is_err());
    }
}
