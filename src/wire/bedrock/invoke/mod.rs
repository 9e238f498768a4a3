//! Bodies of InvokeModel, by the family of the model: read into `Chat`, so that another provider can serve them, and
//! answered in the same form. A provider of Bedrock is sent them as they came.
//!
//! The forms are those of <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html>. Which one it is, the
//! body tells, and the model's name where two are alike.
//!
//! - `prompt`: bodies with one prompt and no turns (Titan, Llama, Mistral, Cohere)
//! - `answer`: whole answers of those
//! - `stream`: streams of all, `event: chunk` with `{"bytes": …}` in base64
//! - `embed`: embeddings of Titan and Cohere ↔ those of OpenAI

mod answer;
pub mod embed;
mod prompt;
mod stream;
#[cfg(test)]
mod tests;

pub use stream::Encoder;

use crate::types::chat::Chat;
use crate::types::completion::Completion;
use crate::types::error::Error;
use crate::types::json::Json;
use crate::types::request::QuestionAt;
use crate::wire::hub::{Inspected, ReplyFor};
use crate::wire::json::parse;
use crate::wire::{anthropic, openai};
use std::borrow::Cow;

/// The form of a body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// Anthropic's Messages, with `anthropic_version` and neither model nor stream.
    Anthropic,
    /// Amazon Nova: nearly Converse.
    Nova,
    /// OpenAI's chat completions: Mistral's newer models, gpt-oss, Qwen, DeepSeek and others.
    OpenAi,
    /// Amazon Titan Text.
    Titan,
    /// Meta Llama.
    Llama,
    /// Mistral's older models.
    Mistral,
    /// Cohere Command R.
    CohereChat,
    /// Cohere Command.
    CohereGenerate,
    /// Amazon Titan Embeddings.
    TitanEmbed,
    /// Cohere Embed.
    CohereEmbed,
}

impl Form {
    /// The form of the body `json` for `model`; `None` where it is none that is known.
    pub fn of(model: &str, json: &Json<'_>) -> Option<Form> {
        let has = |name: &str| json.get(name).is_some();
        Some(match () {
            () if has("anthropic_version") => Form::Anthropic,
            () if has("texts") && has("input_type") => Form::CohereEmbed,
            () if has("inputText") && model.contains("embed") => Form::TitanEmbed,
            () if has("inputText") => Form::Titan,
            () if has("message") => Form::CohereChat,
            () if has("prompt") && (has("max_gen_len") || model.contains("llama")) => Form::Llama,
            () if has("prompt") && model.contains("mistral.") => Form::Mistral,
            () if has("prompt") && model.contains("cohere.") => Form::CohereGenerate,
            () if has("messages") && (has("schemaVersion") || model.contains("amazon.nova")) => Form::Nova,
            () if has("messages") && !model.contains("anthropic.") => Form::OpenAi,
            () => return None,
        })
    }

    /// Is it one of embeddings?
    pub fn is_embedding(self) -> bool {
        matches!(self, Form::TitanEmbed | Form::CohereEmbed)
    }
}

/// Checks what the gateway itself reads of a request. Any body will do: Bedrock is sent it as it came.
pub fn inspect(model: &str, json: &Json<'_>) -> Inspected {
    let role = |turn: &Json<'_>| turn.get("role").and_then(Json::as_str) == Some("user");
    let question_at = match Form::of(model, json) {
        Some(Form::Anthropic | Form::OpenAi) => QuestionAt::last(json, "messages", "content", role, |part| {
            part.get("type").and_then(Json::as_str) == Some("text")
        }),
        Some(Form::Nova) => QuestionAt::last(json, "messages", "content", role, |_| true),
        Some(Form::CohereChat) => whole(json, "message"),
        Some(Form::Titan) => whole(json, "inputText"),
        _ => None,
    };
    Inspected { question_at, ..Inspected::default() }
}

/// A field that is the question itself.
fn whole(json: &Json<'_>, list: &'static str) -> Option<QuestionAt> {
    json.get(list)?.as_str()?;
    Some(QuestionAt { list, message: None, content: "", part: None })
}

/// Reads a request, to be served by another provider.
pub fn decode(model: &str, json: &Json<'_>, stream: bool) -> Result<Chat, Error> {
    let chat = match Form::of(model, json) {
        Some(Form::Anthropic) => anthropic::request::decode(&named(json, model, &["anthropic_version"]))?,
        Some(Form::Nova) => super::request::decode(&named(json, model, &["schemaVersion"])).map(|chat| Chat {
            extra: chat.extra.into_iter().filter(|extra| extra.name != "model").collect(),
            ..chat
        })?,
        Some(Form::OpenAi) => openai::request::decode(&named(json, model, &[]))?,
        Some(Form::Titan) => prompt::titan(json)?,
        Some(Form::Llama) => prompt::llama(json)?,
        Some(Form::Mistral) => prompt::mistral(json)?,
        Some(Form::CohereChat) => prompt::cohere_chat(json)?,
        Some(Form::CohereGenerate) => prompt::cohere_generate(json)?,
        Some(Form::TitanEmbed | Form::CohereEmbed) | None => {
            let message = "The body is in no form of a conversation that another provider could be sent: neither Anthropic's \
                           Messages (with `anthropic_version`), nor that of Nova, Titan Text, Llama, Mistral, Cohere Command \
                           or OpenAI.";
            return Err(Error::invalid("body", message).with_code("unsupported_by_target"));
        }
    };
    Ok(Chat { model: model.to_owned(), stream, ..chat })
}

/// The body with the model in it, as its own wire has it, and without what only Bedrock has.
fn named<'j>(json: &Json<'j>, model: &str, without: &[&str]) -> Json<'j> {
    let Json::Object(fields) = json else { return json.clone() };
    let mut all = Vec::with_capacity(fields.len() + 1);
    all.push((Cow::Borrowed("model"), Json::String(Cow::Owned(model.to_owned()))));
    let kept = fields.iter().filter(|(name, _)| name != "model" && !without.contains(&name.as_ref()));
    all.extend(kept.cloned());
    Json::Object(all)
}

/// The form of the request that `reply` answers; that of OpenAI where it is none.
fn form_of(model: &str, reply: &ReplyFor) -> Form {
    parse(&reply.request).ok().and_then(|json| Form::of(model, &json)).unwrap_or(Form::OpenAi)
}

/// Writes a whole answer in the form of the request, which stands in `reply`.
pub fn encode_answer(model: &str, completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    match form_of(model, reply) {
        Form::Anthropic => anthropic::answer::encode(completion, reply),
        Form::Nova => super::answer::encode(completion, reply),
        form @ (Form::Titan | Form::Llama | Form::Mistral | Form::CohereChat | Form::CohereGenerate) => {
            answer::encode(form, completion, reply)
        }
        Form::OpenAi | Form::TitanEmbed | Form::CohereEmbed => openai::completion::encode(completion, reply),
    }
}
