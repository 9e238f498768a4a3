//! What every BERT engine needs to know of a model: `config.json`, read strictly, and the tensors that follow from it.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::ModelError;
use crate::manifest::{ModelManifest, Role};
use crate::weights::{self, Wanted};

/// Bound for the numbers of a config.json: far beyond any sentence model, and small enough to multiply safely.
const MAX_DIMENSION: usize = 1 << 20;

/// The shape of a BERT encoder; fields are named as in `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BertConfig {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Components of a token's vector.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads; they divide `hidden_size` among them.
    pub num_attention_heads: usize,
    /// Components inside the feed-forward part.
    pub intermediate_size: usize,
    /// Rows of the position table: the longest text in tokens.
    pub max_position_embeddings: usize,
    /// Rows of the token type table; only row 0 is used.
    pub type_vocab_size: usize,
    /// Between the two halves of the feed-forward part.
    pub hidden_act: Activation,
    /// Added to the variance in every layer norm.
    pub layer_norm_eps: f64,
}

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// GELU by the error function: `gelu`.
    Gelu,
    /// GELU by its tanh approximation: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// Zero below zero: `relu`.
    Relu,
}

impl BertConfig {
    /// Components of one attention head.
    pub(crate) fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Reads a `config.json`; the error is for people and names the key.
    fn parse(bytes: &[u8]) -> Result<BertConfig, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("is no JSON: {error}"))?;
        let Value::Object(keys) = value else {
            return Err(format!("is no BERT configuration: expected an object, got {value}"));
        };
        supported(&keys, "model_type", &["bert"])?;
        supported(&keys, "position_embedding_type", &["absolute"])?;
        let config = BertConfig {
            vocab_size: dimension(&keys, "vocab_size")?,
            hidden_size: dimension(&keys, "hidden_size")?,
            num_hidden_layers: dimension(&keys, "num_hidden_layers")?,
            num_attention_heads: dimension(&keys, "num_attention_heads")?,
            intermediate_size: dimension(&keys, "intermediate_size")?,
            max_position_embeddings: dimension(&keys, "max_position_embeddings")?,
            type_vocab_size: dimension(&keys, "type_vocab_size")?,
            hidden_act: activation(&keys)?,
            layer_norm_eps: epsilon(&keys)?,
        };
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err(format!(
                "hidden_size {} does not divide into {} attention heads",
                config.hidden_size, config.num_attention_heads
            ));
        }
        Ok(config)
    }
}

/// Reads and checks `config.json`.
///
/// # Errors
/// [`ModelError::BadFile`] when it is no BERT configuration or does not fit the manifest, naming the key.
pub(crate) fn read_config(dir: &Path, manifest: &ModelManifest) -> Result<BertConfig, ModelError> {
    let entry = manifest.part(Role::Config)?;
    let path = dir.join(&entry.path);
    let bytes = weights::read_checked(dir, entry, &manifest.name)?;
    let config = BertConfig::parse(&bytes).map_err(|problem| ModelError::bad_file(&path, problem))?;
    if config.hidden_size != manifest.width {
        let problem = format!(
            "hidden_size is {}, but the manifest of `{}` has width {}",
            config.hidden_size, manifest.name, manifest.width
        );
        return Err(ModelError::bad_file(path, problem));
    }
    Ok(config)
}

fn dimension(keys: &Map<String, Value>, key: &str) -> Result<usize, String> {
    let value = keys.get(key).ok_or_else(|| format!("lacks the key {key}"))?;
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    match number.filter(|number| (1..=MAX_DIMENSION).contains(number)) {
        Some(number) => Ok(number),
        None => Err(format!("{key} is {value}, expected 1 to {MAX_DIMENSION}")),
    }
}

fn epsilon(keys: &Map<String, Value>) -> Result<f64, String> {
    let value = keys.get("layer_norm_eps").ok_or("lacks the key layer_norm_eps")?;
    let number = value.as_f64().filter(|number| (0.0..=0.1).contains(number));
    number.ok_or_else(|| format!("layer_norm_eps is {value}, expected 0 to 0.1"))
}

fn activation(keys: &Map<String, Value>) -> Result<Activation, String> {
    let value = keys.get("hidden_act").ok_or("lacks the key hidden_act")?;
    match value.as_str() {
        Some("gelu") => Ok(Activation::Gelu),
        Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        Some("relu") => Ok(Activation::Relu),
        _ => Err(format!("hidden_act is {value}, expected gelu, gelu_new, gelu_pytorch_tanh or relu")),
    }
}

