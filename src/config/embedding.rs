//! The sentence model, and how it is fed.

use super::env::Env;
use super::error::ConfigError;
use super::fields::Fields;
use super::paths;
use super::resolved::{Device, Embedding, Overrides};

/// The sentence model when nobody says.
const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

const KEYS: &[&str] =
    &["model", "model_dir", "device", "threads", "batch_tokens", "batch_wait_us", "queue", "deadline_ms"];

/// Reads `embedding`. Whether the model is known is for the manifest to say.
pub(super) fn embedding(root: &Fields<'_>, overrides: &Overrides, env: &Env<'_>) -> Result<Embedding, ConfigError> {
    let fields = root.child("embedding", KEYS)?;
    let mut model_dir = None;
    if let (Some(text), Some(item)) = (fields.text("model_dir")?, fields.get("model_dir")) {
        model_dir = Some(paths::folder(&text, env).map_err(|message| item.error(message))?);
    }
    Ok(Embedding {
        model: fields.text("model")?.unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
        model_dir: overrides.model_dir.clone().or(model_dir),
        device: fields.word("device", Device::Cpu)?,
        threads: fields.count("threads", 1, 1..=256)?,
        batch_tokens: fields.count("batch_tokens", 512, 64..=1_048_576)?,
        batch_wait: fields.micros("batch_wait_us", 0, 0..=1_000_000)?,
        queue: fields.count("queue", 1_024, 1..=1_000_000)?,
        deadline: fields.millis("deadline_ms", 500, 1..=60_000)?,
    })
}
