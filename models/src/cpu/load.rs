//! Tensors → packed weights.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::arena::Arena;
use super::encoder::{Attending, Embeddings, Encoder, Layer, NormWeights, Pass, Thinking};
use super::kernels::KernelSet;
use super::matrix::{Form, GRAIN, Matrix};
use super::probe::Probe;
use super::scratch::Widths;
use super::simd::portable::to_f16;
use crate::precision::Precision;
use crate::weights::Weights;

/// The numbers of a network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Values of a token's row.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Values of the inner row.
    pub inner: usize,
    /// Added to the variance by layer norms.
    pub epsilon: f32,
    /// Whether the activation function is `relu`, not `gelu`.
    pub relu: bool,
}

impl Shape {
    /// What these kernels cannot do with such a network.
    ///
    /// # Errors
    /// Says the key of config.json, and what was expected.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, value) in [("hidden_size", self.hidden), ("intermediate_size", self.inner)] {
            if !value.is_multiple_of(GRAIN) {
                return Err(format!("{key} is {value}, but these kernels want a multiple of {GRAIN}"));
            }
        }
        if !self.hidden.is_multiple_of(self.heads) || !(self.hidden / self.heads).is_multiple_of(16) {
            return Err(format!(
                "hidden_size {} in {} heads, but these kernels want heads of a multiple of 16",
                self.hidden, self.heads
            ));
        }
        Ok(())
    }
}

/// Which parts of a layer have which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    /// Queries, keys and values.
    pub mixed: Form,
    /// Attention's output.
    pub output: Form,
    /// To the inner row.
    pub widen: Form,
    /// And back.
    pub narrow: Form,
}

impl Parts {
    /// What is what in a precision.
    pub(crate) fn of(precision: Precision) -> Parts {
        match precision {
            Precision::Int8 => Parts::all(Form::Int8),
            Precision::Bf16 | Precision::F32 => Parts::all(Form::Bf16),
        }
    }

    fn all(form: Form) -> Parts {
        Parts { mixed: form, output: form, widen: form, narrow: form }
    }

    /// Whether there is a part whose inputs are rounded so coarsely that they are to be balanced first.
    fn need_balance(&self) -> bool {
        [self.mixed, self.widen].contains(&Form::Int8)
    }

    fn layer_bytes(&self, shape: &Shape) -> usize {
        let (width, inner) = (shape.hidden, shape.inner);
        self.mixed.bytes(3 * width, width)
            + self.output.bytes(width, width)
            + self.widen.bytes(inner, width)
            + self.narrow.bytes(width, inner)
    }
}

/// Takes tensors by name, and packs them.
struct Packer {
    tensors: BTreeMap<String, Weights>,
    arena: Arena,
    filled: usize,
    shape: Shape,
    /// Where inputs are to be balanced.
    probe: Option<Probe>,
}

/// Packs the tensors of `bert::wanted`, all of which have been checked to be there in their shapes.
///
/// # Errors
/// Names a tensor that is missing all the same, or whose values do not fit.
pub(crate) fn pack(
    tensors: BTreeMap<String, Weights>,
    shape: &Shape,
    parts: Parts,
    kernels: &'static KernelSet,
) -> Result<Encoder, String> {
    let arena = Arena::zeroed(shape.layers * parts.layer_bytes(shape));
    let mut packer = Packer { tensors, arena, filled: 0, shape: *shape, probe: None };
    let embeddings = packer.embeddings()?;
    let widths = Widths { hidden: shape.hidden, inner: shape.inner, head: shape.hidden / shape.heads };
    let pass = Pass { kernels, widths, heads: shape.heads, relu: shape.relu };
    if parts.need_balance() {
        packer.probe = Some(Probe::new(pass, &embeddings));
    }
    let layers = (0..shape.layers).map(|number| packer.layer(number, parts)).collect::<Result<Vec<_>, _>>()?;
    Ok(Encoder { pass, arena: packer.arena, embeddings, layers })
}

impl Packer {
    fn take(&mut self, name: &str) -> Result<Vec<f32>, String> {
        let weights = self.tensors.remove(name).ok_or_else(|| format!("lacks tensor `{name}`"))?;
        // The largest that 16-bit floats hold, and far below what bfloat16 does: sums must have room as well.
        let largest = weights.values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        match largest < 65_504.0 {
            true => Ok(weights.values),
            false => Err(format!("tensor `{name}` has the value {largest}; expected less than 65504")),
        }
    }

