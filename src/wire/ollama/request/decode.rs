//! Request bodies → `Chat`.

use super::{CARRIED, OPTION};
use crate::types::chat::{
    Chat, Content, Extra, Format, Media, Message, Part, Reasoning, Role, Schema, Source, Tool, ToolCall, ToolResult,
};
use crate::types::error::Error;
use crate::types::json::{Json, Number};
use crate::wire::ollama::answer::arguments;
use crate::wire::read::{self, field, path, unknown_value, wrong_type};
use crate::wire::write::text_of;

/// Fields that have a word in `Chat`.
const KNOWN: [&str; 7] = ["model", "messages", "stream", "tools", "format", "options", "think"];

/// Options that have one.
const KNOWN_OPTIONS: [&str; 8] =
    ["num_predict", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "stop"];

/// Fields without a word in `Chat` that decide what kind of answer comes back. Log probabilities have no word in an answer,
/// so that nobody is asked for them.
const ESSENTIAL: [&str; 2] = ["logprobs", "_debug_render_only"];

/// Reads a request.
pub fn decode(json: &Json<'_>) -> Result<Chat, Error> {
    let nothing = Json::Null;
    let options = read::maybe_object(json, "", "options")?.unwrap_or(&nothing);
    let mut chat = Chat {
        tools: tools(json)?,
        format: format(json)?,
        reasoning: reasoning(json)?,
        max_tokens: positive(options, "num_predict")?,
        temperature: read::maybe_number(options, "options", "temperature")?,
        top_p: read::maybe_number(options, "options", "top_p")?,
        top_k: positive(options, "top_k")?,
        frequency_penalty: read::maybe_number(options, "options", "frequency_penalty")?,
        presence_penalty: read::maybe_number(options, "options", "presence_penalty")?,
        seed: read::maybe_number(options, "options", "seed")?,
        stop: read::texts(options, "options", "stop")?,
        include_usage: true,
        extra: extras(json, options),
        ..Chat::default()
    };
    let mut calls = Calls::default();
    for (at, message) in read::maybe_array(json, "", "messages")?.unwrap_or_default().iter().enumerate() {
        match calls.turn(message, &format!("messages.[{at}]"))? {
            Message { role: Role::System, parts, .. } if chat.messages.is_empty() => chat.system.extend(parts),
            message => chat.messages.push(message),
        }
    }
    if chat.messages.is_empty() && chat.system.is_empty() {
        let error = Error::invalid("messages", "`messages` is empty. Send at least one message.");
        return Err(error.with_code("empty_array"));
    }
    Ok(chat)
}

/// A number that counts, if it is there; zero and less say that there is no limit.
fn positive(options: &Json<'_>, name: &str) -> Result<Option<u64>, Error> {
    match read::maybe_number(options, "options", name)? {
        Some(Number::Signed(_)) => Ok(None),
        Some(Number::Float(n)) if n <= 0.0 => Ok(None),
        _ => Ok(read::maybe_integer(options, "options", name)?.filter(|n| *n > 0)),
    }
}

/// What has no word in `Chat`. An option says something whatever its value is.
fn extras(json: &Json<'_>, options: &Json<'_>) -> Vec<Extra> {
    let known: Vec<&str> = KNOWN.into_iter().chain(CARRIED).collect();
    let mut extras = read::extras(json, &known, &ESSENTIAL);
    let extra = |name: String, value: &Json<'_>| Extra { name, json: text_of(value), essential: false };
    extras.extend(CARRIED.iter().filter_map(|name| Some(extra((*name).to_owned(), field(json, name)?))));
    if let Json::Object(options) = options {
        let others =
            options.iter().filter(|(name, value)| !KNOWN_OPTIONS.contains(&name.as_ref()) && *value != Json::Null);
        extras.extend(others.map(|(name, value)| extra(format!("{OPTION}{name}"), value)));
    }
    extras
}

/// The calls of a conversation so far. Those without an id are counted, and a result without one finds its call by the name
/// of its tool.
#[derive(Debug, Default)]
struct Calls {
    count: usize,
    /// Calls without a result, by name and id.
    open: Vec<(String, String)>,
}

impl Calls {
    fn turn(&mut self, message: &Json<'_>, at: &str) -> Result<Message, Error> {
        let said = read::maybe_text(message, at, "content")?.filter(|text| !text.is_empty());
        let mut parts: Vec<Part> = said.map(Part::text).into_iter().collect();
        parts.extend(images(message, at)?);
        let role = read::text(message, at, "role")?;
        let (role, parts) = match role.to_ascii_lowercase().as_str() {
            "system" => (Role::System, parts),
            "user" => (Role::User, parts),
            "assistant" => {
                let thoughts = read::maybe_text(message, at, "thinking")?.filter(|text| !text.is_empty());
                let mut turn: Vec<Part> =
                    thoughts.map(|text| Part::new(Content::Thinking(text.to_owned()))).into_iter().collect();
                turn.append(&mut parts);
                turn.extend(self.calls(message, at)?);
                (Role::Assistant, turn)
            }
            "tool" => (Role::Tool, vec![self.result(message, at, parts)?]),
            _ => return Err(unknown_value(path(at, "role"), "`system`, `user`, `assistant` or `tool`", role)),
        };
        Ok(Message::new(role, parts))
    }

