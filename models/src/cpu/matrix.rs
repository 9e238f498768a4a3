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

/// Consecutive inputs that share scales in 8 bits, at most. Fewer are more exact, and cost: after each group the sums leave
/// the integer registers (docs/decisions/0014-int8.md).
const GROUP: usize = 192;

/// What the weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// bfloat16.
    Bf16,
    /// 8-bit integers, with a scale for each output and group of inputs.
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
    /// For `Int8`: inputs of a group.
    pub group: usize,
    /// For `Int8`: what an output's integers are to be multiplied with; for each block and group 32 of them.
    pub scales: Vec<f32>,
    /// For `Int8`: the sums of an output's integers, in the same order.
    pub sums: Vec<f32>,
}

impl Matrix {
    /// Packs `weights` (`outputs` rows of `inputs`, both multiples of [`GRAIN`]) into `arena` from `begin` on.
    /// `balance` is of the inputs.
    pub(super) fn pack(
        form: Form,
        weights: &[f32],
        bias: Vec<f32>,
        balance: Vec<f32>,
        (arena, begin): (&mut [u8], usize),
    ) -> Matrix {
        let outputs = bias.len();
        let inputs = weights.len() / outputs.max(1);
        let group = group_of(inputs);
        let mut matrix =
            Matrix { form, inputs, outputs, begin, bias, balance, group, scales: Vec::new(), sums: Vec::new() };
        let room = &mut arena[begin..begin + matrix.bytes()];
        match form {
            Form::Bf16 => matrix.pack_bf16(weights, room),
            Form::Int8 => matrix.pack_int8(weights, room),
        }
        matrix
    }

    /// Groups of inputs.
    pub(super) fn groups(&self) -> usize {
        self.inputs / self.group
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
        let shares: Vec<f32> = self.balance.iter().map(|factor| 1.0 / factor).collect();
        let blocks = room.par_chunks_exact_mut(self.block_bytes()).zip(weights.par_chunks_exact(BLOCK * self.inputs));
        let rounded = blocks.enumerate().map(|(block, (room, weights))| {
            let rounded = Rounded::of(weights, &shares, self.group);
            self.fill(block, room, |output, input| {
                let at = output % BLOCK * self.inputs + input;
                std::array::from_fn(|lane| rounded.integers[at + lane] as u8)
            });
            (rounded.scales, rounded.sums)
        });
        let (scales, sums): (Vec<_>, Vec<_>) = rounded.unzip();
        (self.scales, self.sums) = (scales.concat(), sums.concat());
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

/// A block's weights in integers.
struct Rounded {
    /// Output after output.
    integers: Vec<i8>,
    /// For each group 32, one for each output.
    scales: Vec<f32>,
    /// The sums of the integers, in the same order.
    sums: Vec<f32>,
}

impl Rounded {
    /// `shares` are what the weights of each input are multiplied with first.
    fn of(weights: &[f32], shares: &[f32], group: usize) -> Rounded {
        // Adding and taking away 1.5 · 2²³ leaves no room for a fraction: rounded to even without a call.
        const SHIFT: f32 = 12_582_912.0;
        let groups = shares.len() / group;
        let (scales, sums) = (vec![0.0; groups * BLOCK], vec![0.0; groups * BLOCK]);
        let mut rounded = Rounded { integers: vec![0; weights.len()], scales, sums };
        let mut balanced = vec![0.0; group];
        for (number, integers) in rounded.integers.chunks_exact_mut(group).enumerate() {
            let (output, group_number) = (number / groups, number % groups);
            let (weights, shares) = (&weights[number * group..][..group], &shares[group_number * group..][..group]);
            let mut largest = 0.0f32;
            for ((to, weight), share) in balanced.iter_mut().zip(weights).zip(shares) {
                *to = weight * share;
                largest = if to.abs() > largest { to.abs() } else { largest };
            }
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            let finer = 1.0 / scale;
            let mut sum = 0;
            for (integer, weight) in integers.iter_mut().zip(&balanced) {
                *integer = ((weight * finer + SHIFT) - SHIFT).clamp(-127.0, 127.0) as i8;
                sum += i32::from(*integer);
            }
            rounded.scales[group_number * BLOCK + output] = scale;
            rounded.sums[group_number * BLOCK + output] = sum as f32;
        }
        rounded
    }
}

/// Inputs of a group, of `inputs`, a multiple of [`GRAIN`]: as many whole tiles as go into them evenly.
fn group_of(inputs: usize) -> usize {
    (1..=GROUP / GRAIN).rev().map(|tiles| tiles * GRAIN).find(|&group| inputs.is_multiple_of(group)).unwrap_or(GRAIN)
}
