//! Vectors of texts, and the nearest earlier and later requests of each request's own scope.

use super::Source;
use super::data::Data;
use crate::cli::model::{loaded, named};
use askonce_models::Embedder;
use indicatif::ProgressBar;
use rayon::prelude::*;
use std::fs;

/// Neighbours that are kept of each request: the top 16 of those that will be stored must be among them.
const KEPT: usize = 400;

/// All vectors, one behind the other.
pub(super) struct Vectors {
    width: usize,
    values: Vec<f32>,
}

impl Vectors {
    /// Embeds the texts of `data`, or takes their vectors from the file that an earlier run left.
    pub(super) fn of(data: &Data, source: &Source) -> Result<Vectors, String> {
        let model = named(&source.model)?;
        let key = key(data, &source.model);
        let kept = source.vectors.as_ref().and_then(|file| fs::read(file).ok());
        if let Some(values) = kept.as_ref().and_then(|kept| kept.strip_prefix(key.as_slice())) {
            let values = values.chunks_exact(4).map(|n| f32::from_le_bytes([n[0], n[1], n[2], n[3]])).collect();
            return Ok(Vectors { width: model.width, values });
        }
        let embedder = embedder(source)?;
        let texts: Vec<&str> = data.texts.iter().map(String::as_str).collect();
        let bar = ProgressBar::new(texts.len() as u64);
        let embedded = embedder.embed_batch(&texts, &|done| bar.set_position(done as u64));
        bar.finish_and_clear();
        let embedded = embedded.map_err(|error| error.to_string())?;
        let values: Vec<f32> = embedded.iter().flat_map(|one| one.vector.iter().copied()).collect();
        if let Some(file) = &source.vectors {
            let mut bytes = key;
            bytes.extend(values.iter().flat_map(|number| number.to_le_bytes()));
            fs::write(file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(Vectors { width: embedder.spec().width, values })
    }

    fn row(&self, text: usize) -> &[f32] {
        &self.values[text * self.width..(text + 1) * self.width]
    }

    /// Cosine of two texts.
    pub(super) fn similarity(&self, one: usize, other: usize) -> f32 {
        let (one, other) = (self.row(one), self.row(other));
        let mut sums = [0.0f32; 16];
        for (a, b) in one.chunks(16).zip(other.chunks(16)) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        sums.iter().sum()
    }

    /// For every request the nearest other ones of its scope, best first: cosine and place in the stream.
    pub(super) fn neighbours(&self, data: &Data) -> Vec<Vec<(f32, u32)>> {
        let mut of_scope: Vec<Vec<u32>> = vec![Vec::new(); data.scopes.len()];
        for (at, request) in data.stream.iter().enumerate() {
            of_scope[request.scope as usize].push(at as u32);
        }
        let near = |at: usize| {
            let request = &data.stream[at];
            let others = of_scope[request.scope as usize].iter().filter(|other| **other as usize != at);
            let mut near: Vec<(f32, u32)> = others
                .map(|other| (self.similarity(request.text, data.stream[*other as usize].text), *other))
                .collect();
            near.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
            near.truncate(KEPT);
            near.shrink_to_fit();
            near
        };
        (0..data.stream.len()).into_par_iter().map(near).collect()
    }
}

/// The sentence model that `source` names.
pub(super) fn embedder(source: &Source) -> Result<Embedder, String> {
    loaded(&source.model, source.model_dir.as_deref(), &source.store)
}

/// What the kept vectors belong to.
fn key(data: &Data, model: &str) -> Vec<u8> {
    let mut hash = blake3::Hasher::new();
    hash.update(model.as_bytes());
    for text in &data.texts {
        hash.update(text.as_bytes());
        hash.update(&[0]);
    }
    hash.finalize().as_bytes().to_vec()
}
