//! A stream of any surface → the one body it amounts to.

use super::openai::fold as openai;
use super::{answer, hub, responses, sse};
use crate::types::answer::Answer;
use crate::types::completion::{Delta, Gather};
use crate::types::lost::Lost;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use bytes::Bytes;

pub use super::openai::fold::Step;

/// Collects the events of one stream.
pub enum Fold {
    /// Chunks of OpenAI's wire are merged as they are, so that fields without a word here are kept.
    OpenAi(Box<openai::Fold>),
    /// Every other wire of conversations goes through the hub.
    Hub(Box<Gathering>),
    /// Nothing is read of the rest, and nothing kept.
    Opaque,
}

/// The pieces of a stream of a conversation.
pub struct Gathering {
    surface: Surface,
    request: Bytes,
    max_bytes: usize,
    bytes: usize,
    decoder: Box<dyn hub::Decoder>,
    deltas: Vec<Delta>,
    gather: Gather,
    usage: Option<Usage>,
    id: Option<String>,
    /// The body that the stream told itself at its end.
    told: Option<Vec<u8>>,
    done: bool,
}

impl Fold {
    /// An empty fold that keeps at most `max_bytes` of events; beyond it only usage and the end are noted. `request` is the
    /// request that is answered, of which some answers repeat parts.
    pub fn new(surface: Surface, request: Bytes, max_bytes: usize) -> Fold {
        match surface {
            chat if chat.is_chat() && chat != Surface::ChatCompletions => Fold::Hub(Box::new(Gathering {
                surface,
                request,
                max_bytes,
                bytes: 0,
                decoder: hub::decoder(surface),
                deltas: Vec::new(),
                gather: Gather::default(),
                usage: None,
                id: None,
                told: None,
                done: false,
            })),
            Surface::InvokeModel => Fold::Opaque,
            _ => Fold::OpenAi(Box::new(openai::Fold::new(surface, max_bytes))),
        }
    }

    /// The events came to more than the limit and are not kept.
    pub fn is_too_large(&self) -> bool {
        match self {
            Fold::OpenAi(fold) => fold.is_too_large(),
            Fold::Hub(all) => all.bytes > all.max_bytes,
            Fold::Opaque => true,
        }
    }

    /// Tokens, once the stream has said.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Fold::OpenAi(fold) => fold.usage(),
            Fold::Hub(all) => all.usage,
            Fold::Opaque => None,
        }
    }

    /// The answer's id, once the stream has said.
    pub fn id(&self) -> Option<&str> {
        match self {
            Fold::OpenAi(fold) => fold.id(),
            Fold::Hub(all) => all.id.as_deref(),
            Fold::Opaque => None,
        }
    }

    /// Takes one event.
    pub fn push(&mut self, event: &sse::Event<'_>) -> Step {
        match self {
            Fold::OpenAi(fold) => fold.push(&event.data),
            Fold::Hub(all) => all.push(event),
            Fold::Opaque => Step::Quiet,
        }
    }

    /// The answer, if the stream ended well.
    pub fn finish(self) -> Result<Answer, String> {
        match self {
            Fold::OpenAi(fold) => fold.finish(),
            Fold::Hub(all) => all.finish(),
            Fold::Opaque => Err("answers of this surface are not read".to_owned()),
        }
    }
}

impl Gathering {
    fn push(&mut self, event: &sse::Event<'_>) -> Step {
        match self.decoder.push(event, &mut self.deltas) {
            Ok(done) => self.done |= done,
            Err(why) => return Step::Failed(why),
        }
        if self.surface == Surface::Responses && self.bytes <= self.max_bytes {
            self.told = responses::playback::whole(event).or(self.told.take());
        }
        let step = if self.take(event.data.len()) { Step::Content } else { Step::Quiet };
        if self.done { Step::Done } else { step }
    }

    /// Takes what the decoder said. True when there were words.
    fn take(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        let mut words = false;
        for delta in self.deltas.drain(..) {
            match &delta {
                Delta::Begin { id, .. } => self.id = id.clone().or(self.id.take()),
                Delta::Usage(usage) => self.usage = Some(*usage),
                Delta::Text { text, .. } | Delta::Refusal { text, .. } | Delta::Thinking { text, .. } => {
                    words |= !text.is_empty();
                }
                Delta::ToolCall { .. } | Delta::Arguments { .. } | Delta::Whole { .. } => words = true,
                Delta::Signature { .. } | Delta::PartEnd { .. } | Delta::Stop { .. } => {}
            }
            if self.bytes <= self.max_bytes {
                self.gather.push(delta);
            }
        }
        if self.bytes > self.max_bytes {
            self.gather = Gather::default();
        }
        words
    }

    fn finish(mut self) -> Result<Answer, String> {
        if self.bytes > self.max_bytes {
            return Err("the answer is larger than the limit for stored answers".to_owned());
        }
        if !self.done {
            self.decoder.end(&mut self.deltas)?;
            self.take(0);
        }
        if let Some(body) = self.told {
            return answer::read(self.surface, body.into());
        }
        let dropped = self.decoder.dropped();
        // Google rates nearly every answer: without those words one is worth keeping all the same, and says what it lacks.
        if let Some(lost) = dropped.first().filter(|_| self.surface != Surface::GenerateContent) {
            return Err(format!("the stream has parts without a word here (`{lost}`)"));
        }
        let lost = Lost::new(dropped, 0);
        let completion = self.gather.finish();
        let reply = hub::ReplyFor {
            id: completion.id.clone().unwrap_or_default(),
            model: completion.model.clone().unwrap_or_default(),
            request: self.request,
            ..hub::ReplyFor::default()
        };
        let body = hub::encode_answer(self.surface, &completion, &reply);
        Ok(Answer { lost, ..answer::of_chat(self.surface, &completion, body.into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(surface: Surface, events: &[&str]) -> Result<Answer, String> {
        let mut fold = Fold::new(surface, Bytes::new(), 1 << 20);
        for data in events {
            let event = format!("data: {data}\n\n");
            let step = fold.push(&sse::event(event.as_bytes()).ok_or("no event")?);
            assert!(!matches!(step, Step::Failed(_)), "{step:?}");
        }
        fold.finish()
    }

    #[test]
    fn an_answer_that_lacks_something_of_its_stream_says_so_or_is_none() {
        let rated =
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"safetyRatings":[{}],"finishReason":"STOP"}]}"#;
        let answer = folded(Surface::GenerateContent, &[rated]).unwrap();
        assert_eq!(answer.lost.to_string(), "safetyRatings");
        let cited = [r#"{"type":"citation-start"}"#, r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#];
        assert!(folded(Surface::CohereChat, &cited).unwrap_err().contains("citations"));
        // A stream that ends with its whole body loses nothing.
        let item = r#"{"type":"message","content":[{"type":"output_text","text":"a","annotations":[{"x":1}]}]}"#;
        let done = format!(r#"{{"type":"response.output_item.done","item":{item}}}"#);
        let end = |output: &str| {
            format!(
                r#"{{"type":"response.completed","response":{{"id":"r","status":"completed","output":[{output}]}}}}"#
            )
        };
        let answer = folded(Surface::Responses, &[&done, &end(item)]).unwrap();
        assert!(answer.lost.is_empty() && String::from_utf8_lossy(&answer.body).contains(r#"[{"x":1}]"#));
        assert!(folded(Surface::Responses, &[&done, &end("")]).unwrap_err().contains("annotations"));
    }
}
