//! What Converse has no field for and single models have: how much they think, and `top_k`. It stands in
//! `additionalModelRequestFields`, in the words of each model's vendor.
//!
//! Claude: <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html> and
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html>; Nova 2:
//! <https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html>; gpt-oss: `reasoning_effort`.

use crate::types::chat::{Chat, Extra, Reasoning};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::Losses;
use crate::wire::read::{self, maybe_integer, maybe_object, maybe_text};
use crate::wire::write::{self, text_of};

const AT: &str = "additionalModelRequestFields";

/// Fewer tokens of thought Claude does not take.
const LEAST_BUDGET: u64 = 1_024;
/// Tokens of thought where they are wanted and no number is told.
const USUAL_BUDGET: u64 = 4_096;

/// Whose words a model understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    /// Claude of that version; (0, 0) where its name does not tell.
    Claude(u32, u32),
    Nova,
    GptOss,
    Mistral,
    Cohere,
    Other,
}

impl Family {
    fn of(model: &str) -> Family {
        match model {
            claude if claude.contains("anthropic.claude") => {
                let (major, minor) = version(claude.rsplit("claude-").next().unwrap_or_default());
                Family::Claude(major, minor)
            }
            nova if nova.contains("amazon.nova") => Family::Nova,
            gpt if gpt.contains("openai.gpt") => Family::GptOss,
            mistral if mistral.contains("mistral.") => Family::Mistral,
            cohere if cohere.contains("cohere.") => Family::Cohere,
            _ => Family::Other,
        }
    }
}

/// The version in the rest of a name, as in `opus-4-7`, `3-7-sonnet-20250219-v1:0`.
fn version(name: &str) -> (u32, u32) {
    let mut numbers = name.split('-').map(|word| word.parse::<u32>().ok().filter(|n| *n < 100));
    let major = numbers.by_ref().find_map(|number| number).unwrap_or_default();
    (major, numbers.next().flatten().unwrap_or_default())
}

/// Does the model want back no thoughts but those that it signed?
pub(super) fn wants_signed_thoughts(model: &str) -> bool {
    matches!(Family::of(model), Family::Claude(..))
}

/// Reads the thoughts and `top_k` of a request; what has no word becomes an extra.
pub(super) fn read(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    let config = maybe_object(json, "", "outputConfig")?;
    let effort = config.map(|config| maybe_text(config, "outputConfig", "effort")).transpose()?.flatten();
    let mut reasoning = Reasoning { effort: effort.map(str::to_owned), ..Reasoning::default() };
    if let Some(fields @ Json::Object(all)) = maybe_object(json, "", AT)? {
        for (name, value) in all.iter().filter(|(_, value)| *value != Json::Null) {
            if !known(name, value, &mut reasoning, chat)? {
                let extra = Extra { name: format!("{AT}.{name}"), json: text_of(value), essential: false };
                chat.extra.push(extra);
            }
        }
        chat.top_k = chat.top_k.or(maybe_integer(fields, AT, "top_k")?);
    }
    chat.reasoning = (reasoning != Reasoning::default()).then_some(reasoning);
    Ok(())
}

