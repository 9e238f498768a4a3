//! Every kernel that this processor has against scalar twins, written here in the plainest way.
#![allow(unsafe_code)] // The polynomials are written in `Simd`.

use super::arena::Arena;
use super::bytes::Mark;
use super::kernels::{KernelSet, Operand};
use super::matrix::{Form, Matrix};
use super::ops::{Attention, Bytes, Finish, Norm, Tables};
use super::product::{Input, Product, ROWS};
use super::simd::portable::{from_bf16, from_f16, to_bf16, to_f16};
use crate::precision::Kernels;

/// Deterministic numbers between -1 and 1.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    fn some(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

fn sets() -> Vec<&'static KernelSet> {
    let sets: Vec<_> = Kernels::ALL.into_iter().filter_map(KernelSet::of).collect();
    assert!(!sets.is_empty());
    sets
}

fn close(name: &str, got: &[f32], wanted: &[f32], within: f32) {
    assert_eq!(got.len(), wanted.len(), "{name}");
    for (number, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        let error = (got - wanted).abs();
        assert!(error <= within, "{name}: value {number} is {got}, expected {wanted}");
    }
}

fn phi(x: f64) -> f64 {
    // The normal distribution by Simpson's rule from 0: plain, and exact to 10⁻⁹.
    let steps = 2000;
    let width = x / f64::from(steps);
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let inner: f64 = (1..steps).map(|i| density(width * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    0.5 + width / 3.0 * (density(0.0) + inner + density(x))
}

/// A matrix with its inputs.
struct Case {
    matrix: Matrix,
    arena: Arena,
    /// As they were rounded, output after output.
    weights: Vec<f32>,
    input: Vec<f32>,
    rows: usize,
}

/// Weights as 8 bits keep them: each output's in groups of inputs, a step of each group's largest divided by 127.
fn rounded_to_8_bits(weights: &[f32], group: usize) -> Vec<f32> {
    let groups = weights.chunks_exact(group).flat_map(|weights| {
        let step = weights.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs())) / 127.0;
        weights.iter().map(move |weight| (weight * (1.0 / step)).round_ties_even() * step)
    });
    groups.collect()
}

fn case(form: Form, rows: usize, round_input: bool) -> Case {
    // Three groups in 8 bits.
    let (outputs, inputs) = (128, 576);
    let mut dice = Dice(rows as u64);
    let weights: Vec<f32> = dice.some(outputs * inputs).iter().map(|weight| weight * 0.3).collect();
    let bias = dice.some(outputs);
    let mut input: Vec<f32> = dice.some(rows * inputs).iter().map(|value| value * 0.5 + 0.2).collect();
    let mut arena = Arena::zeroed(form.bytes(outputs, inputs) + 64);
    let matrix = Matrix::pack(form, &weights, bias, vec![1.0; inputs], (arena.bytes_mut(), 64));
    assert_eq!(matrix.group, 192);
    if round_input {
        input.iter_mut().for_each(|value| *value = from_bf16(to_bf16(*value)));
    }
    let weights = match form {
        Form::Bf16 => weights.iter().map(|weight| from_bf16(to_bf16(*weight))).collect(),
        Form::Int8 => rounded_to_8_bits(&weights, matrix.group),
    };
    Case { matrix, arena, weights, input, rows }
}

impl Case {
    /// What the product is, of the weights as they were rounded, and of the inputs as a set takes them.
    fn exact(&self, set: &KernelSet) -> Vec<f32> {
        let Matrix { form, inputs, group, bias, .. } = &self.matrix;
        let mut input = self.input.clone();
        if (*form, set.int8) == (Form::Int8, Operand::Bytes) {
            let (bytes, marks) = self.bytes(set);
            let values = bytes
                .iter()
                .enumerate()
                .map(|(at, byte)| (f32::from(*byte) - marks[at / group].zero) * marks[at / group].step);
            input = values.take(input.len()).collect();
        }
        let mut exact = Vec::new();
        for row in input.chunks_exact(*inputs) {
            for (weights, bias) in self.weights.chunks_exact(*inputs).zip(bias) {
                let sum: f64 = row.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                exact.push((sum + f64::from(*bias)) as f32);
            }
        }
        exact
    }

