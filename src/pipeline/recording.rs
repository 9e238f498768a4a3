//! Recording: what was asked and answered, as a trace that `askonce replay` reads. Off the request's path.
//!
//! A request hands over what it holds already, and goes on. One thread makes lines of it and writes them. What would have
//! to wait is dropped and counted: a recording may have holes, but costs nobody time.

use crate::cache::question;
use crate::config::{RecordedPrompts, Recording};
use crate::governance::records::without;
use crate::store::line_log::LineLog;
use crate::telemetry::metrics;
use crate::types::ids::Digest;
use crate::types::secret::Secret;
use crate::types::surface::Surface;
use crate::types::usage::Usage;
use crate::wire::answer;
use crate::wire::hub;
use crate::wire::json::parse;
use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::{Map, Value};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::oneshot;

/// Records that may wait to be written, and their bytes.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 32 << 20;
/// The longest line. An earlier conversation that would make it longer is left out, an answer cut off.
const LINE_BYTES: usize = 256 << 10;

/// What a request leaves behind, but for its answer.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The request's id.
    pub(super) id: String,
    /// When it arrived, in milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
    pub(super) scope: Digest,
    pub(super) surface: Surface,
    pub(super) model: String,
    pub(super) question: String,
    /// The request's body.
    pub(super) body: Bytes,
    /// The caller's own token, which may not stand in the file.
    pub(super) bearer: Option<Secret>,
}

/// How a request was answered.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// `hit`, `miss`, `stale` or `bypass`, with the tier behind a `/` where there is one.
    pub(super) cache: String,
    pub(super) answer: Option<Bytes>,
    pub(super) usage: Option<Usage>,
    pub(super) took_ms: u64,
}

enum Message {
    Record(Box<(Draft, Given)>),
    Flush(oneshot::Sender<()>),
}

/// Takes records.
pub struct Recorder {
    messages: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
    secrets: Arc<RwLock<Vec<Secret>>>,
}

impl Recorder {
    /// Begins to record as `settings` say, below `data_dir` where their path is relative. `key` is the installation's
    /// own, for hashes.
    pub fn start(settings: &Recording, data_dir: &Path, key: [u8; 32]) -> io::Result<Recorder> {
        let log = LineLog::open(&data_dir.join(&settings.path), settings.max_bytes, settings.files)?;
        let (messages, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let secrets = Arc::new(RwLock::default());
        let writer = Writer {
            log,
            lines: Lines { prompts: settings.prompts, key },
            waiting: waiting.clone(),
            secrets: secrets.clone(),
            failing: false,
        };
        std::thread::Builder::new().name("askonce-recording".to_owned()).spawn(move || writer.run(&queue))?;
        Ok(Recorder { messages, waiting, secrets })
    }

    /// Names the keys that may not stand in the file, whoever writes them into a question.
    pub fn keep_out(&self, secrets: Vec<Secret>) {
        *self.secrets.write() = secrets;
    }

    /// Records one request, unless too many wait already.
    pub(super) fn record(&self, draft: Draft, given: Given) {
        let bytes = size(&draft, &given);
        let room = self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUE_BYTES;
        if !room || self.messages.try_send(Message::Record(Box::new((draft, given)))).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            metrics::recorded("dropped");
        }
    }

    /// Writes everything that waits, and syncs it to the disk. For an orderly end.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.messages.try_send(Message::Flush(done)).is_ok() {
            // An error means that the thread has ended, and with it all that could be flushed.
            let _ = flushed.await;
        }
    }
}

fn size(draft: &Draft, given: &Given) -> usize {
    size_of::<Draft>() + draft.question.len() + draft.body.len() + given.answer.as_ref().map_or(0, Bytes::len)
}

