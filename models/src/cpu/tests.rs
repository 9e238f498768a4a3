//! Every kernel that this processor has against scalar twins, written here in the plainest way.
#![allow(unsafe_code)] // The polynomials are written in `Simd`.

use super::arena::Arena;
use super::kernels::{KernelSet, Operand};
use super::matrix::{Form, Matrix};
use super::ops::{Attention, Finish, Norm, Planes, Tables};
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

/// A matrix with its inputs, and the exact product.
struct Case {
    matrix: Matrix,
    arena: Arena,
    input: Vec<f32>,
    rows: usize,
    /// What the product is, of the weights and inputs as they were rounded.
    exact: Vec<f32>,
}

fn case(form: Form, rows: usize, round_input: bool) -> Case {
    let (outputs, inputs) = (128, 192);
    let mut dice = Dice(rows as u64);
    let weights = dice.some(outputs * inputs);
    let bias = dice.some(outputs);
    let mut input = dice.some(rows * inputs);
    let mut arena = Arena::zeroed(form.bytes(outputs, inputs) + 64);
    let matrix = Matrix::pack(form, weights.clone(), bias.clone(), vec![1.0; inputs], (arena.bytes_mut(), 64));
    if round_input {
        input.iter_mut().for_each(|value| *value = from_bf16(to_bf16(*value)));
    }
    let mut exact = Vec::new();
    for row in input.chunks_exact(inputs) {
        for (output, weights) in weights.chunks_exact(inputs).enumerate() {
            let rounded = |w: f32| match form {
                Form::Bf16 => from_bf16(to_bf16(w)),
                Form::Int8 => (w / matrix.scales[output]).round_ties_even() * matrix.scales[output],
            };
            let sum: f64 = row.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(rounded(*w))).sum();
            exact.push((sum + f64::from(bias[output])) as f32);
        }
    }
    Case { matrix, arena, input, rows, exact }
}

/// The product by a set, in the operand that it wants.
fn multiply(set: &KernelSet, case: &Case, finish: Finish<'_>, relu: bool) {
    let padded = case.rows.next_multiple_of(ROWS) * case.matrix.inputs;
    let operand = if case.matrix.form == Form::Bf16 { set.bf16 } else { set.int8 };
    let (mut halves, mut high, mut low) = (vec![0; padded], vec![0; padded], vec![0; padded]);
    let mut steps = vec![0.0; case.rows];
    set.to_bf16(&case.input, &mut halves);
    let mut planes = Planes { high: &mut high, low: &mut low, steps: &mut steps };
    set.to_halves(&case.input, &case.matrix.balance, &mut planes);
    let input = match operand {
        Operand::F32 => Input::F32(&case.input),
        Operand::Bf16 => Input::Bf16(&halves),
        Operand::Halves => Input::Halves { high: &high, low: &low, steps: &steps },
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
                let name = format!("{} {form:?} {rows}", set.name);
                let mut stored = vec![9.0; rows * case.matrix.outputs];
                multiply(set, &case, Finish::Store(&mut stored), false);
                close(&name, &stored, &case.exact, 2e-3);
                let mut added = vec![0.5; stored.len()];
                multiply(set, &case, Finish::Add(&mut added), false);
                close(&name, &added, &case.exact.iter().map(|v| v + 0.5).collect::<Vec<_>>(), 2e-3);
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
            let wanted: Vec<f32> = case.exact.iter().map(active).collect();
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

#[test]
fn halves_lose_almost_nothing() {
    let width = 64;
    let mut values = Dice(6).some(3 * width);
    values[..width].iter_mut().for_each(|value| *value *= 1e4);
    values[width..2 * width].fill(0.0);
    let factors: Vec<f32> = Dice(8).some(width).iter().map(|value| value + 1.5).collect();
    for set in sets() {
        let (mut high, mut low, mut steps) = (vec![0; 3 * width], vec![0; 3 * width], vec![0.0; 3]);
        let mut planes = Planes { high: &mut high, low: &mut low, steps: &mut steps };
        set.to_halves(&values, &factors, &mut planes);
        let mut scaled = vec![0.0; values.len()];
        set.scale(&values, &factors, &mut scaled);
        for (at, value) in scaled.iter().enumerate() {
            assert_eq!(*value, values[at] * factors[at % width]);
            let integer = f32::from(high[at]) * 256.0 + f32::from(low[at]) - 32_768.0;
            let error = (integer * steps[at / width] - value).abs();
            assert!(error <= 0.51 * steps[at / width], "{} {at}: {value}", set.name);
        }
    }
}

#[test]
fn what_is_no_number_stays_none_in_halves() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = Dice(9).some(2 * 64);
        values[70] = bad;
        for set in sets() {
            let (mut high, mut low, mut steps) = (vec![0; 128], vec![0; 128], vec![0.0; 2]);
            set.to_halves(&values, &[1.0; 64], &mut Planes { high: &mut high, low: &mut low, steps: &mut steps });
            assert!(steps[0].is_finite() && steps[1].is_nan(), "{} {bad}: {steps:?}", set.name);
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
