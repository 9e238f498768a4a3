//! The sentence model, and how it is fed.

use std::ops::RangeInclusive;

use super::env::Env;
use super::error::ConfigError;
use super::fields::Fields;
use super::paths;
use super::resolved::{Device, Embedding, Kernels, LongText, Overrides, Pin, Precision};

/// The sentence model when nobody says.
const DEFAULT_MODEL: &str = "all-MiniLM-L6-v2";

const KEYS: &[&str] = &[
    "model",
    "model_dir",
    "device",
    "precision",
    "kernels",
    "threads",
    "pin",
    "batch_tokens",
    "batch_wait_us",
    "queue",
    "queue_bytes",
    "long_text",
    "max_windows",
    "memo_bytes",
    "deadline_ms",
];

/// The most cores that a list names, and one more than the largest number of one.
const MOST_CORES: u64 = 1024;

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
        precision: fields.get("precision").map(|item| item.word::<Precision>()).transpose()?,
        kernels: fields.word("kernels", Kernels::Auto)?,
        threads: fields.count("threads", 1, 1..=256)?,
        pin: pin(&fields)?,
        batch_tokens: fields.count("batch_tokens", 512, 64..=1_048_576)?,
        batch_wait: fields.micros("batch_wait_us", 0, 0..=1_000_000)?,
        queue: fields.count("queue", 1_024, 1..=1_000_000)?,
        queue_bytes: bytes(&fields, "queue_bytes", 16 << 20, 1 << 10..=1 << 40)?,
        long_text: fields.word("long_text", LongText::Truncate)?,
        max_windows: fields.count("max_windows", 16, 1..=1_024)?,
        memo_bytes: bytes(&fields, "memo_bytes", 4 << 20, 0..=1 << 40)?,
        deadline: fields.millis("deadline_ms", 500, 1..=60_000)?,
    })
}

/// `true`, `false`, or a list of cores.
fn pin(fields: &Fields<'_>) -> Result<Pin, ConfigError> {
    let Some(item) = fields.get("pin") else { return Ok(Pin::Off) };
    if !item.is_list() {
        let each = item.bool().map_err(|error| error.with_suggestion("or a list of cores, such as `[2, 3]`"))?;
        return Ok(if each { Pin::Each } else { Pin::Off });
    }
    let items = item.list()?;
    if items.is_empty() || items.len() as u64 > MOST_CORES {
        return Err(item.error(format!("expected 1 to {MOST_CORES} cores, found {}", items.len())));
    }
    let cores = items.iter().map(|core| core.integer(0..=MOST_CORES - 1).map(|core| core as usize));
    cores.collect::<Result<_, _>>().map(Pin::Cores)
}

fn bytes(
    fields: &Fields<'_>,
    key: &'static str,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<usize, ConfigError> {
    let bytes = fields.bytes(key, default, range)?;
    usize::try_from(bytes).map_err(|_| fields.error(format!("`{key}` is too large for this machine")))
}
