//! The pieces of texts in the events of a stream: to which text each belongs, where it stands, and which texts an event ends.
//! Every string below a wire's `delta` counts, whatever its field is called, but for the wire's own words.

use super::spanned::{Spanned, Value, unquoted};
use super::texts::{Scope, Text, is_structure, texts};
use crate::types::surface::Surface;
use std::ops::Range;

/// One text of a stream, told apart from all others.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Channel {
    /// The answer, block or item that it is part of.
    pub group: u64,
    /// Where it stands in that.
    pub path: String,
}

/// A piece of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Of which text.
    pub channel: Channel,
    /// The string in the event's data, quotes included.
    pub span: Range<usize>,
    /// The text is JSON: the arguments of a call.
    pub json: bool,
}

/// What texts end with an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    /// None.
    Nothing,
    /// Those of one answer, block or item.
    Group(u64),
    /// All.
    All,
}

/// What an event says.
#[derive(Debug)]
pub struct Said<'e> {
    /// Pieces of texts that go on.
    pub pieces: Vec<Piece>,
    /// Texts that stand in it whole.
    pub whole: Vec<Text<'e>>,
    /// Texts that it repeats of the request.
    pub repeated: Vec<Text<'e>>,
    /// Probabilities of tokens, which tell the text again.
    pub tokens: Vec<Range<usize>>,
    /// What ends with it.
    pub ends: Ends,
}

/// Reads the data of an event. `None` where it is no JSON.
pub fn said(surface: Surface, data: &str) -> Option<Said<'_>> {
    let tree = Spanned::read(data)?;
    let mut reader = Reader { data, pieces: Vec::new(), ends: Ends::Nothing };
    match surface {
        Surface::ChatCompletions | Surface::Completions => reader.choices(&tree),
        Surface::Messages => reader.messages(&tree),
        Surface::Converse => reader.converse(&tree),
        Surface::CohereChat => reader.cohere(&tree),
        Surface::Responses => reader.responses(&tree),
        Surface::GenerateContent => reader.candidates(&tree),
        Surface::OllamaChat => reader.ollama(&tree),
        _ => {}
    }
    let Reader { pieces, ends, .. } = reader;
    let echo = (surface == Surface::Responses).then(|| tree.get("response", data)).flatten();
    let output = echo.and_then(|echo| echo.get("output", data));
    let is_in = |one: Option<&Spanned>, span: &Range<usize>| {
        one.is_some_and(|one| one.span.start <= span.start && span.end <= one.span.end)
    };
    let all = texts(data, &tree, Scope::Whole).into_iter();
    let mut tokens = Vec::new();
    log_probabilities(data, &tree, &mut tokens);
    let is_token = |span: &Range<usize>| tokens.iter().any(|all| all.start <= span.start && span.end <= all.end);
    let others = all.filter(|text| !is_token(&text.span) && !pieces.iter().any(|piece| piece.span == text.span));
    let (repeated, whole) = others.partition(|text| is_in(echo, &text.span) && !is_in(output, &text.span));
    Some(Said { pieces, whole, repeated, tokens, ends })
}

/// Places of the probabilities of tokens, where there are any.
pub fn log_probabilities(document: &str, one: &Spanned, found: &mut Vec<Range<usize>>) {
    match &one.value {
        Value::List(items) => items.iter().for_each(|item| log_probabilities(document, item, found)),
        Value::Map(fields) => {
            for (key, value) in fields {
                let key = unquoted(document, key);
                match (key.as_ref(), &value.value) {
                    ("logprobs" | "logprobsResult", Value::Map(_)) => found.push(value.span.clone()),
                    ("logprobs", Value::List(items)) if !items.is_empty() => found.push(value.span.clone()),
                    ("delta" | "arguments" | "input" | "args", Value::Text) => {}
                    _ => log_probabilities(document, value, found),
                }
            }
        }
        Value::Text | Value::Number | Value::Word => {}
    }
}

struct Reader<'e> {
    data: &'e str,
    pieces: Vec<Piece>,
    ends: Ends,
}

