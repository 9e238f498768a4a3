//! How a request is to be answered: tools, and `generationConfig`.

use crate::types::chat::{Chat, Extra, Format, Reasoning, Schema, Tool, ToolChoice};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::gemini::fields::{
    camel, field, list, maybe_flag, maybe_integer, maybe_number, maybe_object, maybe_signed, maybe_text, text, texts,
};
use crate::wire::gemini::schema::to_json_schema;
use crate::wire::read::{path, unknown_value, wrong_type};
use crate::wire::write;

/// Tools: functions, and those that Google runs itself, which nobody else has.
pub(super) fn tools(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    for (index, tool) in list(json, "", "tools")?.iter().enumerate() {
        let at = format!("tools[{index}]");
        let Json::Object(fields) = tool else { return Err(wrong_type(at, "an object", tool)) };
        for (one, declaration) in list(tool, &at, "functionDeclarations")?.iter().enumerate() {
            chat.tools.push(function(declaration, &format!("{at}.functionDeclarations[{one}]"))?);
        }
        for (key, value) in fields.iter().filter(|(_, value)| *value != Json::Null) {
            let name = camel(key);
            if name != "functionDeclarations" {
                let json = write::text_of(value);
                chat.extra.push(Extra { name: format!("tools.{name}"), json, essential: true });
            }
        }
    }
    Ok(())
}

fn function(json: &Json<'_>, at: &str) -> Result<Tool, Error> {
    let schema = match field(json, "parametersJsonSchema") {
        Some(schema) => Some(write::text_of(schema)),
        None => maybe_object(json, at, "parameters")?.map(to_json_schema),
    };
    Ok(Tool {
        name: text(json, at, "name")?.to_owned(),
        description: maybe_text(json, at, "description")?.map(str::to_owned),
        parameters: schema,
        strict: None,
        cache: None,
    })
}

/// Whether and which functions must be called.
pub(super) fn tool_config(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    let Some(config) = maybe_object(json, "", "toolConfig")? else { return Ok(()) };
    if let Json::Object(fields) = config {
        let others = fields.iter().filter(|(_, value)| *value != Json::Null).map(|(key, value)| (camel(key), value));
        for (name, value) in others.filter(|(name, _)| name != "functionCallingConfig") {
            extra(chat, format!("toolConfig.{name}"), value, false);
        }
    }
    let Some(calling) = maybe_object(config, "toolConfig", "functionCallingConfig")? else { return Ok(()) };
    let at = "toolConfig.functionCallingConfig";
    let allowed = texts(calling, at, "allowedFunctionNames")?;
    let mode = maybe_text(calling, at, "mode")?.unwrap_or("AUTO").to_ascii_uppercase();
    chat.tool_choice = Some(match (mode.as_str(), allowed.as_slice()) {
        ("AUTO" | "MODE_UNSPECIFIED", _) => ToolChoice::Auto,
        ("NONE", _) => ToolChoice::None,
        ("ANY", [name]) => ToolChoice::Tool(name.clone()),
        ("ANY", _) => ToolChoice::Any,
        ("VALIDATED", _) => {
            // Only the checking of arguments is lost.
            extra(chat, format!("{at}.mode"), &Json::String("VALIDATED".into()), false);
            ToolChoice::Auto
        }
        (other, _) => {
            return Err(unknown_value(format!("{at}.mode"), "`AUTO`, `ANY`, `NONE` or `VALIDATED`", other));
        }
    });
    // What may not be called need not be shown.
    if matches!(mode.as_str(), "ANY" | "VALIDATED") && !allowed.is_empty() {
        chat.tools.retain(|tool| allowed.contains(&tool.name));
    }
    Ok(())
}