    /// The input in bytes, with room for whole tiles of rows.
    fn bytes(&self, set: &KernelSet) -> (Vec<u8>, Vec<Mark>) {
        let Matrix { inputs, group, .. } = self.matrix;
        let mut bytes = vec![0; self.rows.next_multiple_of(ROWS) * inputs];
        let mut marks = vec![Mark::default(); bytes.len() / group];
        set.to_bytes(&self.input, inputs, None, &mut Bytes { bytes: &mut bytes, marks: &mut marks, group });
        (bytes, marks)
    }
}

/// The product by a set, in the operand that it wants.
fn multiply(set: &KernelSet, case: &Case, finish: Finish<'_>, relu: bool) {
    let padded = case.rows.next_multiple_of(ROWS) * case.matrix.inputs;
    let operand = if case.matrix.form == Form::Bf16 { set.bf16 } else { set.int8 };
    let (mut halves, (bytes, marks)) = (vec![0; padded], case.bytes(set));
    set.to_bf16(&case.input, &mut halves);
    let input = match operand {
        Operand::F32 => Input::F32(&case.input),
        Operand::Bf16 => Input::Bf16(&halves),
        Operand::Bytes => Input::Bytes { bytes: &bytes, marks: &marks },
    };
    let weights = &case.arena.bytes()[64..];
    let mut product = Product { weights, matrix: &case.matrix, input, rows: case.rows, finish, relu };
    set.with_tiles(|| set.multiply(&mut product));
}

#[test]
fn products_are_what_they_should_be() {
    for set in sets() {
        for form in [Form::Bf16, Form::Int8] {
            for rows in [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 64, 71] {
                let case = case(form, rows, form == Form::Bf16);
                let (name, exact) = (format!("{} {form:?} {rows}", set.name), case.exact(set));
                let mut stored = vec![9.0; rows * case.matrix.outputs];
                multiply(set, &case, Finish::Store(&mut stored), false);
                close(&name, &stored, &exact, 1e-4);
                let mut added = vec![0.5; stored.len()];
                multiply(set, &case, Finish::Add(&mut added), false);
                close(&name, &added, &exact.iter().map(|v| v + 0.5).collect::<Vec<_>>(), 1e-4);
            }
        }
    }
}

#[test]
fn activations_are_what_they_should_be() {
    for set in sets() {
        for relu in [false, true] {
            let case = case(Form::Bf16, 17, true);
            let active = |x: &f32| if relu { x.max(0.0) } else { (f64::from(*x) * phi(f64::from(*x))) as f32 };
            let wanted: Vec<f32> = case.exact(set).iter().map(active).collect();
            let mut floats = vec![0.0; wanted.len()];
            multiply(set, &case, Finish::Activate(&mut floats), relu);
            close(set.name, &floats, &wanted, 2e-3);
            let mut halves = vec![0; wanted.len()];
            multiply(set, &case, Finish::ActivateBf16(&mut halves), relu);
            let rounded: Vec<f32> = floats.iter().map(|value| from_bf16(to_bf16(*value))).collect();
            close(set.name, &halves.iter().map(|half| from_bf16(*half)).collect::<Vec<_>>(), &rounded, 0.0);
        }
    }
}

#[test]
fn the_polynomials_keep_their_errors() {
    use super::simd::portable::Portable;
    use super::simd::{Simd, exp, gelu};
    let mut x = -90.0f32;
    while x < 89.0 {
        // SAFETY: the portable instructions are everywhere.
        let (e, g) = unsafe { (exp::<Portable>(Portable::splat(x))[0], gelu::<Portable>(Portable::splat(x))[0]) };
        let wanted = f64::from(x.clamp(-87.0, 88.0)).exp();
        assert!(((f64::from(e) - wanted) / wanted).abs() < 4e-7, "exp({x}) = {e}, expected {wanted}");
        if x.abs() < 9.0 {
            let wanted = f64::from(x) * phi(f64::from(x));
            assert!((f64::from(g) - wanted).abs() < 1e-4, "gelu({x}) = {g}, expected {wanted}");
        }
        x += 0.037;
    }
}

