//! A BERT of 64 dimensions with random weights, and a WordPiece tokenizer for it, written to a folder.

use std::path::Path;

use askonce_models::{Architecture, FileEntry, ModelManifest, Pooling, Source};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Components of a vector.
pub const WIDTH: usize = 64;
const INNER: usize = 128;
const LAYERS: usize = 2;

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
        let vocabulary = vocabulary();
        let words = vocabulary.len();
        Tiny {
            config: json!({
                "vocab_size": words, "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
                "num_attention_heads": 2, "intermediate_size": INNER, "hidden_act": "gelu",
                "hidden_dropout_prob": 0.1, "max_position_embeddings": 64, "type_vocab_size": 2,
                "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
            }),
            tokenizer: tokenizer(&vocabulary),
            tensors: tensors(words),
        }
    }

    /// Writes the files and gives the manifest that fits them.
    pub fn write(&self, dir: &Path) -> ModelManifest {
        let weights = safetensors(&self.tensors);
        std::fs::write(dir.join("config.json"), self.config.to_string()).unwrap();
        std::fs::write(dir.join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
        std::fs::write(dir.join("model.safetensors"), weights).unwrap();
        manifest(dir)
    }

    /// The values of a tensor.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap()
    }
}

/// A manifest that describes the files as they are.
pub fn manifest(dir: &Path) -> ModelManifest {
    let files = ["config.json", "tokenizer.json", "model.safetensors"].map(|path| {
        let bytes = std::fs::read(dir.join(path)).unwrap();
        FileEntry {
            path: path.into(),
            bytes: bytes.len() as u64,
            sha256: Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect(),
        }
    });
    ModelManifest {
        name: "tiny".into(),
        summary: "random".into(),
        licence: "Apache-2.0".into(),
        architecture: Architecture::Bert,
        width: WIDTH,
        max_tokens: 48,
        pooling: Pooling::Mean,
        normalise: true,
        source: Source {
            repository: "test/tiny".into(),
            revision: "0123456789abcdef0123456789abcdef01234567".into(),
            files: files.to_vec(),
        },
        python_packages: Vec::new(),
    }
}

/// The bytes of a safetensors file.
pub fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
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

fn vocabulary() -> Vec<String> {
    let markers = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(String::from);
    let letters = ('a'..='z').map(String::from);
    let inner = ('a'..='z').map(|letter| format!("##{letter}"));
    let words = ["what", "is", "the", "capital", "of", "france", "?"].map(String::from);
    markers.into_iter().chain(letters).chain(inner).chain(words).collect()
}

fn tokenizer(vocabulary: &[String]) -> Value {
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

fn tensors(words: usize) -> Vec<Tensor> {
    let mut random = Random(7);
    let mut list = Vec::new();
    let mut add = |name: String, shape: &[usize]| {
        let values = (0..shape.iter().product::<usize>()).map(|_| random.next());
        let is_gain = name.ends_with("LayerNorm.weight");
        let values = values.map(|value| if is_gain { 1.0 + value * 0.1 } else { value });
        let values = values.collect();
        list.push((name, shape.to_vec(), values));
    };
    for (table, rows) in [("word", words), ("position", 64), ("token_type", 2)] {
        add(format!("embeddings.{table}_embeddings.weight"), &[rows, WIDTH]);
    }
    add("embeddings.LayerNorm.weight".into(), &[WIDTH]);
    add("embeddings.LayerNorm.bias".into(), &[WIDTH]);
    for layer in 0..LAYERS {
        for (part, to, from) in [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", INNER, WIDTH),
            ("output.dense", WIDTH, INNER),
        ] {
            add(format!("encoder.layer.{layer}.{part}.weight"), &[to, from]);
            add(format!("encoder.layer.{layer}.{part}.bias"), &[to]);
        }
        for part in ["attention.output", "output"] {
            add(format!("encoder.layer.{layer}.{part}.LayerNorm.weight"), &[WIDTH]);
            add(format!("encoder.layer.{layer}.{part}.LayerNorm.bias"), &[WIDTH]);
        }
    }
    list
}

/// Uniform in [-1, 1), the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}
