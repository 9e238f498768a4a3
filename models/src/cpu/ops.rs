//! The element-wise work of the forward pass, and attention, generic over [`Simd`].
//!
//! Shapes are row after row: a row is one token's values.
#![allow(unsafe_code)] // Raw pointers in the inner loops; every function checks its slices' lengths first.

use super::bytes::Mark;
use super::simd::{Simd, exp, gelu};

/// Rows whose values are shifted and scaled to mean 0 and variance 1, then by `gain` and `bias`.
pub(super) struct Norm<'a> {
    /// Values of a row.
    pub width: usize,
    /// Factors, `width` of them.
    pub gain: &'a [f32],
    /// Summands, `width` of them.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// Normalises every row of `rows` in place.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn layer_norm<S: Simd>(norm: &Norm<'_>, rows: &mut [f32]) {
    let width = norm.width;
    assert!(width.is_multiple_of(S::LANES) && norm.gain.len() == width && norm.bias.len() == width);
    for row in rows.chunks_exact_mut(width) {
        let row = row.as_mut_ptr();
        // SAFETY: `row`, `gain` and `bias` have `width` values, a multiple of the lanes.
        unsafe {
            let mut sum = S::splat(0.0);
            for at in (0..width).step_by(S::LANES) {
                sum = S::add(sum, S::load(row.add(at)));
            }
            let mean = S::splat(S::sum(sum) / width as f32);
            let mut squares = S::splat(0.0);
            for at in (0..width).step_by(S::LANES) {
                let apart = S::sub(S::load(row.add(at)), mean);
                squares = S::fma(apart, apart, squares);
            }
            let scale = S::splat(1.0 / (S::sum(squares) / width as f32 + norm.epsilon).sqrt());
            for at in (0..width).step_by(S::LANES) {
                let even = S::mul(S::sub(S::load(row.add(at)), mean), scale);
                let (gain, bias) = (S::load(norm.gain.as_ptr().add(at)), S::load(norm.bias.as_ptr().add(at)));
                S::store(row.add(at), S::fma(even, gain, bias));
            }
        }
    }
}

/// The three tables of an embedding row.
pub(super) struct Tables<'a> {
    /// Values of a row.
    pub width: usize,
    /// A row for each token id, 16-bit IEEE floats.
    pub words: &'a [u16],
    /// A row for each position, the token type's row added.
    pub positions: &'a [f32],
}

/// Writes a row for each id of one text: its word's, and its position's.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn embed<S: Simd>(tables: &Tables<'_>, ids: &[u32], rows: &mut [f32]) {
    let width = tables.width;
    assert!(width.is_multiple_of(S::LANES) && rows.len() >= ids.len() * width);
    for (position, (&id, row)) in ids.iter().zip(rows.chunks_exact_mut(width)).enumerate() {
        let word = &tables.words[id as usize * width..][..width];
        let place = &tables.positions[position * width..][..width];
        for at in (0..width).step_by(S::LANES) {
            // SAFETY: all three have `width` values.
            unsafe {
                let sum = S::add(S::load_f16(word.as_ptr().add(at)), S::load(place.as_ptr().add(at)));
                S::store(row.as_mut_ptr().add(at), sum);
            }
        }
    }
}

/// Writes values as bfloat16.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn to_bf16<S: Simd>(values: &[f32], halves: &mut [u16]) {
    assert!(values.len().is_multiple_of(S::LANES) && halves.len() >= values.len());
    for at in (0..values.len()).step_by(S::LANES) {
        // SAFETY: both have values for a whole vector from `at` on.
        unsafe { S::store_bf16(halves.as_mut_ptr().add(at), S::load(values.as_ptr().add(at))) };
    }
}

