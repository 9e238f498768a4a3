//! Bytes as they lie on disk → text or Parquet: gzip is unpacked, what is neither is refused.

use super::{MAX_BYTES, parquet};
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// What a file holds.
pub(super) enum Content {
    Text(String),
    /// The file as it is.
    Parquet(Vec<u8>),
}

/// What is in `bytes` of a file, packed by gzip or not. The error says what was found instead.
pub(super) fn content(bytes: Vec<u8>) -> Result<Content, String> {
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) { unpack(&bytes)? } else { bytes };
    if bytes.starts_with(parquet::MAGIC) {
        return Ok(Content::Parquet(bytes));
    }
    text_of(bytes).map(Content::Text)
}

/// The text in `bytes` of a file, packed by gzip or not. The error says what was found instead.
pub fn text(bytes: Vec<u8>) -> Result<String, String> {
    match content(bytes)? {
        Content::Text(text) => Ok(text),
        Content::Parquet(_) => Err("is Parquet, which is not read here: write it out as JSON lines first".to_owned()),
    }
}

fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err("is packed by zstd, which is not read here: unpack it, or pack it by gzip".to_owned());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: expected UTF-8 text, and found bytes that are none")
    })
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(MAX_BYTES + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("is gzip that cannot be unpacked: {error}"))?;
    if unpacked.len() as u64 > MAX_BYTES {
        return Err(format!("holds more than {} GiB unpacked: split it", MAX_BYTES >> 30));
    }
    Ok(unpacked)
}
