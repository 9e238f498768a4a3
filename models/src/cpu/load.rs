//! Tensors → packed weights.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::arena::Arena;
use super::convert;
use super::encoder::{Attending, Embeddings, Encoder, Layer, NormWeights, Pass, Thinking};
use super::kernels::KernelSet;
use super::matrix::{Form, GRAIN, Matrix};
use super::probe::Probe;
use super::scratch::Widths;
use crate::precision::Precision;
use crate::weights::Part;

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

/// The table of token vectors: half of a small model, and packed as it comes.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// Takes the tensors of `bert::wanted` as they are read, and packs each layer as soon as it is whole: what is held as
/// 32-bit floats is hardly more than one layer.
pub(super) struct Packer {
    tensors: Tensors,
    pass: Pass,
    /// What there is of the tensor that is being read.
    part: Vec<f32>,
    words: Arena,
    words_filled: usize,
    embeddings: Option<Embeddings>,
    layers: Vec<Layer>,
}

/// Whole tensors that are not packed yet, and where they go.
struct Tensors {
    read: BTreeMap<String, Vec<f32>>,
    arena: Arena,
    filled: usize,
    shape: Shape,
    parts: Parts,
    /// Where inputs are to be balanced.
    probe: Option<Probe>,
}

impl Packer {
    /// For a network of this shape, whose parts are to have these forms.
    pub(super) fn new(shape: &Shape, parts: Parts, kernels: &'static KernelSet) -> Packer {
        let arena = Arena::zeroed(shape.layers * parts.layer_bytes(shape));
        let widths = Widths { hidden: shape.hidden, inner: shape.inner, head: shape.hidden / shape.heads };
        Packer {
            tensors: Tensors { read: BTreeMap::new(), arena, filled: 0, shape: *shape, parts, probe: None },
            pass: Pass { kernels, widths, heads: shape.heads, relu: shape.relu },
            part: Vec::new(),
            words: Arena::zeroed(0),
            words_filled: 0,
            embeddings: None,
            layers: Vec::with_capacity(shape.layers),
        }
    }

    /// Takes what was read next, all of which has been checked to have the shape of `bert::wanted`.
    ///
    /// # Errors
    /// Names a tensor whose values do not fit.
    pub(super) fn add(&mut self, part: &Part<'_>) -> Result<(), String> {
        // The largest that 16-bit floats hold, and far below what bfloat16 does: sums must have room as well.
        if part.largest >= 65_504.0 {
            return Err(format!("tensor `{}` has the value {}; expected less than 65504", part.name, part.largest));
        }
        if part.name == WORDS {
            self.add_words(part);
            return self.pack_what_is_whole();
        }
        self.part.reserve_exact(part.total().saturating_sub(self.part.len()));
        self.part.extend_from_slice(part.values);
        if self.part.len() == part.total() {
            self.tensors.read.insert(part.name.to_owned(), std::mem::take(&mut self.part));
            self.pack_what_is_whole()?;
        }
        Ok(())
    }

    fn add_words(&mut self, part: &Part<'_>) {
        if self.words_filled == 0 {
            self.words = Arena::zeroed(part.total() * 2);
        }
        let halves: &mut [u16] = self.words.view_mut();
        convert::to_halves(part.values, &mut halves[self.words_filled..]);
        self.words_filled += part.values.len();
    }

    /// Packs the layers that are complete, in their order.
    fn pack_what_is_whole(&mut self) -> Result<(), String> {
        let words_whole = self.words_filled > 0 && self.words_filled * 2 == self.words.len();
        // Tables of positions and token types, gain and bias of their norm.
        if self.embeddings.is_none() && words_whole && self.tensors.begin_with("embeddings.", 4) {
            let words = std::mem::replace(&mut self.words, Arena::zeroed(0));
            let embeddings = self.tensors.embeddings(words)?;
            if self.tensors.parts.need_balance() {
                self.tensors.probe = Some(Probe::new(self.pass, &embeddings));
            }
            self.embeddings = Some(embeddings);
        }
        // Weights and biases of six matrices and two norms.
        while self.embeddings.is_some() && self.tensors.begin_with(&of_layer(self.layers.len(), ""), 16) {
            self.layers.push(self.tensors.layer(self.layers.len())?);
        }
        Ok(())
    }

    /// The network, when all of it has been read.
    ///
    /// # Errors
    /// Names a tensor that never came.
    pub(super) fn finish(self) -> Result<Encoder, String> {
        let Some(embeddings) = self.embeddings else {
            return Err(match self.words_filled {
                0 => format!("lacks tensor `{WORDS}`"),
                _ => "lacks some of the tensors `embeddings.*`".into(),
            });
        };
        if self.layers.len() < self.tensors.shape.layers {
            return Err(format!("lacks some of the tensors `{}*`", of_layer(self.layers.len(), "")));
        }
        Ok(Encoder { pass: self.pass, arena: self.tensors.arena, embeddings, layers: self.layers })
    }
}

fn of_layer(number: usize, part: &str) -> String {
    format!("encoder.layer.{number}.{part}")
}

impl Tensors {
    /// Whether there are so many whose names begin like this.
    fn begin_with(&self, begin: &str, count: usize) -> bool {
        let from = self.read.range::<str, _>((Bound::Included(begin), Bound::Unbounded));
        from.take_while(|(name, _)| name.starts_with(begin)).count() == count
    }

    fn take(&mut self, name: &str) -> Result<Vec<f32>, String> {
        self.read.remove(name).ok_or_else(|| format!("lacks tensor `{name}`"))
    }

    fn embeddings(&mut self, words: Arena) -> Result<Embeddings, String> {
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

    fn layer(&mut self, number: usize) -> Result<Layer, String> {
        let (name, parts) = (|part: &str| of_layer(number, part), self.parts);
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

    /// `takes_rows` as in [`Tensors::pack`].
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