struct Writer {
    log: LineLog,
    lines: Lines,
    waiting: Arc<AtomicUsize>,
    secrets: Arc<RwLock<Vec<Secret>>>,
    /// The last write failed; said once, until one works again.
    failing: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Message>) {
        while let Ok(message) = queue.recv() {
            match message {
                Message::Record(record) => {
                    let (draft, given) = *record;
                    self.waiting.fetch_sub(size(&draft, &given), Ordering::Relaxed);
                    self.write(&draft, &given);
                }
                Message::Flush(done) => {
                    let synced = self.log.sync();
                    self.note(&synced);
                    let _ = done.send(());
                }
            }
        }
        let synced = self.log.sync();
        self.note(&synced);
    }

    fn write(&mut self, draft: &Draft, given: &Given) {
        let mut line = self.lines.line(draft, given);
        for secret in self.secrets.read().iter().chain(&draft.bearer) {
            line = without(line, secret.expose());
        }
        let written = self.log.append(line.as_bytes());
        metrics::recorded(if written.is_ok() { "written" } else { "failed" });
        self.note(&written);
    }

    fn note(&mut self, result: &io::Result<()>) {
        if let (Err(error), false) = (result, self.failing) {
            tracing::error!(%error, "the recording is not written");
        }
        self.failing = result.is_err();
    }
}

/// Makes lines of records.
struct Lines {
    prompts: RecordedPrompts,
    key: [u8; 32],
}

impl Lines {
    fn line(&self, draft: &Draft, given: &Given) -> String {
        let mut row = Map::new();
        let mut put = |name: &str, value: Value| {
            row.insert(name.to_owned(), value);
        };
        put("id", draft.id.as_str().into());
        put("t", (draft.at_ms as f64 / 1000.0).into());
        // Of a scope only what tells it from others is of use; the digest itself would let one test guesses.
        put("scope", self.hash(&draft.scope.0).into());
        put("model", draft.model.as_str().into());
        match self.prompts {
            RecordedPrompts::Hashed => {
                put("text", self.hash(draft.question.as_bytes()).into());
                let folded = question::fold(&draft.question);
                put("normalised", folded.map(|folded| self.hash(folded.as_bytes())).into());
            }
            RecordedPrompts::Clear => match conversation(draft.surface, &draft.body) {
                Some(messages) => put("messages", messages),
                None => put("text", cut(&draft.question).into()),
            },
        }
        let texts = given.answer.as_ref().map(|body| answer::texts(draft.surface, body)).unwrap_or_default();
        let text = texts.join("\n");
        if !text.is_empty() {
            let hashed = self.prompts == RecordedPrompts::Hashed;
            put("answer", if hashed { self.hash(text.as_bytes()).into() } else { cut(&text).into() });
        }
        if let Some(usage) = given.usage {
            put("in_tok", usage.input_tokens.into());
            put("out_tok", usage.output_tokens.into());
            let parts = [
                ("cached_tok", usage.cached_tokens),
                ("cache_write_tok", usage.cache_write_tokens),
                ("reasoning_tok", usage.reasoning_tokens),
            ];
            parts.into_iter().filter(|(_, tokens)| *tokens > 0).for_each(|(name, tokens)| put(name, tokens.into()));
        }
        put("cache", given.cache.as_str().into());
        put("took_ms", given.took_ms.into());
        Value::Object(row).to_string()
    }

    /// A hash that only this installation can make: equal texts have equal ones, and guesses cannot be tested.
    fn hash(&self, bytes: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.key, bytes);
        format!("b3:{}", &hash.to_hex()[..32])
    }
}

/// The messages of a request, where there is more to them than one text.
fn conversation(surface: Surface, body: &Bytes) -> Option<Value> {
    if body.len() > LINE_BYTES / 2 {
        return None;
    }
    let mut body: Value = match surface {
        Surface::ChatCompletions => serde_json::from_slice(body).ok()?,
        // A trace has one form, whatever surface it was recorded at.
        chat if chat.is_chat() => {
            let chat = hub::decode(chat, &parse(body).ok()?, "", false).ok()?;
            serde_json::from_slice(&hub::encode(Surface::ChatCompletions, &chat).ok()?.body).ok()?
        }
        _ => return None,
    };
    let messages = body.get_mut("messages")?.take();
    let all = messages.as_array()?;
    let plain = all.len() == 1 && all[0].get("content").is_some_and(Value::is_string);
    (!plain).then_some(messages)
}

