//! `Completion` and `Delta`: an answer of a conversation in no vendor's words, whole and in pieces.

use super::chat::{Content, Part, ToolCall};
use super::usage::Usage;
use std::collections::BTreeMap;

/// A whole answer.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Completion {
    /// Its id.
    pub id: Option<String>,
    /// The model that gave it, as its provider says.
    pub model: Option<String>,
    /// When it was made, in seconds since the Unix epoch.
    pub created_s: Option<u64>,
    /// One or more answers.
    pub choices: Vec<Choice>,
    /// Tokens.
    pub usage: Option<Usage>,
    /// Fields that have no word here and are lost in a translation, by their names.
    pub dropped: Vec<String>,
}

/// One of the answers to one request.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Choice {
    /// What was said: words, thoughts, calls of tools, pictures.
    pub parts: Vec<Part>,
    /// How it ended; `None` where that was not said.
    pub stop: Option<Stop>,
}

/// How an answer ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// By itself.
    End,
    /// At one of the texts that end it, which is told by some.
    Sequence(Option<String>),
    /// At the limit of tokens.
    Length,
    /// Tools are to be called.
    ToolCalls,
    /// A filter of the provider cut it.
    Filtered,
    /// The model refused.
    Refusal,
    /// The provider paused a long turn, which goes on when it is sent back (Anthropic `pause_turn`).
    Pause,
    /// In another way, in the provider's word.
    Other(String),
}

/// A piece of an answer in a stream. `choice` counts answers from 0.
#[derive(Clone, PartialEq, Debug)]
pub enum Delta {
    /// The answer begins.
    Begin {
        /// Its id.
        id: Option<String>,
        /// The model.
        model: Option<String>,
    },
    /// Words.
    Text {
        /// Of which answer.
        choice: u32,
        /// The words.
        text: String,
    },
    /// Words with which the model refuses.
    Refusal {
        /// Of which answer.
        choice: u32,
        /// The words.
        text: String,
    },
    /// Thoughts.
    Thinking {
        /// Of which answer.
        choice: u32,
        /// The thoughts.
        text: String,
    },
    /// The signature of the part that is open.
    Signature {
        /// Of which answer.
        choice: u32,
        /// The signature.
        signature: String,
    },
    /// A call of a tool begins; its arguments follow.
    ToolCall {
        /// Of which answer.
        choice: u32,
        /// Which call of that answer, counted from 0.
        call: u32,
        /// What its result is told by.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// More of a call's arguments, as JSON text.
    Arguments {
        /// Of which answer.
        choice: u32,
        /// Which call.
        call: u32,
        /// The next piece of the text.
        json: String,
    },
    /// A part that comes whole: a picture, encrypted thoughts.
    Whole {
        /// Of which answer.
        choice: u32,
        /// The part.
        part: Part,
    },
    /// The part that is open ends; what follows, even of the same kind, is another.
    PartEnd {
        /// Of which answer.
        choice: u32,
    },
    /// The answer ends.
    Stop {
        /// Which answer.
        choice: u32,
        /// How.
        stop: Stop,
    },
    /// Tokens so far; the last word counts.
    Usage(Usage),
}

/// Gathers the pieces of a stream into the answer they amount to.
#[derive(Debug, Default)]
pub struct Gather {
    whole: Completion,
    choices: BTreeMap<u32, Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    choice: Choice,
    /// The last part takes no more.
    closed: bool,
    /// Where in the parts each call stands.
    calls: BTreeMap<u32, usize>,
}

impl Gather {
    /// Takes the next piece.
    pub fn push(&mut self, delta: Delta) {
        match delta {
            Delta::Begin { id, model } => (self.whole.id, self.whole.model) = (id, model),
            Delta::Text { choice, text } => self.of(choice).words(text, Content::Text),
            Delta::Refusal { choice, text } => self.of(choice).words(text, Content::Refusal),
            Delta::Thinking { choice, text } => self.of(choice).words(text, Content::Thinking),
            Delta::Signature { choice, signature } => self.of(choice).sign(&signature),
            Delta::ToolCall { choice, call, id, name } => {
                let gathered = self.of(choice);
                gathered.calls.insert(call, gathered.choice.parts.len());
                gathered.add(Part::new(Content::ToolCall(ToolCall { id, name, arguments: String::new() })));
            }
            Delta::Arguments { choice, call, json } => self.of(choice).arguments(call, &json),
            Delta::Whole { choice, part } => {
                let gathered = self.of(choice);
                gathered.add(part);
                gathered.closed = true;
            }
            Delta::PartEnd { choice } => self.of(choice).closed = true,
            Delta::Stop { choice, stop } => self.of(choice).choice.stop = Some(stop),
            Delta::Usage(usage) => self.whole.usage = Some(usage),
        }
    }

