//! Request bodies → `Chat`.

use super::super::content::{self, Lost};
use super::{EXTRAS, fields};
use crate::types::chat::{Chat, Content, Extra, Format, Message, Part, Role, Schema, Tool, ToolChoice};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::read::{self, maybe_object, maybe_text};
use crate::wire::write::text_of;

/// Reads a request.
pub fn decode(json: &Json<'_>) -> Result<Chat, Error> {
    let mut lost = Lost::default();
    let mut chat = Chat::default();
    let mut leading = true;
    for (at, turn) in read::maybe_array(json, "", "messages")?.unwrap_or_default().iter().enumerate() {
        let (role, parts) = read_turn(turn, at, &mut lost)?;
        leading &= role == Role::System;
        if leading {
            chat.system.extend(parts);
        } else {
            split(role, parts, &mut chat.messages);
        }
    }
    if let Some(blocks) = read::maybe_array(json, "", "system")? {
        let mut system = content::read_all(blocks, "system", &mut lost)?;
        system.append(&mut chat.system);
        chat.system = system;
    }
    read_inference(json, &mut chat, &mut lost)?;
    read_tools(json, &mut chat, &mut lost)?;
    fields::read(json, &mut chat)?;
    read_output(json, &mut chat)?;
    let Json::Object(all) = json else { return Ok(chat) };
    const READ: [&str; 6] =
        ["messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "outputConfig"];
    for (name, value) in all.iter().filter(|(name, value)| !READ.contains(&name.as_ref()) && *value != Json::Null) {
        let essential = EXTRAS.iter().any(|(known, essential)| known == name && *essential);
        chat.extra.push(Extra { name: name.to_string(), json: text_of(value), essential });
    }
    let extra = |name, json, essential| Extra { name, json, essential };
    lost.biasing.dedup();
    chat.extra.extend(lost.biasing.into_iter().map(|name| extra(name, "null".to_owned(), false)));
    chat.extra.extend(lost.essential.into_iter().map(|(name, json)| extra(name, json, true)));
    Ok(chat)
}

fn read_turn(turn: &Json<'_>, at: usize, lost: &mut Lost) -> Result<(Role, Vec<Part>), Error> {
    let at = format!("messages.[{at}]");
    let role = match read::text(turn, &at, "role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => return Err(read::unknown_value(read::path(&at, "role"), "`user`, `assistant` or `system`", other)),
    };
    let blocks = read::maybe_array(turn, &at, "content")?;
    let blocks = blocks.ok_or_else(|| read::missing(read::path(&at, "content"), "an array of content blocks"))?;
    Ok((role, content::read_all(blocks, &read::path(&at, "content"), lost)?))
}

/// Adds a turn; the results of tools that stand in a user's become turns of their own.
fn split(role: Role, parts: Vec<Part>, messages: &mut Vec<Message>) {
    if role != Role::User {
        messages.push(Message::new(role, parts));
        return;
    }
    let first = messages.len();
    for part in parts {
        let is_result = matches!(part.content, Content::ToolResult(_));
        let role = if is_result { Role::Tool } else { Role::User };
        match messages.get_mut(first..).and_then(<[Message]>::last_mut) {
            Some(last) if last.role == role => last.parts.push(part),
            _ => messages.push(Message::new(role, vec![part])),
        }
    }
    if messages.len() == first {
        messages.push(Message::new(Role::User, Vec::new()));
    }
}

fn read_inference(json: &Json<'_>, chat: &mut Chat, lost: &mut Lost) -> Result<(), Error> {
    let at = "inferenceConfig";
    let Some(config) = maybe_object(json, "", at)? else { return Ok(()) };
    chat.max_tokens = read::maybe_integer(config, at, "maxTokens")?;
    chat.temperature = read::maybe_number(config, at, "temperature")?;
    chat.top_p = read::maybe_number(config, at, "topP")?;
    chat.stop = read::texts(config, at, "stopSequences")?;
    // Nova's own bodies, which are else those of Converse, have these two, too.
    chat.top_k = read::maybe_integer(config, at, "topK")?;
    chat.max_tokens = chat.max_tokens.or(read::maybe_integer(config, at, "max_new_tokens")?);
    let Json::Object(fields) = config else { return Ok(()) };
    const READ: [&str; 6] = ["maxTokens", "temperature", "topP", "stopSequences", "topK", "max_new_tokens"];
    let unknown = fields.iter().filter(|(name, value)| !READ.contains(&name.as_ref()) && *value != Json::Null);
    lost.biasing.extend(unknown.map(|(name, _)| format!("inferenceConfig.{name}")));
    Ok(())
}

fn read_tools(json: &Json<'_>, chat: &mut Chat, lost: &mut Lost) -> Result<(), Error> {
    let at = "toolConfig";
    let Some(config) = maybe_object(json, "", at)? else { return Ok(()) };
    for (index, tool) in read::maybe_array(config, at, "tools")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{at}.tools.[{index}]");
        if let Some(spec) = maybe_object(tool, &at, "toolSpec")? {
            chat.tools.push(read_tool(spec, &read::path(&at, "toolSpec"))?);
        } else if let Some(point) = maybe_object(tool, &at, "cachePoint")? {
            match chat.tools.last_mut() {
                Some(tool) => tool.cache = Some(content::cache_mark(point, &at)?),
                None => lost.biasing.push("cachePoint".to_owned()),
            }
        } else {
            lost.essential.push((at, text_of(tool)));
        }
    }
    let Some(choice) = maybe_object(config, at, "toolChoice")? else { return Ok(()) };
    let at = "toolConfig.toolChoice";
    chat.tool_choice = Some(if let Some(tool) = maybe_object(choice, at, "tool")? {
        ToolChoice::Tool(read::text(tool, "toolConfig.toolChoice.tool", "name")?.to_owned())
    } else if read::field(choice, "any").is_some() {
        ToolChoice::Any
    } else if read::field(choice, "auto").is_some() {
        ToolChoice::Auto
    } else {
        return Err(read::unknown_value(at, "`auto`, `any` or `tool`", &text_of(choice)));
    });
    Ok(())
}

