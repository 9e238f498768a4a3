//! A BERT with random weights of any shape, 64 dimensions by default, and a WordPiece tokenizer for it, written to a
//! folder.

use std::path::Path;

use askonce_models::{
    Architecture, FileEntry, ModelManifest, Pin, Pooling, PrecisionReports, Precisions, Prefix, Source,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Components of a vector of the default shape.
pub const WIDTH: usize = 64;

/// The network's shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Components of a vector.
    pub width: usize,
    /// Components inside the feed-forward part.
    pub inner: usize,
    /// Attention heads.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// `hidden_act` of config.json.
    pub activation: &'static str,
    /// The largest weight. Real networks have weights near the root of 3 / width.
    pub scale: f32,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { width: WIDTH, inner: 128, heads: 2, layers: 2, activation: "gelu", scale: 1.0 }
    }
}

/// A named tensor: shape and values.
pub type Tensor = (String, Vec<usize>, Vec<f32>);

/// The model's files, to be changed before they are written.
pub struct Tiny {
    /// config.json
    pub config: Value,
    /// tokenizer.json
    pub tokenizer: Value,
    /// Weights by name.
    pub tensors: Vec<Tensor>,
}

impl Tiny {
    /// A sound model.
    pub fn new() -> Tiny {
        Tiny::of(Shape::default())
    }

    /// A sound model of a shape.
    pub fn of(shape: Shape) -> Tiny {
        let vocabulary = vocabulary();
        let words = vocabulary.len();
        Tiny {
            config: json!({
                "vocab_size": words, "hidden_size": shape.width, "num_hidden_layers": shape.layers,
                "num_attention_heads": shape.heads, "intermediate_size": shape.inner, "hidden_act": shape.activation,
                "hidden_dropout_prob": 0.1, "max_position_embeddings": 64, "type_vocab_size": 2,
                "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
            }),
            tokenizer: tokenizer(&vocabulary),
            tensors: tensors(words, shape),
        }
    }

    /// Writes the files and gives the manifest that fits them.
    pub fn write(&self, dir: &Path) -> ModelManifest {
        let weights = safetensors(&self.tensors);
        std::fs::write(dir.join("config.json"), self.config.to_string()).unwrap();
        std::fs::write(dir.join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
        std::fs::write(dir.join("model.safetensors"), weights).unwrap();
        let width = self.tensors.iter().find(|tensor| tensor.0.ends_with("embeddings.LayerNorm.bias"));
        ModelManifest { width: width.map_or(WIDTH, |tensor| tensor.1[0]), ..manifest(dir) }
    }

    /// The values of a tensor.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap()
    }
}

/// A manifest that describes the files as they are.
pub fn manifest(dir: &Path) -> ModelManifest {
    ModelManifest {
        name: "tiny".into(),
        summary: "random".into(),
        licence: "Apache-2.0".into(),
        architecture: Architecture::Bert,
        width: WIDTH,
        max_tokens: 48,
        pooling: Pooling::Mean,
        normalise: true,
        prefix: Prefix::default(),
        precision: Precisions::default(),
        precision_report: PrecisionReports::default(),
        table: None,
        source: Source {
            repository: Some("test/tiny".into()),
            pin: Pin::Manifest,
            revision: "0123456789abcdef0123456789abcdef01234567".into(),
            files: ["config.json", "tokenizer.json", "model.safetensors"].map(|path| entry(dir, path)).to_vec(),
        },
        python_packages: Vec::new(),
    }
}

/// A file as it is in a folder.
pub fn entry(dir: &Path, path: &str) -> FileEntry {
    let bytes = std::fs::read(dir.join(path)).unwrap();
    let sha256 = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    FileEntry { path: path.into(), role: None, bytes: bytes.len() as u64, sha256 }
}

/// The bytes of a safetensors file.
pub fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    safetensors_of(tensors, "F32", |value| value.to_le_bytes().to_vec())
}

/// The bytes of a safetensors file of another type of float.
pub fn safetensors_of(tensors: &[Tensor], dtype: &str, bytes: impl Fn(f32) -> Vec<u8>) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(values.iter().flat_map(|value| bytes(*value)));
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert(name.clone(), entry);
    }
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    with_header(&Value::Object(header).to_string(), &data)
}

/// A safetensors file with this header.
pub fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// The tokenizer's words in the order of their ids.
pub fn vocabulary() -> Vec<String> {
    let markers = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(String::from);
    let letters = ('a'..='z').map(String::from);
    let inner = ('a'..='z').map(|letter| format!("##{letter}"));
    let words = ["what", "is", "the", "capital", "of", "france", "?"].map(String::from);
    markers.into_iter().chain(letters).chain(inner).chain(words).collect()
}

/// A tokenizer.json of these words.
pub fn tokenizer(vocabulary: &[String]) -> Value {
    let ids: serde_json::Map<_, _> =
        vocabulary.iter().enumerate().map(|(id, word)| (word.clone(), json!(id))).collect();
    let special = |id: usize| {
        json!({"id": id, "content": vocabulary[id], "special": true, "single_word": false,
               "lstrip": false, "rstrip": false, "normalized": false})
    };
    let marker = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": (0..4).map(special).collect::<Vec<_>>(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [marker("[CLS]"), text("A"), marker("[SEP]")],
            "pair": [marker("[CLS]"), text("A"), marker("[SEP]"), text("B"), marker("[SEP]")],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    })
}

fn tensors(words: usize, shape: Shape) -> Vec<Tensor> {
    let Shape { width, inner, .. } = shape;
    let mut random = Random(7);
    let mut list = Vec::new();
    let mut add = |name: String, dimensions: &[usize]| {
        let values = (0..dimensions.iter().product::<usize>()).map(|_| random.next());
        let is_gain = name.ends_with("LayerNorm.weight");
        let values = values.map(|value| if is_gain { 1.0 + value * 0.1 } else { value * shape.scale });
        let values = values.collect();
        list.push((name, dimensions.to_vec(), values));
    };
    for (table, rows) in [("word", words), ("position", 64), ("token_type", 2)] {
        add(format!("embeddings.{table}_embeddings.weight"), &[rows, width]);
    }
    add("embeddings.LayerNorm.weight".into(), &[width]);
    add("embeddings.LayerNorm.bias".into(), &[width]);
    for layer in 0..shape.layers {
        for (part, to, from) in [
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", inner, width),
            ("output.dense", width, inner),
        ] {
            add(format!("encoder.layer.{layer}.{part}.weight"), &[to, from]);
            add(format!("encoder.layer.{layer}.{part}.bias"), &[to]);
        }
        for part in ["attention.output", "output"] {
            add(format!("encoder.layer.{layer}.{part}.LayerNorm.weight"), &[width]);
            add(format!("encoder.layer.{layer}.{part}.LayerNorm.bias"), &[width]);
        }
    }
    list
}

/// Uniform in [-1, 1), the same on every machine.
pub struct Random(pub u64);

impl Random {
    /// The next value.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}