/// Writes rows with each column multiplied with its factor.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn scale<S: Simd>(values: &[f32], factors: &[f32], to: &mut [f32]) {
    let width = factors.len();
    assert!(width.is_multiple_of(S::LANES) && values.len().is_multiple_of(width) && to.len() >= values.len());
    for (row, to) in values.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
        for at in (0..width).step_by(S::LANES) {
            // SAFETY: all three have `width` values.
            unsafe {
                let value = S::mul(S::load(row.as_ptr().add(at)), S::load(factors.as_ptr().add(at)));
                S::store(to.as_mut_ptr().add(at), value);
            }
        }
    }
}

/// Room for rows of bytes.
pub(super) struct Bytes<'a> {
    /// Row after row.
    pub bytes: &'a mut [u8],
    /// What they stand for: for each row a mark for each group of columns.
    pub marks: &'a mut [Mark],
    /// Columns of a group.
    pub group: usize,
}

/// Writes rows, their columns multiplied with their factors where there are any, as bytes with a [`Mark`] for each row and
/// group of columns. `width` is a row's.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn to_bytes<S: Simd>(values: &[f32], width: usize, factors: Option<&[f32]>, to: &mut Bytes<'_>) {
    let Bytes { bytes, marks, group } = to;
    assert!(group.is_multiple_of(S::LANES) && width.is_multiple_of(*group) && values.len().is_multiple_of(width));
    assert!(bytes.len() >= values.len() && marks.len() >= values.len() / *group);
    assert!(factors.is_none_or(|factors| factors.len() == width));
    for (number, mark) in marks.iter_mut().enumerate().take(values.len() / *group) {
        let begin = number * *group;
        let (values, to) = (&values[begin..begin + *group], &mut bytes[begin..begin + *group]);
        // SAFETY: the caller's.
        *mark = match factors {
            Some(factors) => unsafe { group_to_bytes::<S, true>(values, &factors[begin % width..], to) },
            None => unsafe { group_to_bytes::<S, false>(values, values, to) },
        };
    }
}

/// One group's; `factors` are as many at least, and count only if `SCALED`.
#[inline(always)]
unsafe fn group_to_bytes<S: Simd, const SCALED: bool>(values: &[f32], factors: &[f32], to: &mut [u8]) -> Mark {
    /// Keeps the step of a group of zeros from being 0 itself.
    const LEAST: f32 = 1e-30;
    /// 1.5 · 2²³: added and taken away it leaves no room for a fraction, and calls no function.
    const SHIFT: f32 = 12_582_912.0;
    let (len, values, factors) = (values.len(), values.as_ptr(), factors.as_ptr());
    // SAFETY: all three have `len` values, a multiple of the lanes.
    unsafe {
        // 0 is among what can be written, so that it is written exactly.
        let (mut least, mut largest, mut nothing) = (S::splat(0.0), S::splat(0.0), S::splat(0.0));
        for at in (0..len).step_by(S::LANES) {
            let value = scaled::<S, SCALED>(values.add(at), factors.add(at));
            (least, largest) = (S::min(least, value), S::max(largest, value));
            nothing = S::fma(value, S::splat(0.0), nothing);
        }
        let (least, largest) = (-S::largest(S::sub(S::splat(0.0), least)), S::largest(largest));
        let range = (largest - least).max(LEAST);
        let finer = 255.0 / range;
        let zero = (SHIFT - least * finer) - SHIFT;
        for at in (0..len).step_by(S::LANES) {
            let value = scaled::<S, SCALED>(values.add(at), factors.add(at));
            S::store_bytes(to.as_mut_ptr().add(at), S::fma(value, S::splat(finer), S::splat(zero)));
        }
        // What is not a number, or infinite, has no byte: the step says so in its place, and the vector will.
        Mark { step: range / 255.0 + S::sum(nothing), zero }
    }
}

#[inline(always)]
unsafe fn scaled<S: Simd, const SCALED: bool>(value: *const f32, factor: *const f32) -> S::F {
    // SAFETY: the caller's.
    unsafe {
        match SCALED {
            true => S::mul(S::load(value), S::load(factor)),
            false => S::load(value),
        }
    }
}

