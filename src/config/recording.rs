//! `recording`: what requests leave behind for `askonce replay`.

use std::path::PathBuf;

use super::env::Env;
use super::error::ConfigError;
use super::fields::Fields;
use super::paths;
use super::resolved::RecordedPrompts;

/// Traffic as a trace. Only where it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The file that is written; older ones stand beside it as `.1`, `.2` and so on. A relative path is below
    /// `data_dir`.
    pub path: PathBuf,
    /// Whether questions and answers are written as they are, or as hashes.
    pub prompts: RecordedPrompts,
    /// The size of a file, in bytes. The next line that does not fit begins a new one.
    pub max_bytes: u64,
    /// Files kept, the one being written included. At least 1.
    pub files: u64,
}

/// Reads `recording`, if it is there.
pub(super) fn recording(root: &Fields<'_>, env: &Env<'_>) -> Result<Option<Recording>, ConfigError> {
    let Some(item) = root.get("recording") else { return Ok(None) };
    let fields = item.fields(&["path", "prompts", "max_bytes", "files"])?;
    let path = match (fields.text("path")?, fields.get("path")) {
        (Some(text), Some(item)) => paths::folder(&text, env).map_err(|message| item.error(message))?,
        _ => PathBuf::from("recording.jsonl"),
    };
    Ok(Some(Recording {
        path,
        prompts: fields.word("prompts", RecordedPrompts::Hashed)?,
        max_bytes: fields.bytes("max_bytes", 64 << 20, 1 << 16..=1 << 40)?,
        files: fields.integer("files", 4, 1..=1_000)?,
    }))
}
