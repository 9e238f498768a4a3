//! [`Probe`]: how large the inputs of each matrix get, seen on a few made-up texts while a network is being packed.

use super::encoder::{Attending, Embeddings, Pass, Thinking};
use super::scratch::Scratch;
use crate::backend::TokenBatch;

/// Texts. Few are enough: with four times as many, simulated vectors came out as exact.
const TEXTS: usize = 4;
/// Tokens of each, if the model has as many positions.
const TOKENS: usize = 16;

/// Texts of random words on their way through the layers that have been packed so far.
pub(super) struct Probe {
    pass: Pass,
    batch: TokenBatch,
    scratch: Scratch,
}

impl Probe {
    /// Ready for the first layer. The words are always the same ones.
    pub(super) fn new(pass: Pass, embeddings: &Embeddings) -> Probe {
        let width = pass.widths.hidden;
        let words = (embeddings.words.len() / 2 / width).max(1) as u64;
        let tokens = TOKENS.min(embeddings.positions.len() / width);
        let mut batch = TokenBatch::default();
        let mut dice = 1u64;
        for _ in 0..TEXTS {
            let ids: Vec<u32> = (0..tokens)
                .map(|_| {
                    // Knuth's generator for 64 bits, whose upper ones are random enough.
                    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    ((dice >> 33) % words) as u32
                })
                .collect();
            batch.push(&ids);
        }
        let mut scratch = Scratch::new();
        scratch.make_room(batch.tokens(), pass.widths);
        pass.embed(embeddings, &batch, &mut scratch);
        Probe { pass, batch, scratch }
    }

    /// The largest magnitude of each value of a token's row.
    pub(super) fn sizes(&self) -> Vec<f32> {
        let width = self.pass.widths.hidden;
        let mut sizes = vec![0.0f32; width];
        for row in self.scratch.hidden.all()[..self.batch.tokens() * width].chunks_exact(width) {
            sizes.iter_mut().zip(row).for_each(|(size, value)| *size = size.max(value.abs()));
        }
        sizes
    }

    /// On through a layer's attention; `arena` has its weights.
    pub(super) fn attend(&mut self, arena: &[u8], layer: &Attending) {
        let Probe { pass, batch, scratch } = self;
        pass.kernels.with_tiles(|| pass.attend(arena, layer, batch, scratch));
    }

    /// On through a layer's inner rows.
    pub(super) fn think(&mut self, arena: &[u8], layer: &Thinking) {
        let Probe { pass, batch, scratch } = self;
        pass.kernels.with_tiles(|| pass.think(arena, layer, batch.tokens(), scratch));
    }
}
