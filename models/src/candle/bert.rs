//! A BERT encoder on candle's tensors: what sentence models use of it, and finite in half precision.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Error, Result, Tensor};
use candle_nn::ops::{layer_norm, softmax_last_dim};

use crate::backend::TokenBatch;
use crate::bert::{Activation, BertConfig};
use crate::weights::Weights;

/// Added to the attention scores of padding: beyond any score, and yet a number in 16-bit floats, where the lowest
/// 32-bit float becomes infinity, and infinity minus infinity is no number.
const MASKED: f32 = -30_000.0;

/// The network with its weights on a device.
pub(super) struct Bert {
    words: Tensor,
    /// Position table with token type 0 added: texts here come one by one, never in pairs.
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
    head_size: usize,
    activation: Activation,
}

struct Layer {
    /// Query, key and value in one matrix: one product instead of three.
    attention: Linear,
    output: Linear,
    output_norm: Norm,
    up: Linear,
    down: Linear,
    down_norm: Norm,
}

struct Linear {
    /// Outputs × inputs, as it is published. Turned round for good, candle's product would not have to repack it for few
    /// tokens, but reads it in long strides, and is slower by a third.
    weight: Tensor,
    bias: Tensor,
}

struct Norm {
    gain: Tensor,
    bias: Tensor,
    eps: f32,
}

/// A batch as a rectangle.
pub(super) struct Padded {
    ids: Tensor,
    rows: usize,
    longest: usize,
    /// 1 for tokens and 0 for padding, rows × longest × 1; `None` when there is no padding.
    real: Option<Tensor>,
    /// 0 for tokens and [`MASKED`] for padding, rows × 1 × 1 × longest; `None` when there is no padding.
    scores: Option<Tensor>,
}

impl Padded {
    /// Moves a batch to the network's device.
    pub(super) fn new(batch: &TokenBatch, network: &Bert) -> Result<Padded> {
        let (rows, longest) = (batch.rows(), batch.longest());
        let (device, dtype) = (network.words.device(), network.words.dtype());
        let mut ids = vec![0; rows * longest];
        let mut real = vec![0f32; rows * longest];
        for (row, text) in batch.iter().enumerate() {
            let here = row * longest..row * longest + text.len();
            ids[here.clone()].copy_from_slice(text);
            real[here].fill(1.0);
        }
        let ids = Tensor::from_vec(ids, rows * longest, device)?;
        if batch.tokens() == rows * longest {
            return Ok(Padded { ids, rows, longest, real: None, scores: None });
        }
        let scores: Vec<f32> = real.iter().map(|&real| (1.0 - real) * MASKED).collect();
        let scores = Tensor::from_vec(scores, (rows, 1, 1, longest), device)?.to_dtype(dtype)?;
        let real = Tensor::from_vec(real, (rows, longest, 1), device)?;
        Ok(Padded { ids, rows, longest, real: Some(real), scores: Some(scores) })
    }

    /// The sum of each row's real token vectors, in 32-bit floats: rows × width.
    pub(super) fn sum_of_real(&self, hidden: &Tensor) -> Result<Tensor> {
        let hidden = hidden.to_dtype(DType::F32)?;
        match &self.real {
            Some(real) => hidden.broadcast_mul(real)?.sum(1),
            None => hidden.sum(1),
        }
    }
}

impl Bert {
    /// Moves the weights to a device.
    pub(super) fn new(
        read: BTreeMap<String, Weights>,
        config: &BertConfig,
        device: &Device,
        dtype: DType,
    ) -> Result<Bert> {
        let mut source = Source { read, device, dtype, eps: config.layer_norm_eps as f32 };
        let kind = source.tensor("embeddings.token_type_embeddings.weight")?.narrow(0, 0, 1)?;
        let positions = source.tensor("embeddings.position_embeddings.weight")?.broadcast_add(&kind)?;
        Ok(Bert {
            words: source.tensor("embeddings.word_embeddings.weight")?.to_dtype(dtype)?,
            positions: positions.to_dtype(dtype)?,
            norm: source.norm("embeddings.LayerNorm")?,
            layers: (0..config.num_hidden_layers).map(|layer| source.layer(layer)).collect::<Result<_>>()?,
            heads: config.num_attention_heads,
            head_size: config.head_size(),
            activation: config.hidden_act,
        })
    }

    /// The last layer's token vectors: rows × longest × width.
    pub(super) fn forward(&self, batch: &Padded) -> Result<Tensor> {
        let width = self.heads * self.head_size;
        let words = self.words.index_select(&batch.ids, 0)?.reshape((batch.rows, batch.longest, width))?;
        let positions = self.positions.narrow(0, 0, batch.longest)?;
        let embedded = words.broadcast_add(&positions)?.reshape((batch.rows * batch.longest, width))?;
        let mut hidden = self.norm.forward(&embedded)?;
        for layer in &self.layers {
            let attended = layer.output.forward(&self.attend(layer, &hidden, batch)?)?;
            hidden = layer.output_norm.forward(&(attended + &hidden)?)?;
            let inner = self.activate(&layer.up.forward(&hidden)?)?;
            hidden = layer.down_norm.forward(&(layer.down.forward(&inner)? + &hidden)?)?;
        }
        hidden.reshape((batch.rows, batch.longest, width))
    }