impl<'e> Reader<'e> {
    fn word<'t>(&self, one: &'t Spanned, key: &str) -> std::borrow::Cow<'e, str> {
        one.get(key, self.data).and_then(|value| value.text(self.data)).unwrap_or_default()
    }

    fn index(&self, one: &Spanned, key: &str) -> u64 {
        one.get(key, self.data).and_then(|value| value.number(self.data)).unwrap_or_default()
    }

    fn choices(&mut self, tree: &Spanned) {
        let choices = tree.get("choices", self.data).map(Spanned::items).unwrap_or_default();
        for choice in choices {
            let group = self.index(choice, "index");
            for key in ["delta", "text"] {
                if let Some(said) = choice.get(key, self.data) {
                    self.below(key, said, group);
                }
            }
            if choice.get("finish_reason", self.data).is_some_and(|reason| reason.value == Value::Text) {
                self.ends = if choices.len() > 1 { Ends::All } else { Ends::Group(group) };
            }
        }
    }

    fn messages(&mut self, tree: &Spanned) {
        let group = self.index(tree, "index");
        match (self.word(tree, "type").as_ref(), tree.get("delta", self.data)) {
            ("content_block_delta", Some(delta)) => self.below("", delta, group),
            ("content_block_stop", _) => self.ends = Ends::Group(group),
            ("ping" | "content_block_start", _) => {}
            _ => self.ends = Ends::All,
        }
    }

    fn converse(&mut self, tree: &Spanned) {
        match tree.get("contentBlockIndex", self.data).and_then(|index| index.number(self.data)) {
            Some(group) => match (tree.get("delta", self.data), tree.get("start", self.data)) {
                (Some(delta), _) => self.below("", delta, group),
                (None, Some(_)) => {}
                (None, None) => self.ends = Ends::Group(group),
            },
            None => self.ends = Ends::All,
        }
    }

    fn cohere(&mut self, tree: &Spanned) {
        let kind = self.word(tree, "type").into_owned();
        match tree.get("delta", self.data) {
            Some(delta) if kind.ends_with("-delta") => {
                let group = self.index(tree, "index");
                self.below(&kind, delta, group);
            }
            _ => self.ends = Ends::All,
        }
    }

    fn responses(&mut self, tree: &Spanned) {
        let kind = self.word(tree, "type").into_owned();
        let group = self.index(tree, "output_index");
        match tree.get("delta", self.data) {
            Some(delta) if kind.ends_with(".delta") && delta.value == Value::Text => {
                let (content, summary) = (self.index(tree, "content_index"), self.index(tree, "summary_index"));
                let json = kind.contains("arguments");
                let channel = Channel { group, path: format!("{kind}/{content}/{summary}") };
                self.pieces.push(Piece { channel, span: delta.span.clone(), json });
            }
            _ if tree.get("response", self.data).is_some() => self.ends = Ends::All,
            _ if kind.ends_with(".done") => self.ends = Ends::Group(group),
            _ => {}
        }
    }

    fn candidates(&mut self, tree: &Spanned) {
        for candidate in tree.get("candidates", self.data).map(Spanned::items).unwrap_or_default() {
            let group = self.index(candidate, "index");
            let parts = candidate.get("content", self.data).and_then(|content| content.get("parts", self.data));
            for part in parts.map(Spanned::items).unwrap_or_default() {
                let Some(text) = part.get("text", self.data).filter(|text| text.value == Value::Text) else { continue };
                let thought = part.get("thought", self.data).is_some();
                let channel = Channel { group, path: if thought { "thought" } else { "text" }.to_owned() };
                self.pieces.push(Piece { channel, span: text.span.clone(), json: false });
            }
            if candidate.get("finishReason", self.data).is_some() {
                self.ends = Ends::All;
            }
        }
    }

    fn ollama(&mut self, tree: &Spanned) {
        if let Some(message) = tree.get("message", self.data) {
            for key in ["content", "thinking"] {
                if let Some(said) = message.get(key, self.data) {
                    self.below(key, said, 0);
                }
            }
        }
        let done = tree.get("done", self.data).and_then(|done| self.data.get(done.span.clone()));
        if done == Some("true") {
            self.ends = Ends::All;
        }
    }

    /// Every text below `one`.
    fn below(&mut self, path: &str, one: &Spanned, group: u64) {
        match &one.value {
            Value::Text => {
                let json = ["partial_json", "arguments", "input"].iter().any(|end| path.ends_with(end));
                let channel = Channel { group, path: path.to_owned() };
                self.pieces.push(Piece { channel, span: one.span.clone(), json });
            }
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    let at =
                        item.get("index", self.data).and_then(|index| index.number(self.data)).unwrap_or(at as u64);
                    self.below(&format!("{path}/{at}"), item, group);
                }
            }
            Value::Map(fields) => {
                for (key, value) in fields {
                    let key = unquoted(self.data, key);
                    // The name of a tool comes whole.
                    let is_word = is_structure(&key) || matches!(key.as_ref(), "name" | "bytes" | "data");
                    if !(is_word && matches!(value.value, Value::Text)) {
                        self.below(&format!("{path}/{key}"), value, group);
                    }
                }
            }
            Value::Number | Value::Word => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an event says: the pieces by their channels, and how many texts stand in it whole.
    fn read(surface: Surface, data: &str) -> (Vec<(u64, String, bool)>, Vec<String>, Ends) {
        let said = said(surface, data).unwrap();
        let pieces = said.pieces.iter();
        let pieces = pieces.map(|one| (one.channel.group, unquoted(data, &one.span).into_owned(), one.json)).collect();
        (pieces, said.whole.iter().map(|text| text.text.clone().into_owned()).collect(), said.ends)
    }

    #[test]
    fn pieces_are_found_in_every_wire() {
        let words = |group: u64, text: &str| vec![(group, text.to_owned(), false)];
        let json = |group: u64, text: &str| vec![(group, text.to_owned(), true)];
        let table = [
            (
                Surface::ChatCompletions,
                r#"{"id":"c","choices":[{"index":1,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]}"#,
                words(1, "a"),
                Ends::Nothing,
            ),
            (
                Surface::ChatCompletions,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":2,"id":"x","type":"function","function":{"name":"f","arguments":"{"}}]},"finish_reason":null}]}"#,
                json(0, "{"),
                Ends::Nothing,
            ),
            (
                Surface::ChatCompletions,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                vec![],
                Ends::Group(0),
            ),
            (
                Surface::Completions,
                r#"{"choices":[{"index":0,"text":"a","finish_reason":null}]}"#,
                words(0, "a"),
                Ends::Nothing,
            ),
            (
                Surface::Messages,
                r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"a"}}"#,
                words(2, "a"),
                Ends::Nothing,
            ),
            (
                Surface::Messages,
                r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
                json(3, "{"),
                Ends::Nothing,
            ),
            (Surface::Messages, r#"{"type":"content_block_stop","index":3}"#, vec![], Ends::Group(3)),
            (Surface::Messages, r#"{"type":"message_stop"}"#, vec![], Ends::All),
            (
                Surface::Converse,
                r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"text":"a"}}}"#,
                words(1, "a"),
                Ends::Nothing,
            ),
            (
                Surface::Converse,
                r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{"}}}"#,
                json(1, "{"),
                Ends::Nothing,
            ),
            (Surface::Converse, r#"{"contentBlockIndex":1}"#, vec![], Ends::Group(1)),
            (
                Surface::CohereChat,
                r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a"}}}}"#,
                words(0, "a"),
                Ends::Nothing,
            ),
            (
                Surface::CohereChat,
                r#"{"type":"tool-call-delta","index":1,"delta":{"message":{"tool_calls":{"function":{"arguments":"{"}}}}}"#,
                json(1, "{"),
                Ends::Nothing,
            ),
            (
                Surface::Responses,
                r#"{"type":"response.output_text.delta","output_index":3,"content_index":1,"delta":"a","logprobs":[]}"#,
                words(3, "a"),
                Ends::Nothing,
            ),
            (
                Surface::Responses,
                r#"{"type":"response.function_call_arguments.delta","output_index":3,"delta":"{"}"#,
                json(3, "{"),
                Ends::Nothing,
            ),
            (
                Surface::GenerateContent,
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"a"}]},"finishReason":"STOP"}]}"#,
                words(0, "a"),
                Ends::All,
            ),
            (
                Surface::OllamaChat,
                r#"{"model":"m","message":{"role":"assistant","content":"a"},"done":false}"#,
                words(0, "a"),
                Ends::Nothing,
            ),
            (
                Surface::OllamaChat,
                r#"{"model":"m","message":{"role":"assistant","content":""},"done":true}"#,
                words(0, ""),
                Ends::All,
            ),
        ];
        for (surface, data, pieces, ends) in table {
            let (found, whole, ended) = read(surface, data);
            assert_eq!((found, ended), (pieces, ends), "{data}");
            assert!(whole.is_empty(), "{data}: {whole:?}");
        }
    }

    #[test]
    fn what_stands_whole_is_told_apart_from_what_is_repeated() {
        let done = r#"{"type":"response.output_text.done","output_index":3,"content_index":0,"text":"one"}"#;
        assert_eq!(read(Surface::Responses, done), (vec![], vec!["one".to_owned()], Ends::Group(3)));
        let whole = r#"{"type":"response.completed","response":{"instructions":"S","output":[{"type":"message","content":[{"type":"output_text","text":"one"}]}]}}"#;
        assert_eq!(read(Surface::Responses, whole), (vec![], vec!["one".to_owned()], Ends::All));
        assert_eq!(said(Surface::Responses, whole).unwrap().repeated.len(), 1);
        let tokens = r#"{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]}"#;
        assert_eq!(said(Surface::ChatCompletions, tokens).unwrap().tokens.len(), 1);
    }
}