    fn calls(&mut self, message: &Json<'_>, at: &str) -> Result<Vec<Part>, Error> {
        let mut calls = Vec::new();
        for (n, call) in read::maybe_array(message, at, "tool_calls")?.unwrap_or_default().iter().enumerate() {
            let at = format!("{at}.tool_calls.[{n}]");
            let function = read::maybe_object(call, &at, "function")?;
            let function = function.ok_or_else(|| read::missing(path(&at, "function"), "an object"))?;
            let name = read::text(function, &path(&at, "function"), "name")?.to_owned();
            // Letters and digits, which every vendor takes for an id.
            let made = || format!("call{:05}", self.count);
            let id = read::maybe_text(call, &at, "id")?.filter(|id| !id.is_empty()).map_or_else(made, str::to_owned);
            self.count += 1;
            self.open.push((name.clone(), id.clone()));
            let arguments = arguments(field(function, "arguments"));
            calls.push(Part::new(Content::ToolCall(ToolCall { id, name, arguments })));
        }
        Ok(calls)
    }

    /// A result. It is about the call of its id, else the first of its tool, else the first of all, that has none yet.
    fn result(&mut self, message: &Json<'_>, at: &str, parts: Vec<Part>) -> Result<Part, Error> {
        let text = |name: &str| Ok::<_, Error>(read::maybe_text(message, at, name)?.filter(|text| !text.is_empty()));
        let (id, name) = (text("tool_call_id")?, text("tool_name")?);
        let found = match (id, name) {
            (Some(id), _) => self.open.iter().position(|(_, open)| open == id),
            (None, Some(name)) => self.open.iter().position(|(open, _)| open == name),
            (None, None) => (!self.open.is_empty()).then_some(0),
        };
        let found = found.map(|at| self.open.remove(at));
        let id = id.map(str::to_owned).or_else(|| found.as_ref().map(|(_, id)| id.clone()));
        let id = id.or_else(|| name.map(str::to_owned)).unwrap_or_default();
        let name = name.map(str::to_owned).or(found.map(|(name, _)| name));
        Ok(Part::new(Content::ToolResult(ToolResult { id, name, parts, failed: false })))
    }
}

/// Pictures in base64. Their kind is not told.
fn images(message: &Json<'_>, at: &str) -> Result<Vec<Part>, Error> {
    let image = |(n, image): (usize, &Json<'_>)| match image {
        Json::String(data) => Ok(Part::new(Content::Image(Media::new(Source::Data(data.to_string()), None)))),
        other => Err(wrong_type(format!("{at}.images.[{n}]"), "a string of base64", other)),
    };
    read::maybe_array(message, at, "images")?.unwrap_or_default().iter().enumerate().map(image).collect()
}

fn tools(json: &Json<'_>) -> Result<Vec<Tool>, Error> {
    let tool = |(n, tool): (usize, &Json<'_>)| {
        let at = format!("tools.[{n}]");
        let kind = read::maybe_text(tool, &at, "type")?.unwrap_or("function");
        if kind != "function" {
            return Err(unknown_value(path(&at, "type"), "`function`", kind));
        }
        let function = read::maybe_object(tool, &at, "function")?;
        let function = function.ok_or_else(|| read::missing(path(&at, "function"), "an object"))?;
        let at = path(&at, "function");
        Ok(Tool {
            name: read::text(function, &at, "name")?.to_owned(),
            description: read::maybe_text(function, &at, "description")?.map(str::to_owned),
            parameters: read::maybe_object(function, &at, "parameters")?.map(text_of),
            strict: None,
            cache: None,
        })
    };
    read::maybe_array(json, "", "tools")?.unwrap_or_default().iter().enumerate().map(tool).collect()
}

fn format(json: &Json<'_>) -> Result<Option<Format>, Error> {
    match field(json, "format") {
        None => Ok(None),
        Some(Json::String(word)) => match word.as_ref() {
            "" => Ok(None),
            "json" => Ok(Some(Format::Json)),
            other => Err(unknown_value("format", "`json` or a JSON schema", other)),
        },
        // A grammar is made of it there. The strict mode of others wants more of a schema than that does.
        Some(schema @ Json::Object(_)) => {
            Ok(Some(Format::Schema(Schema { name: None, description: None, schema: text_of(schema), strict: None })))
        }
        Some(other) => Err(wrong_type("format", "`json` or a JSON schema", other)),
    }
}

/// Who asks for thoughts here is told them.
fn reasoning(json: &Json<'_>) -> Result<Option<Reasoning>, Error> {
    let of = |enabled, effort: Option<&str>| Reasoning {
        enabled: Some(enabled),
        effort: effort.map(str::to_owned),
        budget_tokens: None,
        include: enabled.then_some(true),
    };
    match field(json, "think") {
        None => Ok(None),
        Some(Json::Bool(enabled)) => Ok(Some(of(*enabled, None))),
        Some(Json::String(word)) => match word.as_ref() {
            level @ ("low" | "medium" | "high" | "max") => Ok(Some(of(true, Some(level)))),
            other => Err(unknown_value("think", "a boolean, `low`, `medium`, `high` or `max`", other)),
        },
        Some(other) => Err(wrong_type("think", "a boolean or a string", other)),
    }
}