/// What becomes of a product's values, after its bias is added.
pub(super) enum Finish<'a> {
    /// Written.
    Store(&'a mut [f32]),
    /// Added to what is there.
    Add(&'a mut [f32]),
    /// Through the activation function, written.
    Activate(&'a mut [f32]),
    /// Through the activation function, written as bfloat16.
    ActivateBf16(&'a mut [u16]),
}

impl Finish<'_> {
    /// Values there is room for.
    pub(super) fn room(&self) -> usize {
        match self {
            Finish::Store(to) | Finish::Add(to) | Finish::Activate(to) => to.len(),
            Finish::ActivateBf16(to) => to.len(),
        }
    }
}

/// A block of a product: `rows` rows of 32 values, one after the other.
pub(super) struct Sums<'a> {
    /// The values; more than `rows · 32` are not read.
    pub values: &'a [f32],
    /// Rows.
    pub rows: usize,
    /// The product's row that the first one is.
    pub first_row: usize,
    /// The product's column that the first one is.
    pub first_column: usize,
    /// The product's columns.
    pub columns: usize,
    /// Added to each column; of the block's.
    pub bias: &'a [f32],
    /// Whether the activation function is `relu`, not `gelu`.
    pub relu: bool,
}

/// Brings a block of sums to where it belongs.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn finish<S: Simd>(sums: &Sums<'_>, finish: &mut Finish<'_>) {
    assert!(sums.values.len() >= sums.rows * 32 && sums.bias.len() == 32);
    assert!(sums.first_column + 32 <= sums.columns);
    assert!((sums.first_row + sums.rows) * sums.columns <= finish.room());
    // SAFETY: a step's indices are within the block and within the product, as just checked.
    unsafe {
        match (finish, sums.relu) {
            (Finish::Store(to), _) => each::<S, Store>(sums, to.as_mut_ptr()),
            (Finish::Add(to), _) => each::<S, Add>(sums, to.as_mut_ptr()),
            (Finish::Activate(to), false) => each::<S, Gelu>(sums, to.as_mut_ptr()),
            (Finish::Activate(to), true) => each::<S, Relu>(sums, to.as_mut_ptr()),
            (Finish::ActivateBf16(to), false) => each::<S, GeluBf16>(sums, to.as_mut_ptr()),
            (Finish::ActivateBf16(to), true) => each::<S, ReluBf16>(sums, to.as_mut_ptr()),
        }
    }
}

/// What becomes of one vector. A type and not a closure, which would be compiled without the instructions.
trait Step<S: Simd> {
    type To;
    unsafe fn put(to: *mut Self::To, value: S::F);
}

/// The steps, each of them `to`, `value` ↦ what is done.
macro_rules! steps {
    ($($name:ident: $kind:ty, |$to:ident, $value:ident| $done:expr;)*) => {$(
        struct $name;
        impl<S: Simd> Step<S> for $name {
            type To = $kind;
            #[inline(always)]
            unsafe fn put($to: *mut $kind, $value: S::F) {
                // SAFETY: the caller's.
                unsafe { $done }
            }
        }
    )*};
}

steps! {
    Store: f32, |to, value| S::store(to, value);
    Add: f32, |to, value| S::store(to, S::add(S::load(to), value));
    Gelu: f32, |to, value| S::store(to, gelu::<S>(value));
    Relu: f32, |to, value| S::store(to, S::max(value, S::splat(0.0)));
    GeluBf16: u16, |to, value| S::store_bf16(to, gelu::<S>(value));
    ReluBf16: u16, |to, value| S::store_bf16(to, S::max(value, S::splat(0.0)));
}

#[inline(always)]
unsafe fn each<S: Simd, T: Step<S>>(sums: &Sums<'_>, to: *mut T::To) {
    for row in 0..sums.rows {
        let begin = (sums.first_row + row) * sums.columns + sums.first_column;
        for column in (0..32).step_by(S::LANES) {
            // SAFETY: `values` has 32 for each row, `bias` has 32.
            unsafe {
                let value = S::load(sums.values.as_ptr().add(row * 32 + column));
                T::put(to.add(begin + column), S::add(value, S::load(sums.bias.as_ptr().add(column))));
            }
        }
    }
}