/// `text`, cut where it would make a line too long.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LINE_BYTES / 4)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(question: &str, body: &Value) -> Draft {
        Draft {
            id: "r".to_owned(),
            at_ms: 1500,
            scope: Digest([1; 32]),
            surface: Surface::ChatCompletions,
            model: "m".to_owned(),
            question: question.to_owned(),
            body: body.to_string().into(),
            bearer: Some(Secret::new("sk-caller-\"0123456789")),
        }
    }

    fn given(text: &str) -> Given {
        let body = serde_json::json!({"choices": [{"message": {"content": text}}]}).to_string();
        let usage = Some(Usage { reasoning_tokens: 2, ..Usage::new(3, 4) });
        Given { cache: "miss".to_owned(), answer: Some(body.into()), usage, took_ms: 9 }
    }

    fn line(prompts: RecordedPrompts, key: u8, draft: &Draft, given: &Given) -> Value {
        let line = Lines { prompts, key: [key; 32] }.line(draft, given);
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn hashes_say_what_is_equal_and_nothing_else() {
        let hashed =
            |key, question: &str| line(RecordedPrompts::Hashed, key, &draft(question, &Value::Null), &given("a"));
        let (one, same, other) = (hashed(1, "What is X?"), hashed(1, "what is x"), hashed(1, "What is Y?"));
        assert_eq!(one["normalised"], same["normalised"]);
        assert!(one["text"] != same["text"] && one["normalised"] != other["normalised"]);
        assert_eq!((&one["answer"], &one["t"], &one["in_tok"]), (&other["answer"], &1.5.into(), &3.into()));
        assert_eq!((&one["reasoning_tok"], one.get("cached_tok")), (&2.into(), None), "parts that there are none of");
        assert!(!one.to_string().contains("What"));
        assert_ne!(hashed(2, "What is X?")["text"], one["text"]);
    }

    #[test]
    fn clear_lines_hold_text_or_messages() {
        let single = serde_json::json!({"messages": [{"role": "user", "content": "q"}]});
        let of = |body: &Value| line(RecordedPrompts::Clear, 1, &draft("q", body), &given("a"));
        assert_eq!((&of(&single)["text"], &of(&single)["answer"]), (&"q".into(), &"a".into()));
        let turns =
            serde_json::json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]});
        assert_eq!((&of(&turns)["messages"], &of(&turns)["text"]), (&turns["messages"], &Value::Null));
        let long = serde_json::json!({"messages": [{"role": "system", "content": "s".repeat(LINE_BYTES)}, {}]});
        assert_eq!(of(&long)["text"], "q");
        let words = "ä".repeat(LINE_BYTES);
        assert!(
            line(RecordedPrompts::Clear, 1, &draft(&words, &single), &given(&words)).to_string().len()
                < LINE_BYTES + 999
        );
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let settings =
            Recording { path: "t.jsonl".into(), prompts: RecordedPrompts::Clear, max_bytes: 1 << 20, files: 1 };
        let recorder = Recorder::start(&settings, dir.path(), [1; 32]).unwrap();
        let mut large = draft("large", &Value::Null);
        large.body = vec![b' '; QUEUE_BYTES].into();
        recorder.record(large, given("a"));
        recorder.record(draft("small", &Value::Null), given("a"));
        recorder.flush().await;
        let written = std::fs::read_to_string(dir.path().join("t.jsonl")).unwrap();
        assert!(written.lines().count() == 1 && written.contains("small"), "{written}");
        assert_eq!(recorder.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn secrets_stay_out() {
        let draft = draft("my key is sk-caller-\"0123456789, and short", &Value::Null);
        let line = Lines { prompts: RecordedPrompts::Clear, key: [1; 32] }.line(&draft, &given("a"));
        let line = without(without(line, draft.bearer.as_ref().unwrap().expose()), "short");
        assert!(line.contains("my key is [secret], and short"), "{line}");
    }
}
