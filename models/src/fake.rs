//! A backend without weights: hashed words and character trigrams. Deterministic; similar texts get similar vectors.
//!
//! It knows nothing of meaning: it stands in where a test needs the whole machinery, but no model.

use crate::backend::{Backend, TokenBatch};
use crate::error::EmbedError;
use crate::pooling;

/// Ids with this bit are whole words; they count more than trigrams.
const WORD: u32 = 1 << 31;
/// The feature that every text has, so that an empty one has a direction as well.
const START: u32 = WORD;
/// How much a whole word weighs beside a trigram.
const WORD_WEIGHT: f32 = 2.0;

/// The backend of [`crate::Embedder::fake`].
pub(crate) struct Fake {
    width: usize,
}

impl Fake {
    /// A backend of vectors with `width` components; 0 is taken as 1.
    pub(crate) fn new(width: usize) -> Fake {
        Fake { width: width.max(1) }
    }
}

impl Backend for Fake {
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
        batch.iter().try_for_each(|features| {
            vectors.extend(direction(features, self.width)?);
            Ok(())
        })
    }

    fn engine(&self) -> &'static str {
        "fake"
    }

    fn width(&self) -> usize {
        self.width
    }
}

/// The sum of a pseudo-random direction for each feature.
fn direction(features: &[u32], width: usize) -> Result<Vec<f32>, EmbedError> {
    let mut sum = vec![0.0; width];
    for &feature in features {
        let weight = match feature {
            START => 0.25,
            word if word & WORD != 0 => WORD_WEIGHT,
            _ => 1.0,
        };
        let mut state = u64::from(feature);
        for value in &mut sum {
            // Uniform in [-1, 1): the top 24 bits are exact in f32.
            *value += weight * ((mix(&mut state) >> 40) as f32 / (1u32 << 23) as f32 - 1.0);
        }
    }
    pooling::normalise(&mut sum)?;
    Ok(sum)
}

/// The features of a text, its lower-cased words and their trigrams, in at most `most` windows of at most `limit` each;
/// and whether there are more.
pub(crate) fn windows(text: &str, limit: usize, most: usize) -> (Vec<Vec<u32>>, bool) {
    let each = limit.saturating_sub(1).max(1);
    let (features, truncated) = features(text, each.saturating_mul(most));
    let row = |part: &[u32]| [&[START], part].concat();
    match features.is_empty() {
        true => (vec![row(&[])], truncated),
        false => (features.chunks(each).map(row).collect(), truncated),
    }
}

fn features(text: &str, limit: usize) -> (Vec<u32>, bool) {
    let mut ids = Vec::new();
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    for word in words {
        ids.push(hash(word.bytes()) | WORD);
        let letters: Vec<char> = format!(" {word} ").chars().collect();
        for trigram in letters.windows(3) {
            let bytes = trigram.iter().flat_map(|&c| u32::from(c).to_le_bytes());
            ids.push(hash(bytes) & !WORD);
        }
        if ids.len() > limit {
            break;
        }
    }
    let truncated = ids.len() > limit;
    ids.truncate(limit);
    (ids, truncated)
}

/// FNV-1a folded to 32 bits.
fn hash(bytes: impl Iterator<Item = u8>) -> u32 {
    let full =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (full ^ (full >> 32)) as u32
}

/// One step of SplitMix64.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        let vector = |text| direction(&windows(text, 10_000, 1).0[0], 384).unwrap();
        vector(a).iter().zip(vector(b)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn like_texts_are_near_and_unlike_ones_are_far() {
        let question = "What is the capital of France?";
        assert!(cosine(question, "what is the capital of france") > 0.999);
        assert!(cosine(question, "What's the capital city of France?") > 0.75);
        assert!(cosine(question, "Wie koche ich Kartoffelsuppe für zehn Gäste?") < 0.2);
    }

    #[test]
    fn every_text_has_a_unit_vector() {
        for text in ["", "   ", "?!", "\u{0}", "🦀🦀", "漢字かな", "a"] {
            assert!((cosine(text, text) - 1.0).abs() < 1e-5, "{text:?}");
        }
    }
}