/// Refuses a key whose value asks for a network other than ours; an absent key asks for nothing.
fn supported(keys: &Map<String, Value>, key: &str, allowed: &[&str]) -> Result<(), String> {
    match keys.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(text)) if allowed.contains(&text.as_str()) => Ok(()),
        Some(other) => Err(format!("{key} is {other}, which is not supported; expected {}", allowed.join(" or "))),
    }
}

/// The tensors that the network needs, with their shapes.
pub(crate) fn wanted(config: &BertConfig) -> Vec<Wanted> {
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let mut list = Vec::new();
    let mut want = |name: String, shape: &[usize]| {
        list.push(Wanted { name, shape: shape.to_vec() });
    };
    for (table, rows) in [
        ("word", config.vocab_size),
        ("position", config.max_position_embeddings),
        ("token_type", config.type_vocab_size),
    ] {
        want(format!("embeddings.{table}_embeddings.weight"), &[rows, width]);
    }
    want("embeddings.LayerNorm.weight".into(), &[width]);
    want("embeddings.LayerNorm.bias".into(), &[width]);
    for layer in 0..config.num_hidden_layers {
        for (part, to, from) in [
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", inner, width),
            ("output.dense", width, inner),
        ] {
            want(format!("encoder.layer.{layer}.{part}.weight"), &[to, from]);
            want(format!("encoder.layer.{layer}.{part}.bias"), &[to]);
        }
        for part in ["attention.output", "output"] {
            want(format!("encoder.layer.{layer}.{part}.LayerNorm.weight"), &[width]);
            want(format!("encoder.layer.{layer}.{part}.LayerNorm.bias"), &[width]);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "architectures": ["BertModel"], "model_type": "bert", "vocab_size": 100, "hidden_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256, "hidden_act": "gelu",
            "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
            "position_embedding_type": "absolute",
        })
    }

    #[test]
    fn activations_have_several_names_and_most_keys_are_passed_over() {
        for (name, expected) in [
            ("gelu", Activation::Gelu),
            ("gelu_new", Activation::GeluTanh),
            ("gelu_pytorch_tanh", Activation::GeluTanh),
            ("relu", Activation::Relu),
        ] {
            let mut config = good();
            config["hidden_act"] = json!(name);
            let read = BertConfig::parse(config.to_string().as_bytes()).unwrap();
            assert_eq!((read.hidden_act, read.head_size()), (expected, 16));
        }
        let mut older = good();
        older
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !["model_type", "position_embedding_type"].contains(&key.as_str()));
        assert!(BertConfig::parse(older.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        for (key, value, words) in [
            (
                "model_type",
                json!("xlm-roberta"),
                "model_type is \"xlm-roberta\", which is not supported; expected bert",
            ),
            ("position_embedding_type", json!("relative_key"), "position_embedding_type is \"relative_key\""),
            ("hidden_act", json!("swish"), "hidden_act is \"swish\", expected gelu, gelu_new"),
            ("hidden_act", json!(3), "hidden_act is 3"),
            ("layer_norm_eps", json!("tiny"), "layer_norm_eps is \"tiny\", expected 0 to 0.1"),
            ("layer_norm_eps", json!(-1e-12), "layer_norm_eps is -1e-12"),
            ("vocab_size", json!(-4), "vocab_size is -4, expected 1 to"),
            ("vocab_size", json!("100"), "vocab_size is \"100\""),
            ("hidden_size", json!(64.5), "hidden_size is 64.5"),
            ("type_vocab_size", json!(0), "type_vocab_size is 0"),
            ("num_attention_heads", json!(5), "hidden_size 64 does not divide into 5 attention heads"),
        ] {
            let mut config = good();
            config[key] = value;
            let error = BertConfig::parse(config.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
        for key in ["vocab_size", "hidden_act", "layer_norm_eps", "max_position_embeddings"] {
            let mut config = good();
            config.as_object_mut().unwrap().remove(key);
            let error = BertConfig::parse(config.to_string().as_bytes()).unwrap_err();
            assert_eq!(error, format!("lacks the key {key}"));
        }
        assert!(BertConfig::parse(b"[1]").unwrap_err().contains("no BERT configuration"));
        assert!(BertConfig::parse(b"{").unwrap_err().contains("is no JSON"));
    }
}
