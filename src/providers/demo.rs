//! The demo provider: answers any question from the bundled questions and answers, at a realistic pace.
//!
//! It is there so that a first `curl` works with no key and no network. It finds the bundled question that shares the
//! rarest words with the one asked; where none does, it says what it can be asked.

use super::{Call, Provider, Reply};
use crate::types::error::{Error, ErrorKind};
use crate::types::header;
use crate::types::json::Json;
use crate::types::surface::Surface;
use crate::wire::json::parse;
use crate::wire::openai::{answer, playback};
use crate::wire::request::{InPath, read};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The one model it has.
pub(super) const MODEL: &str = "demo";

/// Before the first word, and between pieces of a stream: about what a small hosted model takes.
const FIRST_WORD: Duration = Duration::from_millis(350);
const PIECE: Duration = Duration::from_millis(60);

const FILES: [&str; 4] = [
    include_str!("../../datasets/qa/general.jsonl"),
    include_str!("../../datasets/qa/support_desk.jsonl"),
    include_str!("../../datasets/qa/shop.jsonl"),
    include_str!("../../datasets/qa/coding_helper.jsonl"),
];

#[derive(Deserialize)]
struct Row {
    question: String,
    answer: String,
    #[serde(default)]
    paraphrases: Vec<String>,
}

/// Bundled answers by the words of their questions.
pub(super) struct Demo {
    name: Arc<str>,
    answers: Arc<Answers>,
}

struct Answers {
    rows: Vec<(Vec<HashSet<String>>, String)>,
    /// In how many rows a word stands.
    rows_with: HashMap<String, usize>,
}

impl Demo {
    pub(super) fn new(name: &str) -> Result<Demo, String> {
        let mut rows = Vec::new();
        for line in FILES.iter().flat_map(|file| file.lines()).filter(|line| !line.trim().is_empty()) {
            let row: Row =
                serde_json::from_str(line).map_err(|error| format!("a bundled question is damaged: {error}"))?;
            let wordings: Vec<HashSet<String>> =
                std::iter::once(&row.question).chain(&row.paraphrases).map(|text| words(text)).collect();
            rows.push((wordings, row.answer));
        }
        let mut rows_with = HashMap::new();
        for (wordings, _) in &rows {
            let all: HashSet<&String> = wordings.iter().flatten().collect();
            all.into_iter().for_each(|word| *rows_with.entry(word.clone()).or_insert(0) += 1);
        }
        Ok(Demo { name: name.into(), answers: Arc::new(Answers { rows, rows_with }) })
    }

    fn answer(&self, call: &Call) -> Result<(Bytes, bool), Error> {
        let json = parse(&call.body)?;
        let request = read(call.surface, &json, &call.body, &InPath::default())?;
        let question = match call.surface {
            Surface::ChatCompletions => request.question.clone().unwrap_or_default(),
            Surface::Completions => json.get("prompt").and_then(Json::as_str).unwrap_or_default().to_owned(),
            _ => {
                let message = "The demo provider answers chat completions and completions only. For embeddings name the sentence model, such as all-MiniLM-L6-v2.";
                return Err(Error::invalid("model", message));
            }
        };
        let text = self.answers.nearest(&question);
        // A word is a token here: the demo counts what it can count.
        let (asked, said) = (question.split_whitespace().count(), text.split_whitespace().count());
        let chat = call.surface == Surface::ChatCompletions;
        let choice = if chat {
            serde_json::json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"})
        } else {
            serde_json::json!({"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"})
        };
        let body = serde_json::json!({
            "id": playback::new_id(call.surface),
            "object": if chat { "chat.completion" } else { "text_completion" },
            "created": now_s(),
            "model": request.model,
            "choices": [choice],
            "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
        });
        Ok((body.to_string().into(), request.include_usage))
    }

