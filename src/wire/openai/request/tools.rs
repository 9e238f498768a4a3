//! Tools of a request, and which of them must be called; `functions` and `function_call` of old among them.

use super::parts::cache_mark;
use crate::types::chat::{Chat, Extra, Tool, ToolChoice};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::read::{self, path};
use crate::wire::write::{array_text, text_of, value};

/// Reads `tools`, `functions`, `tool_choice` and `function_call`.
pub fn read_into(chat: &mut Chat, json: &Json<'_>) -> Result<(), Error> {
    let mut others = Vec::new();
    for (at, tool) in read::maybe_array(json, "", "tools")?.unwrap_or_default().iter().enumerate() {
        let at = format!("tools.[{at}]");
        match read::maybe_text(tool, &at, "type")? {
            Some("function") | None => {
                let own = read::maybe_object(tool, &at, "function")?
                    .ok_or_else(|| read::missing(path(&at, "function"), "an object with a name"))?;
                let mut read = function(own, &path(&at, "function"))?;
                read.cache = cache_mark(tool).or_else(|| cache_mark(own));
                chat.tools.push(read);
            }
            Some(_) => others.push(tool),
        }
    }
    if !others.is_empty() {
        let json = array_text(|list| others.iter().for_each(|tool| value(list.item(), tool)));
        chat.extra.push(Extra { name: "tools".to_owned(), json, essential: true });
    }
    for (at, own) in read::maybe_array(json, "", "functions")?.unwrap_or_default().iter().enumerate() {
        chat.tools.push(function(own, &format!("functions.[{at}]"))?);
    }
    match (read::field(json, "tool_choice"), read::field(json, "function_call")) {
        (Some(choice), _) => choice_into(chat, choice),
        (None, Some(Json::String(word))) => {
            chat.tool_choice = word_of(word);
            Ok(())
        }
        (None, Some(own)) => {
            chat.tool_choice = Some(ToolChoice::Tool(read::text(own, "function_call", "name")?.to_owned()));
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

fn function(own: &Json<'_>, at: &str) -> Result<Tool, Error> {
    Ok(Tool {
        name: read::text(own, at, "name")?.to_owned(),
        description: read::maybe_text(own, at, "description")?.map(str::to_owned),
        parameters: read::maybe_object(own, at, "parameters")?.map(text_of),
        strict: read::maybe_flag(own, at, "strict")?,
        cache: None,
    })
}

/// The choice of a word.
pub fn word_of(word: &str) -> Option<ToolChoice> {
    match word {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "required" | "any" => Some(ToolChoice::Any),
        _ => None,
    }
}

fn choice_into(chat: &mut Chat, choice: &Json<'_>) -> Result<(), Error> {
    let at = "tool_choice";
    if let Json::String(word) = choice {
        let known = word_of(word);
        let expected = "`auto`, `none`, `required` or an object";
        chat.tool_choice = Some(known.ok_or_else(|| read::unknown_value(at, expected, word))?);
        return Ok(());
    }
    match read::text(choice, at, "type")? {
        "function" => {
            let own = read::maybe_object(choice, at, "function")?
                .ok_or_else(|| read::missing("tool_choice.function", "an object with a name"))?;
            let name = read::text(own, "tool_choice.function", "name")?.to_owned();
            chat.tool_choice = Some(ToolChoice::Tool(name));
        }
        "allowed_tools" => {
            let own = read::maybe_object(choice, at, "allowed_tools")?.unwrap_or(choice);
            let name_of = |tool: &Json<'_>| {
                let own = tool.get("function").unwrap_or(tool);
                own.get("name").and_then(Json::as_str).map(str::to_owned)
            };
            let listed = read::maybe_array(own, "tool_choice.allowed_tools", "tools")?.unwrap_or_default();
            let names: Vec<String> = listed.iter().filter_map(name_of).collect();
            allow(chat, &names, read::maybe_text(own, "tool_choice.allowed_tools", "mode")?);
        }
        _ => chat.extra.push(Extra { name: at.to_owned(), json: text_of(choice), essential: true }),
    }
    Ok(())
}

/// Only tools of these names may be called: no other wire tells that apart from their list, so the others leave it.
pub fn allow(chat: &mut Chat, names: &[String], mode: Option<&str>) {
    chat.tools.retain(|tool| names.contains(&tool.name));
    chat.tool_choice = mode.and_then(word_of).or(Some(ToolChoice::Auto));
}
