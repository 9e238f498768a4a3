//! Tools of a request, and which of them must be called.
//!
//! A custom tool takes any text; every other wire has tools of JSON only. It becomes one with a single text, `input`, and
//! its calls are told as those of a custom tool again. A namespace holds tools under a name of their own; they become
//! tools under both names.

use crate::types::chat::{Chat, Extra, Tool, ToolChoice};
use crate::types::error::Error;
use crate::types::json::Json;
use crate::wire::json::parse;
use crate::wire::openai::request::{allow, cache_mark, word_of};
use crate::wire::read;
use crate::wire::write::{array_text, text_of, to_text, value};

const CUSTOM_PARAMETERS: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// Reads `tools` and `tool_choice`.
pub fn read_into(chat: &mut Chat, json: &Json<'_>) -> Result<(), Error> {
    let mut own = Vec::new();
    for (at, tool) in read::maybe_array(json, "", "tools")?.unwrap_or_default().iter().enumerate() {
        let at = format!("tools.[{at}]");
        match read::text(tool, &at, "type")? {
            "function" | "custom" => chat.tools.push(one(tool, &at)?),
            "namespace" => {
                let space = read::text(tool, &at, "name")?;
                for (inner, tool) in read::maybe_array(tool, &at, "tools")?.unwrap_or_default().iter().enumerate() {
                    let mut tool = one(tool, &format!("{at}.tools.[{inner}]"))?;
                    tool.name = flat(Some(space), &tool.name);
                    chat.tools.push(tool);
                }
            }
            kind if is_offered(json, tool) => {
                chat.extra.push(Extra { name: format!("tools.{kind}"), json: text_of(tool), essential: false });
            }
            _ => own.push(tool),
        }
    }
    if !own.is_empty() {
        let json = array_text(|list| own.iter().for_each(|tool| value(list.item(), tool)));
        chat.extra.push(Extra { name: "tools".to_owned(), json, essential: true });
    }
    read::field(json, "tool_choice").map_or(Ok(()), |choice| choice_into(chat, choice))
}

/// A tool of the vendor's that nobody waits for: a search that may not leave what the vendor has stored, and whatever
/// Codex offers unless its user tells it not to.
fn is_offered(json: &Json<'_>, tool: &Json<'_>) -> bool {
    let from_codex = match json.get("client_metadata") {
        Some(Json::Object(fields)) => fields.iter().any(|(name, _)| name.starts_with("x-codex-")),
        _ => false,
    };
    let forced = json
        .get("tool_choice")
        .and_then(|choice| choice.get("type"))
        .is_some_and(|kind| tool.get("type") == Some(kind));
    !forced && (from_codex || tool.get("external_web_access") == Some(&Json::Bool(false)))
}

fn one(tool: &Json<'_>, at: &str) -> Result<Tool, Error> {
    if read::maybe_text(tool, at, "type")? == Some("custom") {
        return custom(tool, at);
    }
    Ok(Tool {
        name: read::text(tool, at, "name")?.to_owned(),
        description: read::maybe_text(tool, at, "description")?.map(str::to_owned),
        parameters: read::maybe_object(tool, at, "parameters")?.map(text_of),
        strict: read::maybe_flag(tool, at, "strict")?,
        cache: cache_mark(tool),
    })
}

/// The name of a tool where there are no namespaces.
pub fn flat(space: Option<&str>, name: &str) -> String {
    match space {
        Some(space) if space.ends_with('_') => format!("{space}{name}"),
        Some(space) => format!("{space}__{name}"),
        None => name.to_owned(),
    }
}

fn custom(tool: &Json<'_>, at: &str) -> Result<Tool, Error> {
    let mut description = read::maybe_text(tool, at, "description")?.unwrap_or_default().to_owned();
    // A grammar cannot be enforced elsewhere; the model is told of it.
    let grammar = tool.get("format").and_then(|format| format.get("definition")).and_then(Json::as_str);
    if let Some(grammar) = grammar {
        description.push_str("\n\n`input` keeps to this grammar:\n");
        description.push_str(grammar);
    }
    Ok(Tool {
        name: read::text(tool, at, "name")?.to_owned(),
        description: Some(description).filter(|text| !text.is_empty()),
        parameters: Some(CUSTOM_PARAMETERS.to_owned()),
        strict: None,
        cache: None,
    })
}

/// A custom tool's input as arguments.
pub fn custom_arguments(input: &str) -> String {
    to_text(|o| o.text("input", input))
}

/// A custom tool's input, out of arguments; all of them where they are of another form.
pub fn custom_input(arguments: &str) -> String {
    let json = parse(arguments.as_bytes()).ok();
    let input = json.as_ref().and_then(|json| json.get("input")).and_then(Json::as_str);
    input.unwrap_or(arguments).to_owned()
}

/// A tool of a request that is told in another form elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// The name it is told under elsewhere.
    flat: String,
    /// Its own name.
    pub name: String,
    /// Its namespace.
    pub space: Option<String>,
    /// It takes any text.
    pub custom: bool,
}

impl Form {
    /// That of the tool which is told under `name`, among those of its request.
    pub fn of(name: &str, forms: &[Form]) -> Form {
        let plain = || Form { name: name.to_owned(), ..Form::default() };
        forms.iter().find(|form| form.flat == name).cloned().unwrap_or_else(plain)
    }
}

/// The tools of a request that are told in another form elsewhere.
pub fn forms(json: &Json<'_>) -> Vec<Form> {
    let mut forms = Vec::new();
    for tool in json.get("tools").and_then(Json::as_array).unwrap_or_default() {
        let text = |name: &str| tool.get(name).and_then(Json::as_str);
        match (text("type"), text("name")) {
            (Some("custom"), Some(name)) => forms.push(form(None, name, true)),
            (Some("namespace"), Some(space)) => {
                for tool in tool.get("tools").and_then(Json::as_array).unwrap_or_default() {
                    let custom = tool.get("type").and_then(Json::as_str) == Some("custom");
                    let name = tool.get("name").and_then(Json::as_str).unwrap_or_default();
                    forms.push(form(Some(space), name, custom));
                }
            }
            _ => {}
        }
    }
    forms
}

fn form(space: Option<&str>, name: &str, custom: bool) -> Form {
    Form { flat: flat(space, name), name: name.to_owned(), space: space.map(str::to_owned), custom }
}

fn choice_into(chat: &mut Chat, choice: &Json<'_>) -> Result<(), Error> {
    let at = "tool_choice";
    if let Json::String(word) = choice {
        let expected = "`auto`, `none`, `required` or an object";
        chat.tool_choice = Some(word_of(word).ok_or_else(|| read::unknown_value(at, expected, word))?);
        return Ok(());
    }
    match read::text(choice, at, "type")? {
        "function" | "custom" => {
            chat.tool_choice = Some(ToolChoice::Tool(read::text(choice, at, "name")?.to_owned()));
        }
        "allowed_tools" => {
            let listed = read::maybe_array(choice, at, "tools")?.unwrap_or_default();
            let names = listed.iter().filter_map(|tool| tool.get("name").and_then(Json::as_str).map(str::to_owned));
            allow(chat, &names.collect::<Vec<_>>(), read::maybe_text(choice, at, "mode")?);
        }
        _ => chat.extra.push(Extra { name: at.to_owned(), json: text_of(choice), essential: true }),
    }
    Ok(())
}
