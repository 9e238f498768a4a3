//! `Chat` → request bodies.
//!
//! Schemas go into `parametersJsonSchema` and `responseJsonSchema`, which take JSON Schema. The older `parameters` and
//! `responseSchema` are messages with the fields of OpenAPI's dialect only: `additionalProperties`, `$ref` or a list of
//! types in them are refused as unknown names.

use super::content;
use crate::types::chat::{Chat, Format, Reasoning, Tool, ToolChoice};
use crate::types::error::Error;
use crate::types::json::Number;
use crate::wire::gemini::generation::{self, Thinking};
use crate::wire::hub::{Encoded, Losses};
use crate::wire::write::{self, Object};

/// Top-level fields of this wire that have no word in `Chat` and go through it as they are.
const OWN: [&str; 4] = ["safetySettings", "cachedContent", "labels", "serviceTier"];

/// Extras of this wire that stand deeper, by how their names begin.
const OWN_BELOW: [&str; 3] = ["tools.", "toolConfig.", "generationConfig."];

/// Google takes so many answers at most.
const MOST_CHOICES: u64 = 8;

/// Writes a request.
pub fn encode(chat: &Chat) -> Result<Encoded, Error> {
    let mut losses = Losses::default();
    let mut body = Vec::with_capacity(1024);
    write::object(&mut body, |o| fields(o, chat, &mut losses));
    losses.drop_if(chat.parallel_tool_calls == Some(false), "parallel_tool_calls");
    losses.drop_if(chat.user.is_some(), "user");
    losses.extras(chat, |name| OWN.contains(&name) || OWN_BELOW.iter().any(|below| name.starts_with(below)));
    losses.encoded(body)
}

/// Writes the fields of a request.
pub(in crate::wire::gemini) fn fields(o: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    o.array("contents", |list| content::turns(list, chat, losses));
    tools(o, chat, losses);
    tool_config(o, chat);
    own(o, chat, "safetySettings");
    let system = content::system(chat, losses);
    if !system.is_empty() {
        o.object("systemInstruction", |o| {
            o.array("parts", |list| system.iter().for_each(|text| list.object(|o| o.text("text", text))));
        });
    }
    let config = write::to_text(|config| generation(config, chat, losses));
    if config != "{}" {
        o.raw("generationConfig", &config);
    }
    for name in OWN.iter().skip(1) {
        own(o, chat, name);
    }
}

fn own(o: &mut Object<'_>, chat: &Chat, name: &str) {
    o.maybe_raw(name, chat.extra.iter().find(|extra| extra.name == name).map(|extra| extra.json.as_str()));
}

/// Extras below `at`, by what is left of their names.
fn below<'c>(chat: &'c Chat, at: &'static str) -> impl Iterator<Item = (&'c str, &'c str)> {
    chat.extra.iter().filter_map(move |extra| Some((extra.name.strip_prefix(at)?, extra.json.as_str())))
}

fn tools(o: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    if chat.tools.is_empty() && below(chat, "tools.").next().is_none() {
        return;
    }
    o.array("tools", |list| {
        if !chat.tools.is_empty() {
            list.object(|o| {
                o.array("functionDeclarations", |list| {
                    chat.tools.iter().for_each(|tool| list.object(|o| function(o, tool, losses)));
                });
            });
        }
        for (name, json) in below(chat, "tools.") {
            list.object(|o| o.raw(name, json));
        }
    });
}

fn function(o: &mut Object<'_>, tool: &Tool, losses: &mut Losses) {
    o.text("name", &tool.name);
    o.maybe_text("description", tool.description.as_deref());
    o.maybe_raw("parametersJsonSchema", tool.parameters.as_deref());
    losses.drop_if(tool.strict == Some(true), "tools.strict");
    losses.drop_if(tool.cache.is_some(), "cache_control");
}

