//! The fields of a request that its answer repeats, with the vendor's defaults where it said nothing.

use crate::types::json::Json;
use crate::wire::hub::ReplyFor;
use crate::wire::json::parse;
use crate::wire::read::field;
use crate::wire::responses::request::{Form, forms};
use crate::wire::write::{Array, Object, text_of, to_text};

/// What an answer says beside what was answered.
#[derive(Debug)]
pub struct Echo {
    /// Fields after `incomplete_details` and before `output`, each with a comma after it.
    before: String,
    /// Fields after `output` and before `usage`, each with a comma after it.
    after: String,
    /// Fields after `usage`, each with a comma before it.
    last: String,
    /// The tools whose calls are told in a form of their own.
    pub forms: Vec<Form>,
}

impl Echo {
    /// That of a reply.
    pub fn of(reply: &ReplyFor) -> Echo {
        let json = parse(&reply.request).unwrap_or(Json::Null);
        let inside = |fill: &dyn Fn(&mut Object<'_>)| {
            let text = to_text(|o| fill(o));
            text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default().to_owned()
        };
        let before = inside(&|o| {
            copy(o, &json, "instructions", "null");
            copy(o, &json, "max_output_tokens", "null");
            copy(o, &json, "max_tool_calls", "null");
            o.text("model", &reply.model);
        });
        let after = inside(&|o| settings(o, &json, reply.no_store));
        let last = inside(&|o| {
            copy(o, &json, "user", "null");
            copy(o, &json, "metadata", "{}");
        });
        Echo { before: format!("{before},"), after: format!("{after},"), last: format!(",{last}"), forms: forms(&json) }
    }

    /// Writes a response object.
    pub fn write(&self, out: &mut Vec<u8>, body: &Body<'_>) {
        let head = to_text(|o| {
            o.text("id", body.id);
            o.text("object", "response");
            o.integer("created_at", body.created_s);
            o.text("status", body.status);
            o.flag("background", false);
            o.null("error");
            match body.incomplete {
                Some(reason) => o.object("incomplete_details", |o| o.text("reason", reason)),
                None => o.null("incomplete_details"),
            }
        });
        out.extend_from_slice(head.strip_suffix('}').unwrap_or_default().as_bytes());
        out.push(b',');
        out.extend_from_slice(self.before.as_bytes());
        out.extend_from_slice(b"\"output\":");
        crate::wire::write::array(out, |list: &mut Array<'_>| body.output.iter().for_each(|item| list.raw(item)));
        out.push(b',');
        out.extend_from_slice(self.after.as_bytes());
        out.extend_from_slice(b"\"usage\":");
        out.extend_from_slice(body.usage.unwrap_or("null").as_bytes());
        out.extend_from_slice(self.last.as_bytes());
        out.push(b'}');
    }
}

/// What is not repeated.
pub struct Body<'b> {
    /// Its id.
    pub id: &'b str,
    /// When it was made.
    pub created_s: u64,
    /// `completed` and others.
    pub status: &'b str,
    /// Why it is not whole.
    pub incomplete: Option<&'b str>,
    /// Its items, as JSON texts.
    pub output: &'b [String],
    /// Its usage, as JSON text.
    pub usage: Option<&'b str>,
}

/// A field as it came, or the vendor's default.
fn copy(o: &mut Object<'_>, json: &Json<'_>, name: &str, default: &str) {
    match field(json, name) {
        Some(value) => crate::wire::write::value(o.key(name), value),
        None => o.raw(name, default),
    }
}

fn settings(o: &mut Object<'_>, json: &Json<'_>, no_store: bool) {
    copy(o, json, "parallel_tool_calls", "true");
    copy(o, json, "previous_response_id", "null");
    copy(o, json, "prompt_cache_key", "null");
    let reasoning = json.get("reasoning").unwrap_or(&Json::Null);
    o.object("reasoning", |o| {
        copy(o, reasoning, "effort", "null");
        copy(o, reasoning, "summary", "null");
    });
    copy(o, json, "safety_identifier", "null");
    // Another tier is asked of the vendor's own models only.
    o.text("service_tier", "default");
    copy(o, json, "store", if no_store { "false" } else { "true" });
    copy(o, json, "temperature", "1.0");
    let text = json.get("text").unwrap_or(&Json::Null);
    o.object("text", |o| {
        copy(o, text, "format", r#"{"type":"text"}"#);
        copy(o, text, "verbosity", r#""medium""#);
    });
    copy(o, json, "tool_choice", r#""auto""#);
    o.array("tools", |list| {
        for tool in json.get("tools").and_then(Json::as_array).unwrap_or_default() {
            list.raw(&whole_tool(tool));
        }
    });
    copy(o, json, "top_logprobs", "0");
    copy(o, json, "top_p", "1.0");
    copy(o, json, "truncation", r#""disabled""#);
}

/// A tool as it came; the vendor's types want `parameters` and `strict` of every function.
fn whole_tool(tool: &Json<'_>) -> String {
    let text = text_of(tool);
    if tool.get("type").and_then(Json::as_str) != Some("function") {
        return text;
    }
    let mut out = text.strip_suffix('}').unwrap_or_default().to_owned();
    for (name, default) in [("parameters", "null"), ("strict", "true")] {
        if tool.get(name).is_none() {
            out.push_str(&format!(",\"{name}\":{default}"));
        }
    }
    out.push('}');
    out
}
