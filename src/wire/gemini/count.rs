//! `countTokens` (<https://ai.google.dev/api/tokens>): a request's contents, or a whole `generateContentRequest`.

use super::embed::resource;
use super::fields::{count, field};
use super::request;
use crate::types::chat::Chat;
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::{Encoded, Losses};
use crate::wire::json::parse;
use crate::wire::write;

/// Reads what is to be counted.
pub fn decode(json: &Json<'_>) -> Result<Chat, Error> {
    request::decode(field(json, "generateContentRequest").unwrap_or(json))
}

/// Writes a request. Only a whole one can hold tools and a system instruction.
pub fn encode(chat: &Chat) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    let body = write::to_vec(|o| {
        o.object("generateContentRequest", |o| {
            o.text("model", &resource(&chat.model));
            request::fields(o, chat, &mut losses);
        });
    });
    losses.encoded(body)
}

/// The request without the object around it, as Vertex AI takes it, where it has one
/// (<https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens>).
pub fn bare(body: &[u8]) -> Vec<u8> {
    let Ok(json) = parse(body) else { return body.to_vec() };
    let Some(Json::Object(fields)) = field(&json, "generateContentRequest") else { return body.to_vec() };
    // It refuses all other fields of a request. What they say has no tokens.
    const COUNTED: [&str; 5] = ["contents", "systemInstruction", "system_instruction", "tools", "generationConfig"];
    write::to_vec(|o| {
        for (key, value) in fields.iter().filter(|(key, _)| COUNTED.contains(&key.as_ref())) {
            write::value(o.key(key), value);
        }
    })
}

/// Reads an answer. The error says in words what is wrong with it.
pub fn decode_answer(body: &[u8]) -> Result<u64, String> {
    let json = parse(body).map_err(|error| error.message)?;
    match field(&json, "totalTokens") {
        Some(_) => Ok(count(&json, "totalTokens")),
        // Fields that are 0 are left out of protobuf's JSON.
        None if matches!(json, Json::Object(_)) && field(&json, "error").is_none() => Ok(0),
        None => Err("expected `totalTokens`".to_owned()),
    }
}

/// Writes an answer.
pub fn encode_answer(tokens: u64) -> Vec<u8> {
    write::to_vec(|o| o.integer("totalTokens", tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let contents = r#""contents":[{"role":"user","parts":[{"text":"hi"}]}]"#;
        let whole = format!(
            r#"{{"generateContentRequest":{{"model":"models/m",{contents},"systemInstruction":{{"parts":[{{"text":"s"}}]}}}}}}"#
        );
        let bare_one = format!("{{{contents}}}");
        for body in [&whole, &bare_one] {
            let chat = decode(&parse(body.as_bytes()).unwrap()).unwrap();
            assert_eq!(chat.messages[0].parts[0].as_text(), Some("hi"));
        }
        let chat = Chat { model: "m".into(), ..decode(&parse(whole.as_bytes()).unwrap()).unwrap() };
        assert_eq!(String::from_utf8(encode(&chat).unwrap().body).unwrap(), whole);
        let unwrapped = String::from_utf8(bare(whole.as_bytes())).unwrap();
        assert_eq!(unwrapped, format!(r#"{{{contents},"systemInstruction":{{"parts":[{{"text":"s"}}]}}}}"#));
        assert_eq!(bare(bare_one.as_bytes()), bare_one.as_bytes());
        let more = whole.replace("\"contents\"", "\"toolConfig\":{},\"safetySettings\":[],\"tools\":[],\"contents\"");
        let unwrapped = String::from_utf8(bare(more.as_bytes())).unwrap();
        assert!(unwrapped.starts_with(r#"{"tools":[],"contents""#), "{unwrapped}");
    }

    #[test]
    fn answers() {
        assert_eq!(decode_answer(&encode_answer(31)), Ok(31));
        assert_eq!(decode_answer(br#"{"totalTokens":"7","promptTokensDetails":[]}"#), Ok(7));
        assert_eq!(decode_answer(b"{}"), Ok(0));
        assert!(decode_answer(br#"{"error":{}}"#).is_err() && decode_answer(b"[]").is_err());
    }
}
