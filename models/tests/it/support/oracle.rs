//! The same model by candle's own BERT: an implementation that is not ours, to hold every engine of ours against.

use std::collections::HashMap;
use std::path::Path;

use askonce_models::{ModelManifest, Pooling, TextTokenizer};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use serde_json::{Value, json};

use super::tiny::Tiny;

/// The unit vectors of texts, each embedded alone and without padding, in 32-bit floats.
pub fn vectors(tiny: &Tiny, dir: &Path, manifest: &ModelManifest, texts: &[&str]) -> Vec<Vec<f32>> {
    let model = model(tiny);
    let tokenizer = dir.join("tokenizer.json");
    let tokenizer =
        TextTokenizer::from_json(&std::fs::read(&tokenizer).unwrap(), &tokenizer, manifest.max_tokens, 1000).unwrap();
    texts.iter().map(|text| vector(&model, manifest.pooling, &tokenizer.tokenize(text).unwrap().ids)).collect()
}

/// The cosine of two vectors, in 64-bit floats.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn model(tiny: &Tiny) -> BertModel {
    let mut config = tiny.config.clone();
    // candle has a name of its own for the tanh approximation.
    if let Value::String(name) = &config["hidden_act"]
        && name.starts_with("gelu_")
    {
        config["hidden_act"] = json!("geluapproximate");
    }
    let config: Config = serde_json::from_value(config).unwrap();
    let tensors: HashMap<String, Tensor> = tiny
        .tensors
        .iter()
        .map(|(name, shape, values)| {
            (name.clone(), Tensor::from_slice(values, shape.as_slice(), &Device::Cpu).unwrap())
        })
        .collect();
    BertModel::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &config).unwrap()
}

fn vector(model: &BertModel, pooling: Pooling, ids: &[u32]) -> Vec<f32> {
    let ids = Tensor::new(ids, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let hidden = model.forward(&ids, &ids.zeros_like().unwrap(), None).unwrap().squeeze(0).unwrap();
    let pooled = match pooling {
        Pooling::Mean => hidden.mean(0),
        Pooling::Cls => hidden.get(0),
    };
    let pooled: Vec<f32> = pooled.unwrap().to_vec1().unwrap();
    let length = pooled.iter().map(|value| value * value).sum::<f32>().sqrt();
    pooled.iter().map(|value| value / length).collect()
}