#[test]
fn layer_norms_are_what_they_should_be() {
    let mut dice = Dice(3);
    let width = 64;
    let (gain, bias) = (dice.some(width), dice.some(width));
    let rows: Vec<f32> = dice.some(3 * width).iter().map(|v| v * 5.0 + 2.0).collect();
    let mut wanted = Vec::new();
    for row in rows.chunks_exact(width) {
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / width as f64;
        let variance = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / width as f64;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        wanted.extend((0..width).map(|i| ((f64::from(row[i]) - mean) * scale) as f32 * gain[i] + bias[i]));
    }
    for set in sets() {
        let mut got = rows.clone();
        set.layer_norm(&Norm { width, gain: &gain, bias: &bias, epsilon: 1e-5 }, &mut got);
        close(set.name, &got, &wanted, 1e-5);
    }
}

#[test]
fn embeddings_are_word_and_position() {
    let width = 64;
    let mut dice = Dice(4);
    let words: Vec<u16> = dice.some(10 * width).into_iter().map(to_f16).collect();
    let positions = dice.some(5 * width);
    let ids = [3, 9, 0];
    for set in sets() {
        let mut rows = vec![0.0; ids.len() * width];
        set.embed(&Tables { width, words: &words, positions: &positions }, &ids, &mut rows);
        for (at, value) in rows.iter().enumerate() {
            let (token, i) = (at / width, at % width);
            let wanted = from_f16(words[ids[token] as usize * width + i]) + positions[at];
            assert_eq!(*value, wanted, "{} {at}", set.name);
        }
    }
}

