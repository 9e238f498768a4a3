//! [`Encoder`]: the forward pass of a BERT encoder over packed weights.

use super::arena::Arena;
use super::kernels::{KernelSet, Operand};
use super::matrix::{Form, Matrix};
use super::ops::{Attention, Finish, Norm, Tables};
use super::product::Product;
use super::scratch::{OperandRows, Scratch, Widths};
use crate::backend::TokenBatch;

/// A network, ready to run. All its weights are in one arena, in the order in which they are read.
pub(super) struct Encoder {
    pub(super) pass: Pass,
    pub(super) arena: Arena,
    pub(super) embeddings: Embeddings,
    pub(super) layers: Vec<Layer>,
}

/// What the parts of a forward pass have in common.
#[derive(Clone, Copy)]
pub(super) struct Pass {
    pub(super) kernels: &'static KernelSet,
    pub(super) widths: Widths,
    pub(super) heads: usize,
    pub(super) relu: bool,
}

/// The rows that tokens begin with.
pub(super) struct Embeddings {
    /// 16-bit IEEE floats: half the memory, and far finer than what the products keep.
    pub(super) words: Arena,
    /// For each position, the token type's row added.
    pub(super) positions: Vec<f32>,
    pub(super) norm: NormWeights,
}

/// Gain and bias of a layer norm.
pub(super) struct NormWeights {
    pub(super) gain: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) epsilon: f32,
}

/// One layer.
pub(super) struct Layer {
    pub(super) attending: Attending,
    pub(super) thinking: Thinking,
}

/// A layer's attention, its output added to the rows, and their norm.
pub(super) struct Attending {
    /// Queries (divided by the root of the head's width), keys and values.
    pub(super) mixed: Matrix,
    /// Attention's output.
    pub(super) output: Matrix,
    pub(super) norm: NormWeights,
}

/// A layer's inner rows and back, added to the rows, and their norm.
pub(super) struct Thinking {
    /// The inner row.
    pub(super) widen: Matrix,
    /// Back to the width.
    pub(super) narrow: Matrix,
    pub(super) norm: NormWeights,
}

impl NormWeights {
    fn norm(&self) -> Norm<'_> {
        Norm { width: self.gain.len(), gain: &self.gain, bias: &self.bias, epsilon: self.epsilon }
    }
}

impl Encoder {
    /// Computes the last layer's rows of all texts, one text after the other, into `scratch.hidden`. Each text is at
    /// most as long as there are positions, and its ids are words.
    pub(super) fn run(&self, batch: &TokenBatch, scratch: &mut Scratch) {
        scratch.make_room(batch.tokens(), self.pass.widths);
        self.pass.embed(&self.embeddings, batch, scratch);
        for layer in &self.layers {
            self.pass.attend(self.arena.bytes(), &layer.attending, batch, scratch);
            self.pass.think(self.arena.bytes(), &layer.thinking, batch.tokens(), scratch);
        }
    }
}

impl Pass {
    /// Writes the rows that the first layer takes. There is room in `scratch`, for what follows as well.
    pub(super) fn embed(&self, embeddings: &Embeddings, batch: &TokenBatch, scratch: &mut Scratch) {
        let width = self.widths.hidden;
        let Embeddings { words, positions, norm } = embeddings;
        let tables = Tables { width, words: words.view(), positions };
        let rows = &mut scratch.hidden.all_mut()[..batch.tokens() * width];
        let mut begin = 0;
        for (ids, &end) in batch.iter().zip(batch.ends()) {
            self.kernels.embed(&tables, ids, &mut rows[begin * width..end * width]);
            begin = end;
        }
        self.kernels.layer_norm(&norm.norm(), rows);
    }

    /// Brings the rows through a layer's attention. `arena` has the weights; with [`KernelSet::tiles`], this thread has
    /// them configured. So below.
    pub(super) fn attend(&self, arena: &[u8], layer: &Attending, batch: &TokenBatch, scratch: &mut Scratch) {
        let (tokens, width) = (batch.tokens(), self.widths.hidden);
        let Scratch { hidden, wide, context, operand, attention, .. } = scratch;
        let rows = &mut hidden.all_mut()[..tokens * width];
        self.prepare(&layer.mixed, rows, operand);
        let mixed = &mut wide.all_mut()[..tokens * 3 * width];
        self.multiply(arena, &layer.mixed, (operand, rows), tokens, Finish::Store(mixed));
        let context = &mut context.all_mut()[..tokens * width];
        let mut begin = 0;
        for &end in batch.ends() {
            self.kernels.attention(&mut Attention {
                mixed: &mixed[begin * 3 * width..end * 3 * width],
                heads: self.heads,
                size: self.widths.head,
                scratch: attention.all_mut(),
                context: &mut context[begin * width..end * width],
            });
            begin = end;
        }
        self.prepare(&layer.output, context, operand);
        self.multiply(arena, &layer.output, (operand, context), tokens, Finish::Add(rows));
        self.kernels.layer_norm(&layer.norm.norm(), rows);
    }

    /// Brings the rows through a layer's inner rows.
    pub(super) fn think(&self, arena: &[u8], layer: &Thinking, tokens: usize, scratch: &mut Scratch) {
        let (width, inner_width) = (self.widths.hidden, self.widths.inner);
        let Scratch { hidden, wide, operand, inner, .. } = scratch;
        let rows = &mut hidden.all_mut()[..tokens * width];
        let wide = &mut wide.all_mut()[..tokens * inner_width];
        self.prepare(&layer.widen, rows, operand);
        if self.operand(&layer.narrow) == Operand::Bf16 {
            let finish = Finish::ActivateBf16(inner.bf16_mut());
            self.multiply(arena, &layer.widen, (operand, rows), tokens, finish);
        } else {
            self.multiply(arena, &layer.widen, (operand, rows), tokens, Finish::Activate(wide));
            self.prepare(&layer.narrow, wide, inner);
        }
        self.multiply(arena, &layer.narrow, (inner, wide), tokens, Finish::Add(rows));
        self.kernels.layer_norm(&layer.norm.norm(), rows);
    }

    fn operand(&self, matrix: &Matrix) -> Operand {
        match matrix.form {
            Form::Bf16 => self.kernels.bf16,
            Form::Int8 => self.kernels.int8,
        }
    }

    /// Brings `rows` into the form in which `matrix` takes them.
    fn prepare(&self, matrix: &Matrix, rows: &[f32], operand: &mut OperandRows) {
        let factors = matrix.is_balanced().then_some(matrix.balance.as_slice());
        match (self.operand(matrix), factors) {
            (Operand::F32, Some(factors)) => self.kernels.scale(rows, factors, operand.floats_mut()),
            (Operand::F32, None) => (),
            (Operand::Bf16, _) => self.kernels.to_bf16(rows, operand.bf16_mut()),
            (Operand::Bytes, _) => {
                self.kernels.to_bytes(rows, matrix.inputs, factors, &mut operand.bytes_mut(matrix.group));
            }
        }
    }

    /// `rows` are what was prepared, and the floats that it was made of.
    fn multiply(
        &self,
        arena: &[u8],
        matrix: &Matrix,
        (operand, floats): (&OperandRows, &[f32]),
        rows: usize,
        finish: Finish<'_>,
    ) {
        let weights = &arena[matrix.begin..matrix.begin + matrix.bytes()];
        let floats = if matrix.is_balanced() { operand.floats() } else { floats };
        let input = operand.input(self.operand(matrix), floats);
        self.kernels.multiply(&mut Product { weights, matrix, input, rows, finish, relu: self.relu });
    }
}