    /// Attention of every token to the tokens of its row, head by head.
    fn attend(&self, layer: &Layer, hidden: &Tensor, batch: &Padded) -> Result<Tensor> {
        let (rows, longest) = (batch.rows, batch.longest);
        let all = layer.attention.forward(hidden)?.reshape((rows, longest, 3, self.heads, self.head_size))?;
        let part = |number| all.narrow(2, number, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        let query = (query * (1.0 / (self.head_size as f64).sqrt()))?;
        let scores = query.matmul(&key.t()?)?;
        let scores = match &batch.scores {
            Some(mask) => scores.broadcast_add(mask)?,
            None => scores,
        };
        let attended = softmax_last_dim(&scores)?.matmul(&value)?;
        attended.transpose(1, 2)?.reshape((rows * longest, self.heads * self.head_size))
    }

    fn activate(&self, inner: &Tensor) -> Result<Tensor> {
        match self.activation {
            Activation::Gelu => inner.gelu_erf(),
            Activation::GeluTanh => inner.gelu(),
            Activation::Relu => inner.relu(),
        }
    }
}

impl Linear {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

impl Norm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        layer_norm(input, &self.gain, &self.bias, self.eps)
    }
}

/// Where the network's tensors are taken from.
struct Source<'a> {
    read: BTreeMap<String, Weights>,
    device: &'a Device,
    dtype: DType,
    eps: f32,
}

impl Source<'_> {
    /// A tensor in 32-bit floats; taken out, so that it is not held twice.
    fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let weights = self.read.remove(name).ok_or_else(|| Error::Msg(format!("tensor `{name}` is missing")))?;
        Tensor::from_vec(weights.values, weights.shape, self.device)
    }

    /// Several linear maps of one input as one.
    fn linear(&mut self, names: &[String]) -> Result<Linear> {
        let weights = names.iter().map(|name| self.tensor(&format!("{name}.weight"))).collect::<Result<Vec<_>>>()?;
        let biases = names.iter().map(|name| self.tensor(&format!("{name}.bias"))).collect::<Result<Vec<_>>>()?;
        let weight = Tensor::cat(&weights, 0)?;
        Ok(Linear { weight: weight.to_dtype(self.dtype)?, bias: Tensor::cat(&biases, 0)?.to_dtype(self.dtype)? })
    }

    fn norm(&mut self, name: &str) -> Result<Norm> {
        Ok(Norm {
            gain: self.tensor(&format!("{name}.weight"))?.to_dtype(self.dtype)?,
            bias: self.tensor(&format!("{name}.bias"))?.to_dtype(self.dtype)?,
            eps: self.eps,
        })
    }

    fn layer(&mut self, layer: usize) -> Result<Layer> {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        Ok(Layer {
            attention: self.linear(&["query", "key", "value"].map(|part| name(&format!("attention.self.{part}"))))?,
            output: self.linear(&[name("attention.output.dense")])?,
            output_norm: self.norm(&name("attention.output.LayerNorm"))?,
            up: self.linear(&[name("intermediate.dense")])?,
            down: self.linear(&[name("output.dense")])?,
            down_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::wanted;

    const CONFIG: BertConfig = BertConfig {
        vocab_size: 40,
        hidden_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 128,
        max_position_embeddings: 16,
        type_vocab_size: 2,
        hidden_act: Activation::Gelu,
        layer_norm_eps: 1e-12,
    };

    /// The same network in any type of float; the weights are small waves, different in every tensor.
    fn network(dtype: DType) -> Bert {
        let weights = |(number, want): (usize, crate::weights::Wanted)| {
            let values = (0..want.shape.iter().product::<usize>()).map(|at| {
                let wave = ((at * (2 * number + 3)) as f32 * 0.37 + number as f32).sin();
                if want.name.ends_with("LayerNorm.weight") { 1.0 + 0.1 * wave } else { 0.2 * wave }
            });
            let weights = Weights { values: values.collect(), shape: want.shape };
            (want.name, weights)
        };
        let read = wanted(&CONFIG).into_iter().enumerate().map(weights).collect();
        Bert::new(read, &CONFIG, &Device::Cpu, dtype).unwrap()
    }

    fn sums(network: &Bert, rows: &[&[u32]]) -> Vec<Vec<f32>> {
        let mut batch = TokenBatch::default();
        rows.iter().for_each(|row| batch.push(row));
        let padded = Padded::new(&batch, network).unwrap();
        padded.sum_of_real(&network.forward(&padded).unwrap()).unwrap().to_vec2().unwrap()
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn padding_changes_nothing_in_any_type_of_float() {
        let (long, short) = ([5, 9, 3, 17, 33, 2, 8, 20].as_slice(), [7, 4].as_slice());
        let exact = network(DType::F32);
        let alone = [sums(&exact, &[long]).remove(0), sums(&exact, &[short]).remove(0)];
        for (dtype, least) in [(DType::F32, 0.999_999), (DType::BF16, 0.999), (DType::F16, 0.9999)] {
            let together = sums(&network(dtype), &[long, short]);
            for (row, expected) in together.iter().zip(&alone) {
                assert!(row.iter().all(|value| value.is_finite()), "{dtype:?}: {row:?}");
                assert!(cosine(row, expected) > least, "{dtype:?}: {}", cosine(row, expected));
            }
        }
        assert!(cosine(&alone[0], &alone[1]) < 0.999, "all texts get one vector");
    }
}
