//! The vectors of a trace's texts: embedded once, and kept in a file if asked to.
//!
//! The file is `askonce-vectors 1`, the model's variant and the width as one line each, then a record for each text: its
//! BLAKE3 digest, a byte that says whether the model read it whole, and its components as little-endian floats.

use super::replay::bar;
use crate::replay::{Vector, Vectors};
use askonce_models::{Embedder, EmbedderSpec};
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;

const MAGIC: &str = "askonce-vectors 1";

type Known = HashMap<[u8; 32], Vector>;

/// The vectors of `texts`, of `file` where it has them.
pub(super) fn vectors(
    embedder: &Embedder,
    texts: &[&str],
    file: Option<&Path>,
    quiet: bool,
) -> Result<Vectors, String> {
    let spec = embedder.spec();
    let mut known = file.map(|file| read(file, spec)).transpose()?.flatten().unwrap_or_default();
    let missing: Vec<&str> =
        texts.iter().filter(|text| !known.contains_key(digest(text).as_bytes())).copied().collect();
    if !missing.is_empty() {
        let bar = bar("embedding", missing.len(), quiet);
        let found = embedder.embed_batch(&missing, &|done| bar.set_position(done as u64));
        bar.finish_and_clear();
        for (text, embedding) in missing.iter().zip(found.map_err(|error| error.to_string())?) {
            let vector = Vector { values: embedding.vector, truncated: embedding.truncated };
            known.insert(*digest(text).as_bytes(), vector);
        }
        if let Some(file) = file {
            write(file, spec, &known).map_err(|error| format!("{}: cannot be written: {error}", file.display()))?;
        }
    }
    let of = |text: &&str| Some((Box::from(*text), known.get(digest(text).as_bytes())?.clone()));
    Ok(texts.iter().filter_map(of).collect())
}

fn digest(text: &str) -> blake3::Hash {
    blake3::hash(text.as_bytes())
}

fn head(spec: &EmbedderSpec) -> String {
    format!("{MAGIC}\n{}\n{}\n", spec.variant, spec.width)
}

/// What `file` holds; nothing where it is not there yet, or of another model.
fn read(file: &Path, spec: &EmbedderSpec) -> Result<Option<Known>, String> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    if !bytes.starts_with(MAGIC.as_bytes()) {
        return Err(format!("{}: expected a file of vectors that --vectors wrote", file.display()));
    }
    let Some(records) = bytes.strip_prefix(head(spec).as_bytes()) else { return Ok(None) };
    let mut known = Known::new();
    for record in records.chunks_exact(33 + spec.width * 4) {
        let mut name = [0; 32];
        name.copy_from_slice(&record[..32]);
        let values = record[33..].chunks_exact(4).map(|of| f32::from_le_bytes([of[0], of[1], of[2], of[3]])).collect();
        known.insert(name, Vector { values, truncated: record[32] != 0 });
    }
    Ok(Some(known))
}

fn write(file: &Path, spec: &EmbedderSpec, known: &Known) -> std::io::Result<()> {
    let beside = file.with_extension("partial");
    let mut out = std::io::BufWriter::new(fs::File::create(&beside)?);
    out.write_all(head(spec).as_bytes())?;
    for (name, vector) in known {
        out.write_all(name)?;
        out.write_all(&[u8::from(vector.truncated)])?;
        for value in vector.values.iter() {
            out.write_all(&value.to_le_bytes())?;
        }
    }
    out.flush()?;
    fs::rename(beside, file)
}