    /// The answer.
    pub fn finish(mut self) -> Completion {
        self.whole.choices = self.choices.into_values().map(|gathered| gathered.choice).collect();
        self.whole
    }

    fn of(&mut self, choice: u32) -> &mut Gathered {
        self.choices.entry(choice).or_default()
    }
}

impl Gathered {
    fn add(&mut self, part: Part) {
        self.choice.parts.push(part);
        self.closed = false;
    }

    fn words(&mut self, text: String, kind: fn(String) -> Content) {
        let open = self.choice.parts.last_mut().filter(|_| !self.closed);
        match (open.map(|part| &mut part.content), kind(text)) {
            (Some(Content::Text(words)), Content::Text(more))
            | (Some(Content::Refusal(words)), Content::Refusal(more))
            | (Some(Content::Thinking(words)), Content::Thinking(more)) => words.push_str(&more),
            (_, content) => self.add(Part::new(content)),
        }
    }

    fn sign(&mut self, signature: &str) {
        match self.choice.parts.last_mut() {
            Some(part) => part.signature.get_or_insert_default().push_str(signature),
            None => {
                self.add(Part { signature: Some(signature.to_owned()), ..Part::new(Content::Thinking(String::new())) })
            }
        }
    }

    fn arguments(&mut self, call: u32, json: &str) {
        let part = self.calls.get(&call).and_then(|at| self.choice.parts.get_mut(*at));
        if let Some(Part { content: Content::ToolCall(call), .. }) = part {
            call.arguments.push_str(json);
        }
    }
}

impl Completion {
    /// The answer as the pieces of a stream, words cut into pieces by `cut`.
    pub fn deltas(&self, cut: impl Fn(&str) -> Vec<String>) -> Vec<Delta> {
        let mut deltas = vec![Delta::Begin { id: self.id.clone(), model: self.model.clone() }];
        for (index, one) in self.choices.iter().enumerate() {
            let choice = u32::try_from(index).unwrap_or(u32::MAX);
            let mut call = 0;
            for part in &one.parts {
                match &part.content {
                    Content::Text(text) => {
                        deltas.extend(cut(text).into_iter().map(|text| Delta::Text { choice, text }));
                    }
                    Content::Refusal(text) => {
                        deltas.extend(cut(text).into_iter().map(|text| Delta::Refusal { choice, text }));
                    }
                    Content::Thinking(text) => {
                        // Even thoughts that are not told have a place, where their signature goes.
                        let pieces = if text.is_empty() { vec![String::new()] } else { cut(text) };
                        deltas.extend(pieces.into_iter().map(|text| Delta::Thinking { choice, text }));
                    }
                    Content::ToolCall(one) => {
                        let (id, name) = (one.id.clone(), one.name.clone());
                        deltas.push(Delta::ToolCall { choice, call, id, name });
                        deltas.push(Delta::Arguments { choice, call, json: one.arguments.clone() });
                        call += 1;
                    }
                    _ => {
                        deltas.push(Delta::Whole { choice, part: part.clone() });
                        continue;
                    }
                }
                deltas.extend(part.signature.clone().map(|signature| Delta::Signature { choice, signature }));
                deltas.push(Delta::PartEnd { choice });
            }
            deltas.extend(one.stop.clone().map(|stop| Delta::Stop { choice, stop }));
        }
        deltas.extend(self.usage.map(Delta::Usage));
        deltas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_amount_to_the_answer_they_were_cut_from() {
        let part = |content| Part::new(content);
        let call = |id: &str| ToolCall { id: id.into(), name: "f".into(), arguments: "{\"a\":1}".into() };
        let choice = |parts: Vec<Part>, stop| Choice { parts, stop: Some(stop) };
        let whole = Completion {
            id: Some("c1".into()),
            model: Some("m".into()),
            choices: vec![
                choice(
                    vec![
                        Part { signature: Some("s1".into()), ..part(Content::Thinking("so".into())) },
                        Part { signature: Some("s2".into()), ..part(Content::Thinking(String::new())) },
                        part(Content::RedactedThinking("xx".into())),
                        part(Content::Text("one".into())),
                        part(Content::Text("two".into())),
                        part(Content::ToolCall(call("a"))),
                        Part { signature: Some("s3".into()), ..part(Content::ToolCall(call("b"))) },
                    ],
                    Stop::ToolCalls,
                ),
                choice(vec![part(Content::Refusal("no".into()))], Stop::Refusal),
            ],
            usage: Some(Usage::new(3, 4)),
            ..Completion::default()
        };
        let mut gather = Gather::default();
        for delta in whole.deltas(|text| text.chars().map(String::from).collect()) {
            gather.push(delta);
        }
        assert_eq!(gather.finish(), whole);
    }
}