    fn embeddings(&mut self) -> Result<Embeddings, String> {
        let table = self.take("embeddings.word_embeddings.weight")?;
        let mut words = Arena::zeroed(table.len() * 2);
        let halves: &mut [u16] = words.view_mut();
        halves.par_iter_mut().zip(&table).for_each(|(half, &value)| *half = to_f16(value));
        let mut positions = self.take("embeddings.position_embeddings.weight")?;
        let kinds = self.take("embeddings.token_type_embeddings.weight")?;
        let first = kinds.get(..self.shape.hidden).ok_or("lacks a token type")?;
        for row in positions.chunks_exact_mut(self.shape.hidden) {
            row.iter_mut().zip(first).for_each(|(value, kind)| *value += kind);
        }
        Ok(Embeddings { words, positions, norm: self.norm("embeddings.LayerNorm")? })
    }

    fn norm(&mut self, name: &str) -> Result<NormWeights, String> {
        let (gain, bias) = (self.take(&format!("{name}.weight"))?, self.take(&format!("{name}.bias"))?);
        Ok(NormWeights { gain, bias, epsilon: self.shape.epsilon })
    }

    fn layer(&mut self, number: usize, parts: Parts) -> Result<Layer, String> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let attending = Attending {
            mixed: self.mixed(&name("attention.self"), parts.mixed)?,
            output: self.linear(&name("attention.output.dense"), parts.output, false)?,
            norm: self.norm(&name("attention.output.LayerNorm"))?,
        };
        if let Some(probe) = &mut self.probe {
            probe.attend(self.arena.bytes(), &attending);
        }
        let thinking = Thinking {
            widen: self.linear(&name("intermediate.dense"), parts.widen, true)?,
            narrow: self.linear(&name("output.dense"), parts.narrow, false)?,
            norm: self.norm(&name("output.LayerNorm"))?,
        };
        if let Some(probe) = &mut self.probe {
            probe.think(self.arena.bytes(), &thinking);
        }
        Ok(Layer { attending, thinking })
    }

    /// Queries, keys and values as one matrix; the queries divided by the root of the head's width, which attention
    /// would otherwise do to every score.
    fn mixed(&mut self, name: &str, form: Form) -> Result<Matrix, String> {
        let share = 1.0 / ((self.shape.hidden / self.shape.heads) as f32).sqrt();
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for (part, factor) in [("query", share), ("key", 1.0), ("value", 1.0)] {
            weights.extend(self.take(&format!("{name}.{part}.weight"))?.into_iter().map(|value| value * factor));
            bias.extend(self.take(&format!("{name}.{part}.bias"))?.into_iter().map(|value| value * factor));
        }
        Ok(self.pack(form, &weights, bias, true))
    }

    /// `takes_rows` as in [`Packer::pack`].
    fn linear(&mut self, name: &str, form: Form, takes_rows: bool) -> Result<Matrix, String> {
        let (weights, bias) = (self.take(&format!("{name}.weight"))?, self.take(&format!("{name}.bias"))?);
        Ok(self.pack(form, &weights, bias, takes_rows))
    }

    /// `takes_rows` says that the matrix takes the rows between the layers, and not something else.
    fn pack(&mut self, form: Form, weights: &[f32], bias: Vec<f32>, takes_rows: bool) -> Matrix {
        let balance = match &self.probe {
            Some(probe) if takes_rows && form == Form::Int8 => balance(weights, &probe.sizes()),
            _ => vec![1.0; weights.len() / bias.len().max(1)],
        };
        let matrix = Matrix::pack(form, weights, bias, balance, (self.arena.bytes_mut(), self.filled));
        self.filled += matrix.bytes();
        matrix
    }
}

/// Factors that make inputs alike in size at the expense of their weights, half of the way: the idea of SmoothQuant (Xiao
/// et al., 2023). A few inputs behind a norm are many times as large as the others, and would set the step of all.
fn balance(weights: &[f32], sizes: &[f32]) -> Vec<f32> {
    let inputs = sizes.len();
    let mut largest = vec![0.0f32; inputs];
    for row in weights.chunks_exact(inputs) {
        for (largest, weight) in largest.iter_mut().zip(row) {
            *largest = if weight.abs() > *largest { weight.abs() } else { *largest };
        }
    }
    let halves = largest.iter().zip(sizes).map(|(weight, size)| (weight.max(1e-6) / size.max(1e-6)).sqrt());
    let mut factors: Vec<f32> = halves.collect();
    let mean = (factors.iter().map(|factor| factor.ln()).sum::<f32>() / inputs as f32).exp();
    factors.iter_mut().for_each(|factor| *factor /= mean);
    factors
}
