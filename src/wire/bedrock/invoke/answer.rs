//! `Completion` → whole answers of models that take one prompt.

use super::Form;
use crate::types::chat::Content;
use crate::types::completion::{Completion, Stop};
use crate::types::usage::Usage;
use crate::wire::hub::ReplyFor;
use crate::wire::write::{self, Object};

/// Writes a whole answer.
pub(super) fn encode(form: Form, completion: &Completion, reply: &ReplyFor) -> Vec<u8> {
    let choice = completion.choices.first();
    let stop = choice.and_then(|choice| choice.stop.as_ref());
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let words = parts.iter().filter_map(|part| match &part.content {
        Content::Text(text) | Content::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    let text: String = words.collect();
    let (usage, word) = (completion.usage, stop_word(form, stop));
    write::to_vec(|o| match form {
        Form::Titan => {
            o.maybe_integer("inputTextTokenCount", usage.map(|usage| usage.input_tokens));
            o.array("results", |list| {
                list.object(|o| {
                    o.maybe_integer("tokenCount", usage.map(|usage| usage.output_tokens));
                    o.text("outputText", &text);
                    o.text("completionReason", word);
                });
            });
        }
        Form::Llama => {
            o.text("generation", &text);
            llama_counts(usage, o);
            o.text("stop_reason", word);
        }
        Form::Mistral => o.array("outputs", |list| {
            list.object(|o| {
                o.text("text", &text);
                o.text("stop_reason", word);
            });
        }),
        Form::CohereGenerate => {
            o.text("id", &reply.id);
            o.array("generations", |list| {
                list.object(|o| {
                    o.text("id", &reply.id);
                    o.text("text", &text);
                    o.text("finish_reason", word);
                });
            });
        }
        _ => cohere_chat(&text, word, &reply.id, o),
    })
}

/// Writes an answer of Cohere's chat; its history is not repeated.
pub(super) fn cohere_chat(text: &str, word: &str, id: &str, object: &mut Object<'_>) {
    object.text("response_id", id);
    object.text("text", text);
    object.text("generation_id", id);
    object.text("finish_reason", word);
}

/// Writes the counts of Llama; null where nobody counted.
pub(super) fn llama_counts(usage: Option<Usage>, object: &mut Object<'_>) {
    match usage {
        Some(usage) => {
            object.integer("prompt_token_count", usage.input_tokens);
            object.integer("generation_token_count", usage.output_tokens);
        }
        None => {
            object.null("prompt_token_count");
            object.null("generation_token_count");
        }
    }
}

/// How an answer ended, in the family's word.
pub(super) fn stop_word(form: Form, stop: Option<&Stop>) -> &'static str {
    let length = matches!(stop, Some(Stop::Length));
    let filtered = matches!(stop, Some(Stop::Filtered | Stop::Refusal));
    match form {
        Form::Titan if filtered => "CONTENT_FILTERED",
        Form::Titan if length => "LENGTH",
        Form::Titan if matches!(stop, Some(Stop::Sequence(_))) => "STOP_CRITERIA_MET",
        Form::Titan => "FINISH",
        Form::CohereChat | Form::CohereGenerate if length => "MAX_TOKENS",
        Form::CohereChat | Form::CohereGenerate if filtered => "ERROR_TOXIC",
        Form::CohereChat | Form::CohereGenerate => "COMPLETE",
        _ if length => "length",
        _ => "stop",
    }
}