/// Attention of one text's tokens to each other.
pub(super) struct Attention<'a> {
    /// For each token a row of queries, keys and values, each `heads · size` long. Queries are scaled already.
    pub mixed: &'a [f32],
    /// Heads.
    pub heads: usize,
    /// Values of a head; a multiple of 16.
    pub size: usize,
    /// Room for keys turned round and for weights: [`Attention::room`].
    pub scratch: &'a mut [f32],
    /// For each token a row of `heads · size`.
    pub context: &'a mut [f32],
}

/// Tokens that attend at once, at most.
const TOGETHER: usize = 8;

impl Attention<'_> {
    /// Floats of scratch that a text of `tokens` tokens needs.
    pub(super) fn room(tokens: usize, size: usize) -> usize {
        padded(tokens) * (size + TOGETHER)
    }
}

/// Tokens, rounded up to what is computed at once.
fn padded(tokens: usize) -> usize {
    if tokens <= 16 { 16 } else { tokens.next_multiple_of(32) }
}

/// Fills `context`. `R` tokens, at most 8, are computed at once; `V · LANES` is 16, and `W · LANES` 16 or 32.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn attention<S: Simd, const R: usize, const V: usize, const W: usize>(a: &mut Attention<'_>) {
    let width = a.heads * a.size;
    let tokens = a.context.len() / width;
    assert!(V * S::LANES == 16 && R <= TOGETHER && a.size.is_multiple_of(16));
    assert!(W * S::LANES == 16 || W * S::LANES == 32);
    assert!(a.mixed.len() == 3 * a.context.len() && a.scratch.len() >= Attention::room(tokens, a.size));
    let place = Place { tokens, padded: padded(tokens), size: a.size, stride: 3 * width };
    let (keys, weights) = a.scratch.split_at_mut(place.padded * a.size);
    for head in 0..a.heads {
        let queries = &a.mixed[head * a.size..];
        let values = &a.mixed[2 * width + head * a.size..];
        // SAFETY: `keys` has `padded` values for each of `size`, as has `mixed` for each token, from `width` on.
        unsafe { turn::<S>(&place, &a.mixed[width + head * a.size..], keys) };
        let mut row = 0;
        while row < tokens {
            let (queries, context) = (&queries[row * place.stride..], &mut a.context[row * width + head * a.size..]);
            let many = tokens - row >= R;
            // SAFETY: `queries`, `values` and `context` reach to the last token's last value of this head; `keys` and
            // `weights` have `padded` values for each of `size` and of 8 rows.
            unsafe {
                match (many, place.padded > 16) {
                    (true, true) => scores::<S, R, W>(&place, queries, keys, weights),
                    (true, false) => scores::<S, R, V>(&place, queries, keys, weights),
                    (false, true) => scores::<S, 1, W>(&place, queries, keys, weights),
                    (false, false) => scores::<S, 1, V>(&place, queries, keys, weights),
                }
                match (many, place.size.is_multiple_of(32)) {
                    (true, true) => mix::<S, R, W>(&place, weights, values, context, width),
                    (true, false) => mix::<S, R, V>(&place, weights, values, context, width),
                    (false, true) => mix::<S, 1, W>(&place, weights, values, context, width),
                    (false, false) => mix::<S, 1, V>(&place, weights, values, context, width),
                }
            }
            row += if many { R } else { 1 };
        }
    }
}

struct Place {
    tokens: usize,
    /// `tokens`, rounded up to 16 or a multiple of 32.
    padded: usize,
    size: usize,
    /// Floats from a token to the next.
    stride: usize,
}

