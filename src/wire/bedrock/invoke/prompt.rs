//! Bodies with one prompt → `Chat`. The turns that a prompt is made of are found again where its template is known.

use crate::types::chat::{Chat, Extra, Message, Part, Role};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::read::{self, maybe_integer, maybe_number, maybe_text, text, texts};
use crate::wire::write::text_of;

/// Amazon Titan Text.
pub(super) fn titan(json: &Json<'_>) -> Result<Chat, Error> {
    let at = "textGenerationConfig";
    let mut chat = asking(text(json, "", "inputText")?);
    if let Some(config) = read::maybe_object(json, "", at)? {
        chat.max_tokens = maybe_integer(config, at, "maxTokenCount")?;
        chat.temperature = maybe_number(config, at, "temperature")?;
        chat.top_p = maybe_number(config, at, "topP")?;
        chat.stop = texts(config, at, "stopSequences")?;
    }
    extras(json, &["inputText", at], &[], &mut chat);
    Ok(chat)
}

/// Meta Llama.
pub(super) fn llama(json: &Json<'_>) -> Result<Chat, Error> {
    let mut chat = of_llama_template(text(json, "", "prompt")?);
    chat.max_tokens = maybe_integer(json, "", "max_gen_len")?;
    chat.temperature = maybe_number(json, "", "temperature")?;
    chat.top_p = maybe_number(json, "", "top_p")?;
    extras(json, &["prompt", "max_gen_len", "temperature", "top_p"], &["images"], &mut chat);
    Ok(chat)
}

/// Mistral's older models.
pub(super) fn mistral(json: &Json<'_>) -> Result<Chat, Error> {
    let mut chat = of_mistral_template(text(json, "", "prompt")?);
    chat.max_tokens = maybe_integer(json, "", "max_tokens")?;
    chat.temperature = maybe_number(json, "", "temperature")?;
    chat.top_p = maybe_number(json, "", "top_p")?;
    chat.top_k = maybe_integer(json, "", "top_k")?;
    chat.stop = texts(json, "", "stop")?;
    extras(json, &["prompt", "max_tokens", "temperature", "top_p", "top_k", "stop"], &[], &mut chat);
    Ok(chat)
}

/// Cohere Command R.
pub(super) fn cohere_chat(json: &Json<'_>) -> Result<Chat, Error> {
    let mut chat = Chat::default();
    chat.system.extend(maybe_text(json, "", "preamble")?.map(Part::text));
    for (at, turn) in read::maybe_array(json, "", "chat_history")?.unwrap_or_default().iter().enumerate() {
        let at = format!("chat_history.[{at}]");
        let role = match text(turn, &at, "role")? {
            "USER" => Role::User,
            "CHATBOT" => Role::Assistant,
            "SYSTEM" => Role::System,
            other => return Err(read::unknown_value(read::path(&at, "role"), "`USER`, `CHATBOT` or `SYSTEM`", other)),
        };
        chat.messages.push(Message::new(role, vec![Part::text(text(turn, &at, "message")?)]));
    }
    chat.messages.push(Message::new(Role::User, vec![Part::text(text(json, "", "message")?)]));
    cohere_sampling(json, &mut chat)?;
    chat.frequency_penalty = maybe_number(json, "", "frequency_penalty")?;
    chat.presence_penalty = maybe_number(json, "", "presence_penalty")?;
    chat.seed = maybe_number(json, "", "seed")?;
    let read = ["message", "chat_history", "preamble", "frequency_penalty", "presence_penalty", "seed"];
    let known = [&read[..], &COHERE_SAMPLING].concat();
    extras(json, &known, &["tools", "tool_results", "documents", "raw_prompting", "response_format"], &mut chat);
    Ok(chat)
}

/// Cohere Command.
pub(super) fn cohere_generate(json: &Json<'_>) -> Result<Chat, Error> {
    let mut chat = asking(text(json, "", "prompt")?);
    cohere_sampling(json, &mut chat)?;
    chat.choices = maybe_integer(json, "", "num_generations")?;
    extras(json, &[&["prompt", "num_generations"][..], &COHERE_SAMPLING].concat(), &["return_likelihoods"], &mut chat);
    Ok(chat)
}

const COHERE_SAMPLING: [&str; 6] = ["max_tokens", "temperature", "p", "k", "stop_sequences", "stream"];

fn cohere_sampling(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    chat.max_tokens = maybe_integer(json, "", "max_tokens")?;
    chat.temperature = maybe_number(json, "", "temperature")?;
    chat.top_p = maybe_number(json, "", "p")?;
    chat.top_k = maybe_integer(json, "", "k")?.filter(|k| *k > 0);
    chat.stop = texts(json, "", "stop_sequences")?;
    Ok(())
}

fn asking(prompt: &str) -> Chat {
    Chat { messages: vec![Message::new(Role::User, vec![Part::text(prompt)])], ..Chat::default() }
}

/// Keeps the fields that were not read.
fn extras(json: &Json<'_>, read: &[&str], essential: &[&str], chat: &mut Chat) {
    let Json::Object(fields) = json else { return };
    for (name, value) in fields.iter().filter(|(name, value)| !read.contains(&name.as_ref()) && *value != Json::Null) {
        let essential = essential.contains(&name.as_ref());
        chat.extra.push(Extra { name: name.to_string(), json: text_of(value), essential });
    }
}

/// The turns of a prompt in Llama 3's template
/// (<https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/>); any other prompt is one turn.
fn of_llama_template(prompt: &str) -> Chat {
    let mut chat = Chat::default();
    for piece in prompt.split("<|start_header_id|>").skip(1) {
        let Some((role, words)) = piece.split_once("<|end_header_id|>") else { return asking(prompt) };
        let words = words.split("<|eot_id|>").next().unwrap_or_default().trim();
        let part = || vec![Part::text(words)];
        match role.trim() {
            "system" if chat.messages.is_empty() => chat.system.extend(part()),
            "system" => chat.messages.push(Message::new(Role::System, part())),
            "user" => chat.messages.push(Message::new(Role::User, part())),
            // The last one stands open for the answer.
            "assistant" if words.is_empty() => {}
            "assistant" => chat.messages.push(Message::new(Role::Assistant, part())),
            _ => return asking(prompt),
        }
    }
    if chat.messages.is_empty() { asking(prompt) } else { chat }
}

/// The turns of a prompt in Mistral's template, `<s>[INST] … [/INST] …</s>`; any other prompt is one turn.
fn of_mistral_template(prompt: &str) -> Chat {
    let mut chat = Chat::default();
    for piece in prompt.split("[INST]").skip(1) {
        let Some((asked, answered)) = piece.split_once("[/INST]") else { return asking(prompt) };
        chat.messages.push(Message::new(Role::User, vec![Part::text(asked.trim())]));
        let answered = answered.trim().trim_end_matches("<s>").trim().trim_end_matches("</s>").trim();
        if !answered.is_empty() {
            chat.messages.push(Message::new(Role::Assistant, vec![Part::text(answered)]));
        }
    }
    if chat.messages.is_empty() { asking(prompt) } else { chat }
}
