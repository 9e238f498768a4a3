//! Labels: questions, each with whether the shadow's answer to it said the same, as lines of JSON in a file for its owner alone.
//!
//! A task of its own writes. What would have to wait is dropped and counted; a file that is full is not written any more.

use crate::governance::records::without;
use crate::pipeline::recording::cut;
use crate::store::line_log::LineLog;
use crate::telemetry::metrics;
use crate::types::secret::Secret;
use crate::wire::date::Date;
use parking_lot::{Mutex, RwLock};
use serde_json::json;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Lines that may wait to be written.
const QUEUE: usize = 256;
/// An orderly end waits for the disk no longer than this.
const FLUSH: Duration = Duration::from_secs(5);
/// One file holds no more than this.
const FILE_BYTES: u64 = 64 << 20;
/// A file's name without what is put behind it.
const NAME_CHARS: usize = 80;

/// One question, and whether the shadow's answer to it did.
#[derive(Clone, Debug)]
pub(super) struct Label {
    /// The model whose shadow it is, as it is configured.
    pub(super) model: String,
    pub(super) question: String,
    /// The shadow's answer does not say what the real one does.
    pub(super) hard: bool,
    /// The cosine of the answers' vectors, where it was asked for.
    pub(super) similarity: Option<f32>,
    pub(super) at_ms: u64,
    /// The caller's own token, which may not stand in the file.
    pub(super) bearer: Option<Secret>,
}

impl Label {
    fn line(&self) -> String {
        json!({
            "question": cut(&self.question),
            "hard": self.hard,
            "similarity": self.similarity,
            "at": Date::of(self.at_ms / 1000).rfc3339(),
        })
        .to_string()
    }
}

enum Message {
    Label(Box<Label>),
    Flush(oneshot::Sender<()>),
}

/// Where labels go; nowhere, as long as no folder is named.
#[derive(Default)]
pub(super) struct Labels {
    folder: OnceLock<PathBuf>,
    queue: OnceLock<mpsc::Sender<Message>>,
    secrets: Arc<RwLock<Vec<Secret>>>,
}

impl Labels {
    /// Keeps them below `folder`.
    pub(super) fn keep_in(&self, folder: PathBuf) {
        // Only the first one counts: it is that of the start.
        let _ = self.folder.set(folder);
    }

    /// Names the keys that may not stand in a file, whoever writes them into a question.
    pub(super) fn keep_out(&self, secrets: Vec<Secret>) {
        *self.secrets.write() = secrets;
    }

    /// Takes one label, unless too many wait.
    pub(super) fn keep(&self, label: Label) {
        let Some(folder) = self.folder.get() else { return };
        let queue = self.queue.get_or_init(|| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let files = Files { folder: folder.clone(), max_bytes: FILE_BYTES, open: HashMap::new() };
            tokio::spawn(work_off(queue, files, self.secrets.clone()));
            sender
        });
        if queue.try_send(Message::Label(Box::new(label))).is_err() {
            metrics::shadow_label("dropped");
        }
    }

    /// Writes all that waits. For an orderly end.
    pub(super) async fn flush(&self) {
        let Some(queue) = self.queue.get() else { return };
        let (done, flushed) = oneshot::channel();
        let sent = tokio::time::timeout(FLUSH, queue.send(Message::Flush(done))).await;
        if sent.is_ok_and(|sent| sent.is_ok()) {
            // An error means that the task has ended, and with it all that could be flushed; or that the disk hangs.
            let _ = tokio::time::timeout(FLUSH, flushed).await;
        }
    }
}