    async fn reply(&self, call: Call) -> Result<Reply, Error> {
        let (body, include_usage) = self.answer(&call)?;
        tokio::time::sleep(FIRST_WORD).await;
        let headers = HeaderMap::from_iter([(header::DEMO, HeaderValue::from_static("true"))]);
        if !call.stream {
            let pieces = stream::once(async move {
                // As long as the words would have taken, within reason.
                tokio::time::sleep(PIECE * u32::try_from(body.len() / 64).unwrap_or(0).min(15)).await;
                Ok(body)
            });
            return Ok(Reply {
                content_type: header::JSON,
                headers,
                dropped: Vec::new(),
                usage_added: false,
                body: pieces.boxed(),
            });
        }
        let whole = answer::read(call.surface, body).map_err(|why| Error::new(ErrorKind::Internal, why))?;
        let events = playback::as_stream(call.surface, &whole, &playback::new_id(call.surface), now_s(), include_usage);
        let pieces = stream::iter(events).then(|event| async move {
            tokio::time::sleep(PIECE).await;
            Ok(event)
        });
        let content_type = HeaderValue::from_static("text/event-stream");
        Ok(Reply { content_type, headers, dropped: Vec::new(), usage_added: false, body: pieces.boxed() })
    }
}

impl Answers {
    /// The answer whose question shares the most, and the rarest, words.
    fn nearest(&self, question: &str) -> String {
        let asked = words(question);
        let weight = |word: &String| {
            let rows = self.rows_with.get(word).copied().unwrap_or(0);
            (1.0 + self.rows.len() as f64 / (1.0 + rows as f64)).ln()
        };
        let total = |words: &HashSet<String>| words.iter().map(weight).sum::<f64>();
        let score = |wording: &HashSet<String>| {
            let shared: f64 = asked.intersection(wording).map(weight).sum();
            shared / (total(&asked) + total(wording) - shared).max(f64::MIN_POSITIVE)
        };
        let best = self
            .rows
            .iter()
            .map(|(wordings, answer)| (wordings.iter().map(score).fold(0.0, f64::max), answer))
            .max_by(|one, other| one.0.total_cmp(&other.0));
        match best {
            Some((score, answer)) if score >= 0.2 => answer.clone(),
            _ => "This is askonce's built-in demo. It answers from a small set of bundled questions, and none of them is \
                  near yours. Ask for the capital of France, how to return an order, or how the cache decides; or add a \
                  provider, for instance by setting OPENAI_API_KEY, for real answers."
                .to_owned(),
        }
    }
}

/// The words that carry meaning, and each two that follow one another.
fn words(text: &str) -> HashSet<String> {
    const COMMON: [&str; 24] = [
        "a", "an", "the", "is", "are", "do", "does", "i", "my", "to", "of", "in", "on", "for", "and", "you", "me",
        "it", "can", "be", "please", "what", "s", "how",
    ];
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && !COMMON.contains(word)).collect();
    // Pairs tell "miles to kilometres" from "kilometres to miles".
    let pairs = words.windows(2).map(|pair| format!("{} {}", pair[0], pair[1]));
    words.iter().map(|word| (*word).to_owned()).chain(pairs).collect()
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Provider for Demo {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn speaks(&self, surface: Surface) -> Option<Surface> {
        match surface {
            Surface::Completions => Some(Surface::Completions),
            chat if chat.is_chat() => Some(Surface::ChatCompletions),
            _ => None,
        }
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(self.reply(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(async { Ok(vec![MODEL.to_owned()]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_bundled_questions_and_their_rewordings() {
        let demo = Demo::new("demo").unwrap();
        let mut wrong = Vec::new();
        let mut asked = 0;
        for line in FILES.iter().flat_map(|file| file.lines()) {
            let row: Row = serde_json::from_str(line).unwrap();
            for text in std::iter::once(&row.question).chain(&row.paraphrases) {
                asked += 1;
                if demo.answers.nearest(text) != row.answer {
                    wrong.push(text.clone());
                }
            }
        }
        assert!(wrong.len() * 100 <= asked, "{} of {asked} wrong: {wrong:?}", wrong.len());
        assert!(demo.answers.nearest("zxcv qwer").contains("built-in demo"));
    }
}
