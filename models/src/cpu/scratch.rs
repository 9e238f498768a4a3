//! [`Scratch`]: the memory of one forward pass, kept from call to call.

use super::arena::Arena;
use super::bytes::Mark;
use super::kernels::Operand;
use super::matrix::GRAIN;
use super::ops::Bytes;
use super::product::{Input, ROWS};

/// What a forward pass writes on the way. Grows to the largest batch, and stays.
pub(super) struct Scratch {
    /// Tokens there is room for.
    tokens: usize,
    /// The tokens' rows between the layers.
    pub hidden: Floats,
    /// Queries, keys and values, or the inner rows.
    pub wide: Floats,
    /// What attention gives.
    pub context: Floats,
    /// What a product takes, in the form that it takes.
    pub operand: OperandRows,
    /// The same, while the first is being read.
    pub inner: OperandRows,
    /// Of one head's attention.
    pub attention: Floats,
}

/// The widths of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    /// Of a token's row.
    pub hidden: usize,
    /// Of the inner row.
    pub inner: usize,
    /// Of a head.
    pub head: usize,
}

impl Scratch {
    /// No room yet.
    pub(super) fn new() -> Scratch {
        Scratch {
            tokens: 0,
            hidden: Floats::new(0),
            wide: Floats::new(0),
            context: Floats::new(0),
            operand: OperandRows::new(0),
            inner: OperandRows::new(0),
            attention: Floats::new(0),
        }
    }

    /// Makes room for `tokens` tokens in all.
    pub(super) fn make_room(&mut self, tokens: usize, widths: Widths) {
        if tokens <= self.tokens {
            return;
        }
        let rows = tokens.next_multiple_of(ROWS);
        let wide = (3 * widths.hidden).max(widths.inner);
        *self = Scratch {
            tokens: rows,
            hidden: Floats::new(rows * widths.hidden),
            wide: Floats::new(rows * wide),
            context: Floats::new(rows * widths.hidden),
            operand: OperandRows::new(rows * (2 * widths.hidden).max(widths.inner)),
            inner: OperandRows::new(rows * widths.inner),
            attention: Floats::new(super::ops::Attention::room(rows, widths.head)),
        };
    }
}

/// Floats on a cache line boundary.
pub(super) struct Floats(Arena);

impl Floats {
    fn new(len: usize) -> Floats {
        Floats(Arena::zeroed(len * 4))
    }

    /// All of them.
    pub(super) fn all(&self) -> &[f32] {
        self.0.view()
    }

    /// All of them, to be written.
    pub(super) fn all_mut(&mut self) -> &mut [f32] {
        self.0.view_mut()
    }
}

/// Rows in one of the forms that products take.
pub(super) struct OperandRows {
    /// bfloat16, or bytes; or floats.
    memory: Arena,
    marks: Vec<Mark>,
}

impl OperandRows {
    /// Room for `values` values.
    fn new(values: usize) -> OperandRows {
        OperandRows { memory: Arena::zeroed(values * 2), marks: vec![Mark::default(); values.div_ceil(GRAIN)] }
    }

    /// Floats: half as many as there is room for values.
    pub(super) fn floats_mut(&mut self) -> &mut [f32] {
        self.memory.view_mut()
    }

    /// The same, to be read.
    pub(super) fn floats(&self) -> &[f32] {
        self.memory.view()
    }

    /// bfloat16.
    pub(super) fn bf16_mut(&mut self) -> &mut [u16] {
        self.memory.view_mut()
    }

    /// Bytes, with marks for groups of `group` columns.
    pub(super) fn bytes_mut(&mut self, group: usize) -> Bytes<'_> {
        Bytes { bytes: self.memory.bytes_mut(), marks: &mut self.marks, group }
    }

    /// As the input of a product; floats are elsewhere.
    pub(super) fn input<'a>(&'a self, operand: Operand, floats: &'a [f32]) -> Input<'a> {
        match operand {
            Operand::F32 => Input::F32(floats),
            Operand::Bf16 => Input::Bf16(self.memory.view()),
            Operand::Bytes => Input::Bytes { bytes: self.memory.bytes(), marks: &self.marks },
        }
    }
}