async fn work_off(mut queue: mpsc::Receiver<Message>, files: Files, secrets: Arc<RwLock<Vec<Secret>>>) {
    let files = Arc::new(Mutex::new(files));
    while let Some(message) = queue.recv().await {
        match message {
            Message::Label(label) => {
                let secrets = secrets.read().clone();
                let files = files.clone();
                // Waits for the disk: not on a thread that serves requests.
                let written = tokio::task::spawn_blocking(move || {
                    let line = secrets
                        .iter()
                        .chain(&label.bearer)
                        .fold(label.line(), |line, secret| without(line, secret.expose()));
                    files.lock().write(&label.model, &line)
                });
                metrics::shadow_label(written.await.unwrap_or("failed"));
            }
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// One file.
enum Open {
    Log(LineLog),
    /// It was said why.
    Closed(&'static str),
}

/// The files of all models.
struct Files {
    folder: PathBuf,
    max_bytes: u64,
    open: HashMap<String, Open>,
}

impl Files {
    /// Writes a line of `model`; gives the word for what came of it. What is wrong with a file is said once.
    fn write(&mut self, model: &str, line: &str) -> &'static str {
        let name = file_name(model);
        let path = self.folder.join(&name);
        let (folder, max_bytes) = (&self.folder, self.max_bytes);
        let file = self.open.entry(name).or_insert_with(|| match opened(folder, &path, max_bytes) {
            Ok(log) => Open::Log(log),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the labels of a shadow are not kept");
                Open::Closed("failed")
            }
        });
        let log = match file {
            Open::Log(log) => log,
            Open::Closed(why) => return why,
        };
        if !log.has_room(line.len()) {
            tracing::warn!(path = %path.display(), max_bytes, "the file of a shadow's labels is full: no more are kept");
            *file = Open::Closed("full");
            return "full";
        }
        match log.append(line.as_bytes()) {
            Ok(()) => "written",
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the labels of a shadow are not kept any more");
                *file = Open::Closed("failed");
                "failed"
            }
        }
    }
}

fn opened(folder: &Path, path: &Path, max_bytes: u64) -> io::Result<LineLog> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    LineLog::open(path, max_bytes, 1)
}

/// A file's name for a model. Where the model's own cannot be one, what makes it one of its own is put behind it.
fn file_name(model: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = model.chars().map(|c| if plain(c) { c } else { '_' }).take(NAME_CHARS).collect();
    let name = name.trim_start_matches('.');
    if name == model && !name.is_empty() {
        return format!("{name}.jsonl");
    }
    let hash = blake3::hash(model.as_bytes()).to_hex();
    format!("{name}-{}.jsonl", &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(question: &str) -> Label {
        let question = question.to_owned();
        Label {
            model: "m".to_owned(),
            question,
            hard: true,
            similarity: Some(0.5),
            at_ms: 951_782_400_999,
            bearer: None,
        }
    }

    #[test]
    fn a_line_is_a_question_with_its_label() {
        let line: serde_json::Value = serde_json::from_str(&label("What \"is\" X?").line()).unwrap();
        let expected =
            json!({"question": "What \"is\" X?", "hard": true, "similarity": 0.5, "at": "2000-02-29T00:00:00Z"});
        assert_eq!(line, expected);
        assert!(label(&"ä".repeat(1 << 20)).line().len() < 100 << 10);
    }

    #[test]
    fn files_have_names_of_their_own() {
        assert_eq!(file_name("gpt-4.1_mini"), "gpt-4.1_mini.jsonl");
        let odd = ["gpt-*", "gpt-?", "a/b", "a_b", "../x", "/x", "", ".", "ä"];
        let names: Vec<String> = odd.iter().map(|model| file_name(model)).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!name.contains(['/', '*', '?']) && !name.starts_with('.'), "{name}");
            assert!(!names[..at].contains(name), "{name} is there twice");
        }
        assert!(file_name(&"x".repeat(600)).len() < 100);
    }

    #[test]
    fn a_full_file_is_not_written_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("labels");
        let mut files = Files { folder: folder.clone(), max_bytes: 10, open: HashMap::new() };
        let written: Vec<&str> = ["1234", "5678", "9", "x"].map(|line| files.write("m", line)).to_vec();
        assert_eq!(written, ["written", "written", "full", "full"]);
        assert_eq!(std::fs::read_to_string(folder.join("m.jsonl")).unwrap(), "1234\n5678\n");
        // Also after a restart; and the file of another model has room.
        let mut files = Files { open: HashMap::new(), ..files };
        assert_eq!([files.write("m", "y"), files.write("n", "y")], ["full", "written"]);
        std::fs::write(dir.path().join("file"), "").unwrap();
        let mut files = Files { folder: dir.path().join("file"), open: HashMap::new(), ..files };
        assert_eq!(files.write("m", "y"), "failed");
    }
}
