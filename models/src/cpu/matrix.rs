//! [`Matrix`]: weights packed once, in the order in which the kernels read them.
//!
//! A matrix of `outputs × inputs` is cut into blocks of 32 outputs. A block is read front to back, once for each group
//! of token rows: for each step of inputs two tiles of 1 KiB, of 16 outputs each. A tile has 16 rows of 64 bytes; a row
//! has 4 bytes for each output: two consecutive inputs in bfloat16, or four in 8-bit integers. That is what AMX, VNNI
//! and the bfloat16 dot product want, and what AVX2 and NEON take apart with a shift.

use super::simd::portable::to_bf16;

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
        self.each_row(weights, |output, row| {
            for (step, values) in row.chunks_exact(32).enumerate() {
                let at = self.place(output) + step * 2 * TILE_BYTES;
                for (line, pair) in values.chunks_exact(2).enumerate() {
                    let word = u32::from(to_bf16(pair[0])) | u32::from(to_bf16(pair[1])) << 16;
                    room[at + line * 64..][..4].copy_from_slice(&word.to_le_bytes());
                }
            }
        });
    }

    fn pack_int8(&mut self, weights: &[f32], room: &mut [u8]) {
        let mut scales = Vec::with_capacity(self.outputs);
        let mut offsets = Vec::with_capacity(self.outputs);
        self.each_row(weights, |output, row| {
            let scale = scale(row);
            let mut sum = 0;
            for (step, values) in row.chunks_exact(64).enumerate() {
                let at = self.place(output) + step * 2 * TILE_BYTES;
                for (line, four) in values.chunks_exact(4).enumerate() {
                    for (lane, value) in four.iter().enumerate() {
                        let integer = (value / scale).round_ties_even().clamp(-127.0, 127.0) as i8;
                        sum += i32::from(integer);
                        room[at + line * 64 + lane] = integer as u8;
                    }
                }
            }
            scales.push(scale);
            offsets.push(128 * sum);
        });
        self.scales = scales;
        self.offsets = offsets;
    }

    fn each_row(&self, weights: &[f32], mut f: impl FnMut(usize, &[f32])) {
        weights.chunks_exact(self.inputs).enumerate().for_each(|(output, row)| f(output, row));
    }

    /// Where an output's first 4 bytes are, counted from the matrix's first.
    fn place(&self, output: usize) -> usize {
        let (block, column) = (output / BLOCK, output % BLOCK);
        block * self.block_bytes() + column / 16 * TILE_BYTES + column % 16 * 4
    }
}

/// The step of an output's integers.
fn scale(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    if largest > 0.0 { largest / 127.0 } else { 1.0 }
}
