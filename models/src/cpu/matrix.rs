//! [`Matrix`]: weights packed once, in the order in which the kernels read them.
//!
//! A matrix of `outputs × inputs` is cut into blocks of 32 outputs. A block is read front to back, once for each group
//! of token rows: for each step of inputs two tiles of 1 KiB, of 16 outputs each. A tile has 16 rows of 64 bytes; a row
//! has 4 bytes for each output: two consecutive inputs in bfloat16, or four in 8-bit integers. That is what AMX and VNNI
//! want, and what plain vectors take apart with a shift.

use rayon::prelude::*;

use super::convert;

/// Outputs of a block.
pub(super) const BLOCK: usize = 32;
/// Bytes of a tile.
pub(super) const TILE_BYTES: usize = 1024;
/// Inputs and outputs are multiples of this.
pub(super) const GRAIN: usize = 64;

/// What the weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// bfloat16.
    Bf16,
    /// 8-bit integers, with a scale for each output.
    Int8,
}

impl Form {
    /// Consecutive inputs in the 4 bytes of an output.
    pub(super) fn together(self) -> usize {
        match self {
            Form::Bf16 => 2,
            Form::Int8 => 4,
        }
    }

    /// Inputs of a tile.
    pub(super) fn step(self) -> usize {
        16 * self.together()
    }

    /// Bytes of a packed matrix.
    pub(super) fn bytes(self, outputs: usize, inputs: usize) -> usize {
        outputs * inputs * 4 / self.together()
    }
}

/// A packed matrix: where it is in the arena, and what belongs to its outputs.
#[derive(Debug)]
pub(super) struct Matrix {
    /// What the weights are.
    pub form: Form,
    /// Columns of the weights: values of a token row going in.
    pub inputs: usize,
    /// Rows of the weights: values coming out.
    pub outputs: usize,
    /// Where the first block begins in the arena, in bytes.
    pub begin: usize,
    /// For `Int8`: what each input is multiplied with before it is rounded; the weights are divided by it.
    pub balance: Vec<f32>,
    /// Added to each output.
    pub bias: Vec<f32>,
    /// For `Int8`: what an output's integers are to be multiplied with.
    pub scales: Vec<f32>,
    /// For `Int8`: 128 times the sum of an output's integers, which is what a high half's zero point adds.
    pub offsets: Vec<i32>,
}

impl Matrix {
    /// Packs `weights` (`outputs` rows of `inputs`, both multiples of [`GRAIN`]) into `arena` from `begin` on.
    /// `balance` is of the inputs.
    pub(super) fn pack(
        form: Form,
        mut weights: Vec<f32>,
        bias: Vec<f32>,
        balance: Vec<f32>,
        (arena, begin): (&mut [u8], usize),
    ) -> Matrix {
        let outputs = bias.len();
        let inputs = weights.len() / outputs.max(1);
        let mut matrix =
            Matrix { form, inputs, outputs, begin, bias, balance, scales: Vec::new(), offsets: Vec::new() };
        let room = &mut arena[begin..begin + matrix.bytes()];
        match form {
            Form::Bf16 => matrix.pack_bf16(&weights, room),
            Form::Int8 => {
                for row in weights.chunks_exact_mut(matrix.inputs) {
                    row.iter_mut().zip(&matrix.balance).for_each(|(weight, factor)| *weight /= factor);
                }
                matrix.pack_int8(&weights, room);
            }
        }
        matrix
    }

    /// Whether inputs have to be multiplied with something first.
    pub(super) fn is_balanced(&self) -> bool {
        self.balance.iter().any(|&factor| factor != 1.0)
    }

    /// Bytes in the arena.
    pub(super) fn bytes(&self) -> usize {
        self.form.bytes(self.outputs, self.inputs)
    }

    /// Steps of a block: pairs of tiles.
    pub(super) fn steps(&self) -> usize {
        self.inputs / self.form.step()
    }

    /// Bytes of a block.
    pub(super) fn block_bytes(&self) -> usize {
        self.steps() * 2 * TILE_BYTES
    }

    fn pack_bf16(&self, weights: &[f32], room: &mut [u8]) {
        let blocks = room.par_chunks_exact_mut(self.block_bytes()).zip(weights.par_chunks_exact(BLOCK * self.inputs));
        blocks.for_each(|(room, weights)| convert::to_bf16_block(weights, self.inputs, room));
    }

    fn pack_int8(&mut self, weights: &[f32], room: &mut [u8]) {
        self.scales = weights.par_chunks_exact(self.inputs).map(scale).collect();
        let blocks = room.par_chunks_exact_mut(self.block_bytes()).zip(weights.par_chunks_exact(BLOCK * self.inputs));
        let offsets = blocks.enumerate().map(|(block, (room, weights))| {
            let scales = &self.scales[block * BLOCK..][..BLOCK];
            let integers: Vec<i8> = weights.chunks_exact(self.inputs).zip(scales).flat_map(integers).collect();
            self.fill(block, room, |output, input| {
                let at = output % BLOCK * self.inputs + input;
                std::array::from_fn(|lane| integers[at + lane] as u8)
            });
            let sum = |row: &[i8]| 128 * row.iter().map(|&integer| i32::from(integer)).sum::<i32>();
            integers.chunks_exact(self.inputs).map(sum).collect::<Vec<i32>>()
        });
        self.offsets = offsets.collect::<Vec<_>>().concat();
    }

    /// Writes a block front to back: `four` gives the 4 bytes of an output's inputs from one on.
    #[inline(always)]
    fn fill(&self, block: usize, room: &mut [u8], four: impl Fn(usize, usize) -> [u8; 4]) {
        for (number, tile) in room.chunks_exact_mut(TILE_BYTES).enumerate() {
            let (step, side) = (number / 2, number % 2);
            for (line, bytes) in tile.chunks_exact_mut(64).enumerate() {
                let input = step * self.form.step() + line * self.form.together();
                for (column, bytes) in bytes.chunks_exact_mut(4).enumerate() {
                    bytes.copy_from_slice(&four(block * BLOCK + side * 16 + column, input));
                }
            }
        }
    }
}

/// An output's weights in integers, by its scale.
fn integers((row, scale): (&[f32], &f32)) -> impl Iterator<Item = i8> {
    // Adding and taking away 1.5 · 2²³ leaves no room for a fraction: rounded to even without a call.
    const SHIFT: f32 = 12_582_912.0;
    row.iter().map(move |weight| ((weight / scale + SHIFT) - SHIFT).clamp(-127.0, 127.0) as i8)
}

/// The step of an output's integers.
fn scale(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    if largest > 0.0 { largest / 127.0 } else { 1.0 }
}
