//! What the conditions of a route may ask about a request, and the lanes that take no part in it for what they say.
//!
//! Only what a condition asks about is looked for, and nothing at all where a route has no conditions.

use super::Inbound;
use super::insight::LeftOut;
use super::serve::Setup;
use crate::config::{Fact, Facts, Variable};
use crate::governance::{Governor, Used};
use crate::routing::Route;
use crate::types::caller::Caller;
use crate::types::error::Error;
use crate::types::json::{Json, Number};
use crate::types::request::Request;
use crate::types::surface::Surface;
use std::sync::Arc;

/// Longer texts among the fields of a request are no settings, but what is said.
const MOST_PARAM_BYTES: usize = 1024;
/// About as many bytes of a text make one token.
const BYTES_OF_A_TOKEN: usize = 4;
/// Fields whose texts are pictures, files, or signs of them, at any depth.
const NO_TEXT: [&str; 11] = [
    "data",
    "url",
    "image_url",
    "bytes",
    "file_data",
    "file_uri",
    "fileUri",
    "images",
    "image",
    "signature",
    "encrypted_content",
];

/// One request, as far as conditions may ask about it.
pub(super) struct About<'r> {
    pub(super) model: &'r str,
    pub(super) surface: Surface,
    pub(super) caller: &'r Caller,
    /// Knows how much this caller has left.
    pub(super) governor: &'r Governor,
    /// Headers that conditions are told of.
    pub(super) told: &'r [(http::HeaderName, http::HeaderValue)],
    /// What was read of its body, where that was read.
    pub(super) read: Option<Read<'r>>,
    /// Since 1970, in UTC.
    pub(super) now_ms: u64,
}

/// What was read of a body.
#[derive(Clone, Copy)]
pub(super) struct Read<'r> {
    pub(super) json: &'r Json<'r>,
    pub(super) stream: bool,
}

/// Has the route conditions?
pub(super) fn is_asked(route: &Route) -> bool {
    route.asks().is_some() || route.asks_late().is_some()
}

/// The route of `model` where it has no conditions: `None` where it has some.
pub(super) fn unasked(model: &str, setup: &Setup) -> Result<Option<(Arc<Route>, LeftOut)>, Error> {
    let route = setup.router.plan(model, |model| setup.registry.having(model))?;
    if is_asked(&route) {
        return Ok(None);
    }
    route.some_are_left(&[], model)?;
    Ok(Some((route, LeftOut::new(Vec::new(), None))))
}

impl<'r> About<'r> {
    /// A request whose body was read.
    pub(super) fn new(
        inbound: &'r Inbound,
        governor: &'r Governor,
        (json, request): (&'r Json<'r>, &'r Request),
        now_ms: u64,
    ) -> About<'r> {
        About {
            model: &request.model,
            surface: request.surface,
            caller: &inbound.caller,
            governor,
            told: &inbound.told,
            read: Some(Read { json, stream: request.stream }),
            now_ms,
        }
    }

    /// Its route, and the lanes of that which take no part in it, as far as that is known before its question is embedded. An error
    /// where none is left.
    pub(super) fn plan(&self, setup: &Setup) -> Result<(Arc<Route>, LeftOut), Error> {
        let route = setup.router.plan(self.model, |model| setup.registry.having(model))?;
        let out = self.left_out_early(&route);
        route.some_are_left(&out, self.model)?;
        let later = route.asks_late().map(|uses| {
            let asked = Variable::ALL.into_iter().filter(|variable| uses.has(*variable));
            asked.filter_map(|variable| Some((variable, self.fact(variable)?))).collect()
        });
        Ok((route, LeftOut::new(out, later)))
    }

    /// The same for a request whose question is not read: conditions on that are not true.
    pub(super) fn plan_unread(&self, setup: &Setup) -> Result<(Arc<Route>, Vec<usize>), Error> {
        let route = setup.router.plan(self.model, |model| setup.registry.having(model))?;
        let out = self.left_out(&route);
        route.some_are_left(&out, self.model)?;
        Ok((route, out))
    }