/// `generationConfig`.
pub(super) fn generation(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    const AT: &str = "generationConfig";
    let Some(config @ Json::Object(fields)) = maybe_object(json, "", AT)? else { return Ok(()) };
    chat.temperature = maybe_number(config, AT, "temperature")?;
    chat.top_p = maybe_number(config, AT, "topP")?;
    chat.top_k = maybe_integer(config, AT, "topK")?;
    chat.max_tokens = maybe_integer(config, AT, "maxOutputTokens")?;
    chat.stop = texts(config, AT, "stopSequences")?;
    chat.choices = maybe_integer(config, AT, "candidateCount")?;
    chat.seed = maybe_number(config, AT, "seed")?;
    chat.presence_penalty = maybe_number(config, AT, "presencePenalty")?;
    chat.frequency_penalty = maybe_number(config, AT, "frequencyPenalty")?;
    chat.reasoning = thinking(config)?;
    format(config, chat)?;
    for (key, value) in fields.iter().filter(|(_, value)| *value != Json::Null) {
        match camel(key).as_str() {
            "temperature" | "topP" | "topK" | "maxOutputTokens" | "stopSequences" | "candidateCount" | "seed"
            | "presencePenalty" | "frequencyPenalty" | "thinkingConfig" | "responseMimeType" | "responseSchema"
            | "responseJsonSchema" | "responseFormat" => {}
            "responseModalities" if is_text_alone(value) => {}
            name => {
                let asks = matches!(name, "responseModalities" | "speechConfig" | "imageConfig" | "logprobs")
                    || (name == "responseLogprobs" && *value == Json::Bool(true));
                extra(chat, format!("{AT}.{name}"), value, asks);
            }
        }
    }
    Ok(())
}

fn is_text_alone(modalities: &Json<'_>) -> bool {
    let is_text = |one: &Json<'_>| one.as_str().is_some_and(|word| word.eq_ignore_ascii_case("TEXT"));
    modalities.as_array().is_some_and(|all| all.iter().all(is_text))
}

fn thinking(config: &Json<'_>) -> Result<Option<Reasoning>, Error> {
    let Some(thinking) = maybe_object(config, "generationConfig", "thinkingConfig")? else { return Ok(None) };
    let at = "generationConfig.thinkingConfig";
    let (enabled, budget_tokens) = match maybe_signed(thinking, at, "thinkingBudget")? {
        None => (None, None),
        Some(0) => (Some(false), Some(0)),
        // -1 leaves it to the model.
        Some(budget) => (Some(true), u64::try_from(budget).ok()),
    };
    let effort = match maybe_text(thinking, at, "thinkingLevel")?.map(str::to_ascii_lowercase) {
        Some(word) if word == "thinking_level_unspecified" => None,
        word => word,
    };
    let include = maybe_flag(thinking, at, "includeThoughts")?;
    Ok(Some(Reasoning { enabled, effort, budget_tokens, include }))
}

/// The form of the answer: a media type and a schema, in one of three places.
fn format(config: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    const AT: &str = "generationConfig";
    let media_type = maybe_text(config, AT, "responseMimeType")?;
    let mut schema = match field(config, "responseJsonSchema") {
        Some(schema) => Some(write::text_of(schema)),
        None => maybe_object(config, AT, "responseSchema")?.map(to_json_schema),
    };
    let mut is_json = media_type == Some("application/json");
    if let Some(format) = maybe_object(config, AT, "responseFormat")? {
        let at = path(AT, "responseFormat");
        let words = maybe_object(format, &at, "text")?;
        if words.is_none() || matches!(format, Json::Object(fields) if fields.len() > 1) {
            extra(chat, at.clone(), format, true);
        }
        if let Some(words) = words {
            let kind = maybe_text(words, &path(&at, "text"), "mimeType")?.unwrap_or_default();
            is_json = is_json || matches!(kind, "application/json" | "APPLICATION_JSON");
            schema = schema.or_else(|| field(words, "schema").map(write::text_of));
        }
    }
    if let Some(other) = media_type.filter(|kind| !matches!(*kind, "application/json" | "text/plain")) {
        extra(chat, path(AT, "responseMimeType"), &Json::String(other.into()), true);
    }
    chat.format = match (is_json, schema) {
        (true, Some(schema)) => Some(Format::Schema(Schema { name: None, description: None, schema, strict: None })),
        (true, None) => Some(Format::Json),
        (false, _) => None,
    };
    Ok(())
}

fn extra(chat: &mut Chat, name: String, value: &Json<'_>, essential: bool) {
    chat.extra.push(Extra { name, json: write::text_of(value), essential });
}
