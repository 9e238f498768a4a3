//! Tools and the choice among them, both ways. Tools that the vendor runs itself have no word in `Chat`: their names are
//! kept aside, and no other wire takes them.

use super::super::claude::Claude;
use super::{cache_of, extra, schema, write_cache};
use crate::types::chat::{Chat, Tool, ToolChoice};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::hub::Losses;
use crate::wire::read::{maybe_array, maybe_flag, maybe_object, maybe_text, path, text, unknown_value};
use crate::wire::write::{self, Object};

/// Fields of a tool of the caller's own that are read one by one.
const READ: [&str; 6] = ["type", "name", "description", "input_schema", "strict", "cache_control"];

/// Reads `tools` and `tool_choice`.
pub(super) fn read(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    for (index, tool) in maybe_array(json, "", "tools")?.unwrap_or_default().iter().enumerate() {
        let at = format!("tools.[{index}]");
        match maybe_text(tool, &at, "type")? {
            None | Some("custom") => read_tool(tool, &at, chat)?,
            Some(other) => extra(&mut chat.extra, format!("tools.{other}"), tool, true),
        }
    }
    let Some(choice) = maybe_object(json, "", "tool_choice")? else { return Ok(()) };
    chat.tool_choice = Some(match text(choice, "tool_choice", "type")? {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" => ToolChoice::Any,
        "tool" => ToolChoice::Tool(text(choice, "tool_choice", "name")?.to_owned()),
        other => return Err(unknown_value("tool_choice.type", "`auto`, `any`, `tool` or `none`", other)),
    });
    let alone = maybe_flag(choice, "tool_choice", "disable_parallel_tool_use")?;
    chat.parallel_tool_calls = alone.map(|alone| !alone);
    Ok(())
}

fn read_tool(tool: &Json<'_>, at: &str, chat: &mut Chat) -> Result<(), Error> {
    chat.tools.push(Tool {
        name: text(tool, at, "name")?.to_owned(),
        description: maybe_text(tool, at, "description")?.map(str::to_owned),
        parameters: maybe_object(tool, at, "input_schema")?.map(write::text_of),
        strict: maybe_flag(tool, at, "strict")?,
        cache: cache_of(tool, at)?,
    });
    if let Json::Object(fields) = tool {
        let unread = fields.iter().filter(|(name, value)| !READ.contains(&name.as_ref()) && *value != Json::Null);
        for (name, value) in unread {
            extra(&mut chat.extra, path("tools", name), value, false);
        }
    }
    Ok(())
}

/// Is it the name of a tool that this vendor runs itself, which ends in a date?
pub(super) fn is_own(name: &str) -> bool {
    let date = name.strip_prefix("tools.").and_then(|tool| tool.rsplit_once('_')).map(|(_, date)| date);
    date.is_some_and(|date| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Must the model call something?
pub(super) fn is_forced(chat: &Chat) -> bool {
    matches!(chat.tool_choice, Some(ToolChoice::Any | ToolChoice::Tool(_)))
}

/// Writes `tools` and `tool_choice`.
pub(super) fn write(object: &mut Object<'_>, chat: &Chat, model: Option<Claude>, losses: &mut Losses) {
    if is_forced(chat) && model.is_some_and(|model| !model.takes_forced_calls()) {
        losses.refuse("tool_choice", "this model decides itself whether it calls a tool.");
    }
    let own = || chat.extra.iter().filter(|extra| is_own(&extra.name));
    if chat.tools.is_empty() && own().next().is_none() {
        if is_forced(chat) {
            losses.refuse("tool_choice", "a tool must be called, and `tools` has none.");
        }
        return;
    }
    object.array("tools", |list| {
        for tool in &chat.tools {
            list.object(|object| write_tool(object, tool));
        }
        own().for_each(|extra| list.raw(&extra.json));
    });
    let parallel = chat.parallel_tool_calls;
    let (kind, name) = match &chat.tool_choice {
        Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Any) => ("any", None),
        Some(ToolChoice::Tool(name)) => ("tool", Some(name.as_str())),
        None if parallel.is_some() => ("auto", None),
        None => return,
    };
    object.object("tool_choice", |choice| {
        choice.text("type", kind);
        choice.maybe_text("name", name);
        if kind != "none" {
            choice.maybe_flag("disable_parallel_tool_use", parallel.map(|parallel| !parallel));
        }
    });
}

fn write_tool(object: &mut Object<'_>, tool: &Tool) {
    object.text("name", &tool.name);
    object.maybe_text("description", tool.description.as_deref());
    object.raw("input_schema", &schema::of_arguments(tool.parameters.as_deref()));
    object.maybe_flag("strict", tool.strict);
    write_cache(object, tool.cache.as_ref());
}