    /// The lanes of `route` that take no part in it, where its question is not read.
    pub(super) fn left_out(&self, route: &Route) -> Vec<usize> {
        let late = route.asks_late().map(|uses| route.left_out_late(&Facts::new(uses, |variable| self.fact(variable))));
        let mut out = self.left_out_early(route);
        out.extend(late.unwrap_or_default());
        out
    }

    fn left_out_early(&self, route: &Route) -> Vec<usize> {
        match route.asks() {
            Some(uses) => route.left_out(&Facts::new(uses, |variable| self.fact(variable))),
            None => Vec::new(),
        }
    }

    fn fact(&self, variable: Variable) -> Option<Fact> {
        Some(match variable {
            Variable::Model => Fact::Text(self.model.to_owned()),
            Variable::Surface => Fact::Text(self.surface.as_str().to_owned()),
            Variable::Stream => Fact::Bool(self.read?.stream),
            Variable::Headers => Fact::Map(self.headers()),
            Variable::Params => Fact::Map(params(self.read?.json)),
            Variable::Tokens => Fact::Integer(whole(text_bytes(self.read?.json).div_ceil(BYTES_OF_A_TOKEN))),
            Variable::Tenant => Fact::Text(self.caller.tenant.name().to_owned()),
            Variable::Time => Fact::Map(time(self.now_ms)),
            Variable::Budget => Fact::Map(self.used().budget()),
            Variable::Limits => Fact::Map(self.used().limits()),
            // The embedding of the question tells these, later.
            Variable::Topic | Variable::Complexity | Variable::Hard => return None,
        })
    }

    fn used(&self) -> Used {
        self.governor.used(self.caller, self.model, self.now_ms)
    }

    /// What came in several lines is one value, as HTTP has it (RFC 9110, section 5.3).
    fn headers(&self) -> Vec<(String, Fact)> {
        let mut headers: Vec<(String, String)> = Vec::with_capacity(self.told.len());
        for (name, value) in self.told {
            let Ok(value) = value.to_str() else { continue };
            match headers.iter_mut().find(|(known, _)| known == name.as_str()) {
                Some((_, all)) => *all = format!("{all}, {value}"),
                None => headers.push((name.as_str().to_owned(), value.to_owned())),
            }
        }
        headers.into_iter().map(|(name, value)| (name, Fact::Text(value))).collect()
    }
}

impl Used {
    /// For conditions; `left_usd` is not there where there is no budget.
    fn budget(self) -> Vec<(String, Fact)> {
        let used = ("used".to_owned(), Fact::Float(self.budget));
        #[allow(clippy::cast_precision_loss, reason = "no budget has so many micro-dollars that this matters")]
        let left = self.left.map(|left| ("left_usd".to_owned(), Fact::Float(left.0 as f64 / 1e6)));
        std::iter::once(used).chain(left).collect()
    }

    fn limits(self) -> Vec<(String, Fact)> {
        [("requests", self.requests), ("tokens", self.tokens)]
            .map(|(name, used)| (name.to_owned(), Fact::Float(used)))
            .into()
    }
}

/// The fields of a request that are neither lists nor maps nor long, and how many tools and pictures it has.
fn params(json: &Json<'_>) -> Vec<(String, Fact)> {
    let Json::Object(fields) = json else { return Vec::new() };
    let scalar = |value: &Json<'_>| match value {
        Json::Bool(value) => Some(Fact::Bool(*value)),
        Json::Number(number) => Some(number_of(*number)),
        Json::String(text) if text.len() <= MOST_PARAM_BYTES => Some(Fact::Text(text.clone().into_owned())),
        _ => None,
    };
    let scalars = fields.iter().filter_map(|(name, value)| Some((name.clone().into_owned(), scalar(value)?)));
    let counts = [("tools", tools(json)), ("images", images(json))];
    let counts = counts.map(|(name, count)| (name.to_owned(), Fact::Integer(whole(count))));
    scalars.filter(|(name, _)| name != "tools" && name != "images").chain(counts).collect()
}