/// `to[d][j] = keys[j][d]`, zeros where there is no token.
#[inline(always)]
unsafe fn turn<S: Simd>(place: &Place, keys: &[f32], to: &mut [f32]) {
    for token in (0..place.padded).step_by(16) {
        let count = place.tokens.saturating_sub(token).min(16);
        let from = keys.as_ptr().wrapping_add(token * place.stride);
        for d in (0..place.size).step_by(16) {
            // SAFETY: the caller's.
            unsafe {
                let to = to.as_mut_ptr().add(d * place.padded + token);
                S::turn(from.wrapping_add(d), place.stride, count, to, place.padded);
            }
        }
    }
}

/// For `R` queries: the weight of each token, not yet divided by their sum, and that sum behind them.
#[inline(always)]
unsafe fn scores<S: Simd, const R: usize, const V: usize>(
    place: &Place,
    queries: &[f32],
    keys: &[f32],
    weights: &mut [f32],
) {
    let (queries, keys, out) = (queries.as_ptr(), keys.as_ptr(), weights.as_mut_ptr());
    // SAFETY: see `attention`.
    unsafe {
        for token in (0..place.padded).step_by(V * S::LANES) {
            let mut sums = [[S::splat(0.0); V]; R];
            for d in 0..place.size {
                let mut key = [S::splat(0.0); V];
                for (v, key) in key.iter_mut().enumerate() {
                    *key = S::load(keys.add(d * place.padded + token + v * S::LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let query = S::splat(*queries.add(r * place.stride + d));
                    for (sum, key) in sums.iter_mut().zip(key) {
                        *sum = S::fma(query, key, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    S::store(out.add(r * place.padded + token + v * S::LANES), *sum);
                }
            }
        }
    }
    for row in weights.chunks_exact_mut(place.padded).take(R) {
        row[place.tokens..].fill(f32::MIN);
        // SAFETY: a row has `padded` values, a multiple of 16.
        unsafe { soften::<S>(row) };
    }
}

/// Scores to weights: their exponentials, divided by the sum of all.
#[inline(always)]
unsafe fn soften<S: Simd>(row: &mut [f32]) {
    let (len, row) = (row.len(), row.as_mut_ptr());
    // SAFETY: `len` is a multiple of the lanes.
    unsafe {
        let mut largest = S::load(row);
        for at in (S::LANES..len).step_by(S::LANES) {
            largest = S::max(largest, S::load(row.add(at)));
        }
        let largest = S::splat(S::largest(largest));
        let mut sum = S::splat(0.0);
        for at in (0..len).step_by(S::LANES) {
            let weight = exp::<S>(S::sub(S::load(row.add(at)), largest));
            sum = S::add(sum, weight);
            S::store(row.add(at), weight);
        }
        let share = S::splat(1.0 / S::sum(sum));
        for at in (0..len).step_by(S::LANES) {
            S::store(row.add(at), S::mul(S::load(row.add(at)), share));
        }
    }
}

/// For `R` tokens: the sum of all tokens' values by weight.
#[inline(always)]
unsafe fn mix<S: Simd, const R: usize, const V: usize>(
    place: &Place,
    weights: &[f32],
    values: &[f32],
    context: &mut [f32],
    width: usize,
) {
    let (weights, values, out) = (weights.as_ptr(), values.as_ptr(), context.as_mut_ptr());
    // SAFETY: see `attention`.
    unsafe {
        for d in (0..place.size).step_by(V * S::LANES) {
            let mut sums = [[S::splat(0.0); V]; R];
            for token in 0..place.tokens {
                let mut value = [S::splat(0.0); V];
                for (v, value) in value.iter_mut().enumerate() {
                    *value = S::load(values.add(token * place.stride + d + v * S::LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let weight = S::splat(*weights.add(r * place.padded + token));
                    for (sum, value) in sums.iter_mut().zip(value) {
                        *sum = S::fma(weight, value, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    S::store(out.add(r * width + d + v * S::LANES), *sum);
                }
            }
        }
    }
}