#[test]
fn attention_is_what_it_should_be() {
    for (tokens, heads, size) in
        [(1, 2, 32), (2, 1, 16), (7, 3, 32), (16, 2, 64), (17, 2, 32), (40, 1, 32), (65, 2, 16)]
    {
        let width = heads * size;
        let mixed: Vec<f32> = Dice(tokens as u64).some(tokens * 3 * width).iter().map(|v| v * 2.0).collect();
        let at = |token: usize, part: usize, head: usize, i: usize| {
            f64::from(mixed[token * 3 * width + part * width + head * size + i])
        };
        let mut wanted = vec![0.0; tokens * width];
        for head in 0..heads {
            for token in 0..tokens {
                let score = |other| (0..size).map(|i| at(token, 0, head, i) * at(other, 1, head, i)).sum::<f64>();
                let weights: Vec<f64> = (0..tokens).map(|other| score(other).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..size {
                    let mix: f64 = weights.iter().enumerate().map(|(other, w)| w / sum * at(other, 2, head, i)).sum();
                    wanted[token * width + head * size + i] = mix as f32;
                }
            }
        }
        for set in sets() {
            let (mut scratch, mut context) = (vec![7.0; Attention::room(tokens, size)], vec![0.0; tokens * width]);
            let (scratch, room) = (&mut scratch, &mut context);
            set.attention(&mut Attention { mixed: &mixed, heads, size, scratch, context: room });
            close(&format!("{} {tokens} tokens of {heads}×{size}", set.name), &context, &wanted, 2e-5);
        }
    }
}

/// A group in bytes, in the plainest way.
fn plain_bytes(values: &[f32]) -> (Vec<u8>, Mark) {
    let (least, largest) = values.iter().fold((0.0f32, 0.0f32), |(least, largest), v| (least.min(*v), largest.max(*v)));
    let finer = 255.0 / (largest - least).max(1e-30);
    let zero = (-least * finer).round_ties_even();
    let byte = |value: &f32| (value * finer + zero).round_ties_even().clamp(0.0, 255.0) as u8;
    (values.iter().map(byte).collect(), Mark { step: (largest - least).max(1e-30) / 255.0, zero })
}

#[test]
fn bytes_are_what_they_should_be() {
    let (width, group) = (128, 64);
    let mut values = Dice(6).some(4 * width);
    values[..width].iter_mut().for_each(|value| *value *= 1e4);
    values[width..2 * width].fill(0.0);
    values[2 * width..3 * width].iter_mut().for_each(|value| *value = value.abs() + 3.0);
    let factors: Vec<f32> = Dice(8).some(width).iter().map(|value| value + 1.5).collect();
    for set in sets() {
        for factors in [None, Some(factors.as_slice())] {
            let (mut bytes, mut marks) = (vec![9; values.len()], vec![Mark::default(); values.len() / group]);
            set.to_bytes(&values, width, factors, &mut Bytes { bytes: &mut bytes, marks: &mut marks, group });
            let mut scaled = values.clone();
            if let Some(factors) = factors {
                set.scale(&values, factors, &mut scaled);
            }
            for (number, values) in scaled.chunks_exact(group).enumerate() {
                let (wanted, mark) = plain_bytes(values);
                let got = &bytes[number * group..][..group];
                assert_eq!(marks[number], mark, "{} {number}", set.name);
                // A value between two bytes may go either way: a product and a sum may have been rounded once or twice.
                let near = got.iter().zip(&wanted).all(|(got, wanted)| got.abs_diff(*wanted) <= 1);
                assert!(near, "{} {number}: {got:?}, expected {wanted:?}", set.name);
                for (byte, value) in got.iter().zip(values) {
                    let error = ((f32::from(*byte) - mark.zero) * mark.step - value).abs();
                    assert!(error <= 1.001 * mark.step, "{} {number}: {value}", set.name);
                }
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_none_in_bytes() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = Dice(9).some(2 * 64);
        values[70] = bad;
        for set in sets() {
            let (mut bytes, mut marks) = (vec![0; 128], vec![Mark::default(); 2]);
            set.to_bytes(&values, 64, None, &mut Bytes { bytes: &mut bytes, marks: &mut marks, group: 64 });
            assert!(marks[0].step.is_finite() && marks[1].step.is_nan(), "{} {bad}: {marks:?}", set.name);
        }
    }
}

#[test]
fn the_same_integers_on_tiles_and_on_vectors() {
    let all = sets();
    let mut sets = all.into_iter().filter(|set| set.int8 == Operand::Bytes);
    let Some(first) = sets.next() else { return };
    for rows in [1, 5, 16, 40] {
        let case = case(Form::Int8, rows, false);
        let mut wanted = vec![0.0; rows * case.matrix.outputs];
        multiply(first, &case, Finish::Store(&mut wanted), false);
        for set in sets.clone() {
            let mut got = vec![0.0; wanted.len()];
            multiply(set, &case, Finish::Store(&mut got), false);
            assert_eq!(got, wanted, "{} and {}", set.name, first.name);
        }
    }
}

#[test]
fn half_floats_round_trip_and_round_to_the_nearest() {
    for half in 0..0x7C00_u16 {
        assert_eq!(to_f16(from_f16(half)), half);
        assert_eq!(to_f16(from_f16(half | 0x8000)), half | 0x8000);
    }
    let mut dice = Dice(7);
    for _ in 0..10_000 {
        let value = dice.next() * dice.next() * 0.01;
        let half = to_f16(value);
        let error = |half: u16| (from_f16(half) - value).abs();
        assert!(error(half) <= error(half + 1) && error(half) <= error(half.saturating_sub(1)), "{value}");
        let short = to_bf16(value);
        let error = |short: u16| (from_bf16(short) - value).abs();
        assert!(error(short) <= error(short + 1) && error(short) <= error(short - 1), "{value}");
    }
}