/// Reads one field. False where it has no word.
fn known(name: &str, value: &Json<'_>, reasoning: &mut Reasoning, chat: &mut Chat) -> Result<bool, Error> {
    let at = read::path(AT, name);
    let only = |inside: &str| matches!(value, Json::Object(fields) if fields.len() == 1 && fields[0].0 == inside);
    match (name, value) {
        ("top_k", _) => {}
        ("thinking" | "reasoning_config" | "reasoningConfig", Json::Object(_)) => {
            let kind = maybe_text(value, &at, "type")?;
            reasoning.enabled = kind.map(|kind| kind != "disabled");
            reasoning.budget_tokens = maybe_integer(value, &at, "budget_tokens")?;
            reasoning.include = maybe_text(value, &at, "display")?.map(|display| display != "omitted");
            let effort = maybe_text(value, &at, "maxReasoningEffort")?.map(str::to_owned);
            reasoning.effort = effort.or_else(|| reasoning.effort.take());
        }
        ("reasoning_effort", Json::String(effort)) => reasoning.effort = Some(effort.to_string()),
        ("output_config", Json::Object(_)) if only("effort") => {
            reasoning.effort = maybe_text(value, &at, "effort")?.map(str::to_owned);
        }
        ("inferenceConfig", Json::Object(_)) if only("topK") => chat.top_k = maybe_integer(value, &at, "topK")?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// What a request says in the words of its model.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// `additionalModelRequestFields`: names and JSON.
    pub(super) fields: Vec<(String, String)>,
    /// `outputConfig.effort`.
    pub(super) effort: Option<String>,
    /// The model thinks, and takes no sampling parameters then.
    pub(super) fixed_sampling: bool,
}

/// Writes the thoughts and `top_k` of a request, and the extras that came from such fields.
pub(super) fn write(chat: &Chat, losses: &mut Losses) -> Written {
    let family = Family::of(&chat.model);
    let mut written = Written::default();
    match (&chat.reasoning, family) {
        (None, _) => {}
        (Some(reasoning), Family::Claude(major, minor)) => {
            claude(reasoning, (major, minor), chat.max_tokens, &mut written, losses);
        }
        (Some(reasoning), Family::Nova) => nova(reasoning, &mut written),
        (Some(reasoning), Family::GptOss) => {
            let effort = reasoning.effort_word().map(|word| at_most(word, "high"));
            losses.drop_if(reasoning.is_off(), "reasoning");
            let quoted = effort.filter(|_| !reasoning.is_off()).map(|effort| format!("\"{effort}\""));
            written.fields.extend(quoted.map(|effort| ("reasoning_effort".to_owned(), effort)));
        }
        (Some(reasoning), _) => losses.drop_if(!reasoning.is_off(), "reasoning"),
    }
    let top_k = chat.top_k.filter(|_| !written.fixed_sampling);
    losses.drop_if(chat.top_k.is_some() && top_k.is_none(), "top_k");
    if let Some(top_k) = top_k {
        match family {
            Family::Claude(..) | Family::Mistral => written.fields.push(("top_k".to_owned(), top_k.to_string())),
            Family::Cohere => written.fields.push(("k".to_owned(), top_k.to_string())),
            Family::Nova => {
                written.fields.push(("inferenceConfig".to_owned(), write::to_text(|o| o.integer("topK", top_k))));
            }
            Family::GptOss | Family::Other => losses.drop("top_k"),
        }
    }
    for extra in &chat.extra {
        let name = extra.name.strip_prefix(AT).and_then(|rest| rest.strip_prefix('.'));
        if let Some(name) = name.filter(|name| written.fields.iter().all(|(there, _)| there != name)) {
            written.fields.push((name.to_owned(), extra.json.clone()));
        }
    }
    written
}

fn claude(
    reasoning: &Reasoning,
    version: (u32, u32),
    max_tokens: Option<u64>,
    written: &mut Written,
    losses: &mut Losses,
) {
    if reasoning.is_off() {
        return;
    }
    let told = reasoning.budget_tokens.filter(|_| version <= (4, 6) && reasoning.effort.is_none());
    let thinking = if version >= (4, 6) && told.is_none() {
        // These decide themselves how much to think, and take an effort.
        written.effort = reasoning.effort_word().map(|word| at_least(word).to_owned());
        let display = reasoning.include.filter(|include| *include && version >= (4, 7)).map(|_| "summarized");
        write::to_text(|o| {
            o.text("type", "adaptive");
            o.maybe_text("display", display);
        })
    } else {
        let budget = reasoning.budget().unwrap_or(USUAL_BUDGET);
        // Thoughts count as tokens of the answer; a number that the caller told is for the vendor to check.
        let room =
            max_tokens.filter(|_| reasoning.budget_tokens.is_none()).map_or(budget, |most| most.saturating_sub(1));
        let budget = budget.min(room);
        if budget < LEAST_BUDGET && reasoning.budget_tokens.is_none() {
            return losses.drop("reasoning");
        }
        write::to_text(|o| {
            o.text("type", "enabled");
            o.integer("budget_tokens", budget);
        })
    };
    written.fixed_sampling = true;
    written.fields.push(("thinking".to_owned(), thinking));
}

fn nova(reasoning: &Reasoning, written: &mut Written) {
    let config = write::to_text(|o| {
        if reasoning.is_off() {
            o.text("type", "disabled");
        } else {
            o.text("type", "enabled");
            o.text("maxReasoningEffort", at_most(reasoning.effort_word().unwrap_or("medium"), "high"));
        }
    });
    written.fields.push(("reasoningConfig".to_owned(), config));
}

/// An effort where `minimal` is none.
fn at_least(word: &str) -> &str {
    if word == "minimal" { "low" } else { word }
}

/// An effort where there is none above `most`.
fn at_most<'w>(word: &'w str, most: &'w str) -> &'w str {
    match at_least(word) {
        "xhigh" | "max" => most,
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_s_name_tells_its_words() {
        let table = [
            ("anthropic.claude-3-7-sonnet-20250219-v1:0", Family::Claude(3, 7)),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", Family::Claude(4, 0)),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", Family::Claude(4, 5)),
            ("anthropic.claude-opus-4-7", Family::Claude(4, 7)),
            ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-4-6-v1", Family::Claude(4, 6)),
            ("anthropic.claude-v2:1", Family::Claude(0, 0)),
            ("us.amazon.nova-2-lite-v1:0", Family::Nova),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            ("mistral.mistral-large-2407-v1:0", Family::Mistral),
            ("meta.llama3-1-70b-instruct-v1:0", Family::Other),
        ];
        for (model, family) in table {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