fn tool_config(o: &mut Object<'_>, chat: &Chat) {
    let others: Vec<_> =
        below(chat, "toolConfig.").filter(|(name, _)| !name.starts_with("functionCallingConfig")).collect();
    let validated = below(chat, "toolConfig.functionCallingConfig.mode").next().is_some();
    // Nothing to call: a mode would be refused.
    let choice = chat.tool_choice.as_ref().filter(|_| !chat.tools.is_empty());
    if choice.is_none() && others.is_empty() {
        return;
    }
    o.object("toolConfig", |o| {
        if let Some(choice) = choice {
            o.object("functionCallingConfig", |o| match choice {
                ToolChoice::Auto => o.text("mode", if validated { "VALIDATED" } else { "AUTO" }),
                ToolChoice::None => o.text("mode", "NONE"),
                ToolChoice::Any => o.text("mode", "ANY"),
                ToolChoice::Tool(name) => {
                    o.text("mode", "ANY");
                    o.array("allowedFunctionNames", |list| list.text(name));
                }
            });
        }
        others.iter().for_each(|(name, json)| o.raw(name, json));
    });
}

fn generation(o: &mut Object<'_>, chat: &Chat, losses: &mut Losses) {
    if !chat.stop.is_empty() {
        o.array("stopSequences", |list| chat.stop.iter().for_each(|text| list.text(text)));
    }
    match &chat.format {
        Some(Format::Json) => o.text("responseMimeType", "application/json"),
        Some(Format::Schema(schema)) => {
            o.text("responseMimeType", "application/json");
            o.raw("responseJsonSchema", &schema.schema);
        }
        None => {}
    }
    match chat.choices {
        Some(n) if n > MOST_CHOICES => losses.refuse("n", "Gemini gives at most 8 answers to one request."),
        n => o.maybe_integer("candidateCount", n),
    }
    o.maybe_integer("maxOutputTokens", chat.max_tokens);
    o.maybe_number("temperature", chat.temperature);
    o.maybe_number("topP", chat.top_p);
    o.maybe_integer("topK", chat.top_k);
    match chat.seed {
        Some(seed) if !fits(seed) => losses.drop("seed"),
        seed => o.maybe_number("seed", seed),
    }
    o.maybe_number("presencePenalty", chat.presence_penalty);
    o.maybe_number("frequencyPenalty", chat.frequency_penalty);
    if let Some(reasoning) = &chat.reasoning {
        thinking(o, reasoning, &chat.model, losses);
    }
    for (name, json) in below(chat, "generationConfig.") {
        o.raw(name, json);
    }
}

/// Google's seeds have 32 bits.
fn fits(seed: Number) -> bool {
    match seed {
        Number::Unsigned(n) => i32::try_from(n).is_ok(),
        Number::Signed(n) => i32::try_from(n).is_ok(),
        Number::Float(_) => false,
    }
}

/// Thinking, in the way that the model takes. What it cannot do (think less than its least) is reported.
fn thinking(o: &mut Object<'_>, reasoning: &Reasoning, model: &str, losses: &mut Losses) {
    let way = generation::thinking(model);
    if way == Thinking::No {
        return losses.drop_if(!reasoning.is_off(), "reasoning");
    }
    let include = reasoning.include.or((reasoning.enabled == Some(true)).then_some(true));
    let config = write::to_text(|o| {
        o.maybe_flag("includeThoughts", include.filter(|_| !reasoning.is_off()));
        match way {
            Thinking::Budget { least, most } => {
                o.maybe_integer("thinkingBudget", budget(reasoning, least, most, losses))
            }
            Thinking::Level(least) => o.maybe_text("thinkingLevel", level(reasoning, least, losses)),
            Thinking::No => {}
        }
    });
    if config != "{}" {
        o.raw("thinkingConfig", &config);
    }
}

fn budget(reasoning: &Reasoning, least: u64, most: u64, losses: &mut Losses) -> Option<u64> {
    let wanted = if reasoning.is_off() { Some(0) } else { reasoning.budget() }?;
    // An effort in words is a wish; a number of tokens, or none at all, was meant.
    losses.drop_if(wanted < least || (wanted > most && reasoning.budget_tokens.is_some()), "reasoning.budget");
    Some(wanted.clamp(least, most))
}

fn level(reasoning: &Reasoning, least: &'static str, losses: &mut Losses) -> Option<&'static str> {
    if reasoning.is_off() {
        // These models always think; what is least comes near to it.
        losses.drop("reasoning.off");
        return Some(least);
    }
    Some(match reasoning.effort_word()? {
        "none" | "minimal" => least,
        "low" => "LOW",
        "medium" => "MEDIUM",
        _ => "HIGH",
    })
}