fn number_of(number: Number) -> Fact {
    match number {
        Number::Unsigned(n) => i64::try_from(n).map_or(Fact::Float(n as f64), Fact::Integer),
        Number::Signed(n) => Fact::Integer(n),
        Number::Float(n) => Fact::Float(n),
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Tools in the words of any wire: a list, whose elements may have lists of functions (Gemini), or one in `toolConfig` (Bedrock).
pub(super) fn tools(json: &Json<'_>) -> usize {
    let list = json.get("tools").or_else(|| json.get("toolConfig").and_then(|config| config.get("tools")));
    let functions = |tool: &Json<'_>| {
        let list = tool.get("functionDeclarations").or_else(|| tool.get("function_declarations"));
        list.and_then(Json::as_array).map_or(1, <[_]>::len)
    };
    list.and_then(Json::as_array).unwrap_or_default().iter().map(functions).sum()
}

/// Pictures in the words of any wire.
pub(super) fn images(json: &Json<'_>) -> usize {
    match json {
        Json::Array(items) => items.iter().map(images).sum(),
        Json::Object(fields) => {
            let is_picture =
                matches!(json.get("type").and_then(Json::as_str), Some("image" | "image_url" | "input_image"));
            if is_picture {
                return 1;
            }
            let of_field = |(name, value): &(std::borrow::Cow<'_, str>, Json<'_>)| match (name.as_ref(), value) {
                // Bedrock
                ("image", Json::Object(_)) => 1,
                // Ollama
                ("images", Json::Array(items)) => items.len(),
                // Gemini
                ("inlineData" | "inline_data" | "fileData" | "file_data", Json::Object(_)) => {
                    let kind = value.get("mimeType").or_else(|| value.get("mime_type")).and_then(Json::as_str);
                    usize::from(kind.is_some_and(|kind| kind.starts_with("image/")))
                }
                (_, value) => images(value),
            };
            fields.iter().map(of_field).sum()
        }
        _ => 0,
    }
}

/// The bytes of all texts in a request, its tools included, but for those of pictures and files; a number in a list stands for a
/// token.
pub(super) fn text_bytes(json: &Json<'_>) -> usize {
    let mut sum = 0;
    said(json, &mut |said| {
        sum += match said {
            Said::Text(text) => text.len(),
            Said::Token => BYTES_OF_A_TOKEN,
        }
    });
    sum
}

/// A part of what a request says.
pub(super) enum Said<'r> {
    Text(&'r str),
    /// As a number in a list.
    Token,
}

/// Goes through all that a request says.
pub(super) fn said<'r>(json: &'r Json<'_>, with: &mut dyn FnMut(Said<'r>)) {
    match json {
        Json::String(text) => with(Said::Text(text)),
        Json::Array(items) => {
            for item in items {
                match item {
                    Json::Number(_) => with(Said::Token),
                    item => said(item, with),
                }
            }
        }
        Json::Object(fields) => {
            let texts = fields.iter().filter(|(name, _)| !NO_TEXT.contains(&name.as_ref()));
            texts.for_each(|(_, value)| said(value, with));
        }
        _ => {}
    }
}