fn read_tool(spec: &Json<'_>, at: &str) -> Result<Tool, Error> {
    let schema = maybe_object(spec, at, "inputSchema")?.and_then(|schema| read::field(schema, "json"));
    Ok(Tool {
        name: read::text(spec, at, "name")?.to_owned(),
        description: maybe_text(spec, at, "description")?.map(str::to_owned),
        parameters: schema.map(text_of),
        strict: read::maybe_flag(spec, at, "strict")?,
        cache: None,
    })
}

/// The form of the answer; the effort that stands beside it is read with the thoughts.
fn read_output(json: &Json<'_>, chat: &mut Chat) -> Result<(), Error> {
    let Some(config) = maybe_object(json, "", "outputConfig")? else { return Ok(()) };
    let Some(format) = maybe_object(config, "outputConfig", "textFormat")? else { return Ok(()) };
    let at = "outputConfig.textFormat";
    let kind = read::text(format, at, "type")?;
    let inside = maybe_object(format, at, "structure")?.and_then(|structure| read::field(structure, "jsonSchema"));
    let (Some(schema), "json_schema") = (inside, kind) else {
        return Err(read::unknown_value(at, "a `json_schema` and its `structure`", kind));
    };
    let at = "outputConfig.textFormat.structure.jsonSchema";
    let text = |name| Ok::<_, Error>(maybe_text(schema, at, name)?.map(str::to_owned));
    chat.format = Some(Format::Schema(Schema {
        name: text("name")?,
        description: text("description")?,
        schema: checked(read::text(schema, at, "schema")?)?,
        strict: None,
    }));
    Ok(())
}

/// The schema is told as a text, which is to be JSON.
fn checked(schema: &str) -> Result<String, Error> {
    let param = "outputConfig.textFormat.structure.jsonSchema.schema";
    match crate::wire::json::parse(schema.as_bytes()) {
        Ok(Json::Object(_)) => Ok(schema.to_owned()),
        _ => Err(Error::invalid(param, format!("`{param}` must hold a JSON schema, written as a string."))),
    }
}