/// The hour, the minute and the day of the week in UTC.
fn time(now_ms: u64) -> Vec<(String, Fact)> {
    let minutes = now_ms / 60_000;
    let days = minutes / (24 * 60);
    // 1970 began on a Thursday.
    let parts = [("hour", minutes / 60 % 24), ("minute", minutes % 60), ("weekday", (days + 4) % 7)];
    parts.map(|(name, value)| (name.to_owned(), Fact::Integer(i64::try_from(value).unwrap_or_default()))).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    fn of(facts: Vec<(String, Fact)>, name: &str) -> Option<Fact> {
        facts.into_iter().find(|(known, _)| known == name).map(|(_, fact)| fact)
    }

    #[test]
    fn tools_and_pictures_are_counted_in_every_wire() {
        let table = [
            ("{}", 0, 0),
            (r#"{"tools":[{"type":"function"},{"type":"function"}]}"#, 2, 0),
            (r#"{"tools":[{"functionDeclarations":[{},{},{}]},{"googleSearch":{}}]}"#, 4, 0),
            (r#"{"toolConfig":{"tools":[{"toolSpec":{}}]}}"#, 1, 0),
            (r#"{"tools":7,"images":"x"}"#, 0, 0),
            (
                r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"u"}},{"type":"text","text":"x"}]}]}"#,
                0,
                1,
            ),
            (r#"{"input":[{"content":[{"type":"input_image","image_url":"u"}]}]}"#, 0, 1),
            (r#"{"messages":[{"content":[{"type":"image","source":{"type":"base64","data":"x"}}]}]}"#, 0, 1),
            (
                r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"x"}},{"inlineData":{"mimeType":"audio/wav","data":"x"}}]}]}"#,
                0,
                1,
            ),
            (r#"{"messages":[{"content":[{"image":{"format":"png","source":{"bytes":"x"}}}]}]}"#, 0, 1),
            (r#"{"messages":[{"role":"user","content":"x","images":["a","b"]}]}"#, 0, 2),
        ];
        for (body, tools, images) in table {
            let json = parse(body.as_bytes()).unwrap();
            let facts = params(&json);
            assert_eq!(of(facts.clone(), "tools"), Some(Fact::Integer(tools)), "{body}");
            assert_eq!(of(facts, "images"), Some(Fact::Integer(images)), "{body}");
        }
    }

    #[test]
    fn settings_are_told_and_what_is_said_is_not() {
        let long = "x".repeat(MOST_PARAM_BYTES + 1);
        let body = format!(
            r#"{{"temperature":0.5,"max_tokens":7,"seed":-1,"user":"u","stop":null,"messages":[],"prompt":"{long}","store":true,"n":18446744073709551615}}"#
        );
        let json = parse(body.as_bytes()).unwrap();
        let all = [
            ("temperature", Some(Fact::Float(0.5))),
            ("max_tokens", Some(Fact::Integer(7))),
            ("seed", Some(Fact::Integer(-1))),
            ("user", Some(Fact::Text("u".to_owned()))),
            ("store", Some(Fact::Bool(true))),
            ("n", Some(Fact::Float(18446744073709551615.0))),
            ("stop", None),
            ("messages", None),
            ("prompt", None),
        ];
        for (name, expected) in all {
            assert_eq!(of(params(&json), name), expected, "{name}");
        }
    }

    #[test]
    fn tokens_are_estimated_from_texts_alone() {
        let table = [
            (r#"{"messages":[{"role":"user","content":"12345678"}]}"#, 12),
            (r#"{"messages":[{"content":[{"type":"text","text":"1234"},{"image_url":{"url":"data:base64"}}]}]}"#, 8),
            (r#"{"prompt":[1,2,3],"temperature":1}"#, 12),
            (r#"{"input":[[1,2],[3]]}"#, 12),
        ];
        for (body, bytes) in table {
            assert_eq!(text_bytes(&parse(body.as_bytes()).unwrap()), bytes, "{body}");
        }
    }

    #[test]
    fn the_time_is_that_of_utc() {
        let table = [
            (0, [0, 0, 4]),
            // 2026-11-22T22:08:34Z, a Sunday
            (1_795_385_314_000, [22, 8, 0]),
            // 2024-02-29T23:59:59.999Z, a Thursday
            (1_709_251_199_999, [23, 59, 4]),
        ];
        for (now_ms, expected) in table {
            let found = ["hour", "minute", "weekday"].map(|name| of(time(now_ms), name));
            assert_eq!(found, expected.map(|number| Some(Fact::Integer(number))), "{now_ms}");
        }
    }
}
