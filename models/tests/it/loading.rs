//! Broken, foreign and contradictory model files: each is refused by name, none panics.

use std::path::Path;

use askonce_models::{
    Device, EmbedError, Embedder, EmbedderSettings, ModelError, ModelManifest, ModelStore, Precision,
};
use serde_json::json;

use crate::support::tiny::{self, Tiny};

fn refusal(dir: &Path, manifest: &ModelManifest) -> String {
    match Embedder::load(dir, manifest, &EmbedderSettings::default()) {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    }
}

/// Loads a changed model, whose manifest fits the change.
fn refused(change: impl FnOnce(&mut Tiny)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut tiny = Tiny::new();
    change(&mut tiny);
    let manifest = tiny.write(dir.path());
    refusal(dir.path(), &manifest)
}

#[test]
fn contradictory_files_are_named_with_tensor_and_shape() {
    let query = "encoder.layer.1.attention.self.query.weight";
    for (error, words) in [
        (
            refused(|tiny| tiny.tensor(query).1 = vec![32, 128]),
            vec!["model.safetensors", query, "[32, 128]", "[64, 64]"],
        ),
        (
            refused(|tiny| tiny.tensors.retain(|tensor| tensor.0 != query)),
            vec!["model.safetensors", "lacks tensor", query, "[64, 64]"],
        ),
        (refused(|tiny| tiny.tensor(query).2.truncate(9)), vec!["model.safetensors", query, "expected 16384 bytes"]),
        (refused(|tiny| tiny.tensor(query).2[3] = 70_000.0), vec!["model.safetensors", query, "70000", "65504"]),
        (refused(|tiny| tiny.config["hidden_size"] = json!(32)), vec!["config.json", "hidden_size is 32", "width 64"]),
        (refused(|tiny| tiny.config["num_attention_heads"] = json!(3)), vec!["config.json", "3 attention heads"]),
        (
            refused(|tiny| tiny.config["num_attention_heads"] = json!(0)),
            vec!["config.json", "num_attention_heads is 0"],
        ),
        (refused(|tiny| tiny.config["vocab_size"] = json!(u64::MAX)), vec!["config.json", "vocab_size is"]),
        (refused(|tiny| tiny.config["vocab_size"] = json!(20)), vec!["tokenizer.json", "vocab_size 20"]),
        (
            refused(|tiny| tiny.config["max_position_embeddings"] = json!(32)),
            vec!["config.json", "max_position_embeddings is 32", "max_tokens 48"],
        ),
        (refused(|tiny| tiny.config = json!([1])), vec!["config.json", "no BERT configuration"]),
        (refused(|tiny| tiny.tokenizer = json!({})), vec!["tokenizer.json", "is no tokenizer"]),
    ] {
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn broken_weight_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    Tiny::new().write(dir.path());
    let path = dir.path().join("model.safetensors");
    let good = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(good[8..8 + length].to_vec()).unwrap();
    let data = &good[8 + length..];
    let typed = |name: &str| header.replacen("\"F32\"", &format!("\"{name}\""), 1);
    let (f16, i64s, f8) = (typed("F16"), typed("I64"), typed("F8_E4M3"));
    let of_first = |offsets: [usize; 2]| shifted(&header, "embeddings.LayerNorm.bias", offsets);
    // 256 bytes are one vector: the second tensor's place taken by the first, a hole before it, an end before its begin.
    let (overlapping, gap, backwards) = (of_first([256, 512]), of_first([4, 260]), of_first([512, 256]));
    let far = header.replacen("\"data_offsets\":[", "\"data_offsets\":[9", 1);
    for (bytes, word) in [
        (Vec::new(), "ends too early"),
        (vec![1, 2, 3], "ends too early"),
        (vec![0xff; 100], "is no safetensors file"),
        (good[..200].to_vec(), "ends too early"),
        (good[..good.len() - 1].to_vec(), "ends before tensor"),
        (tiny::with_header("{", data), "broken safetensors header"),
        (tiny::with_header("{\"a\": 1}", data), "entry for tensor `a`"),
        (tiny::with_header("{}", data), "lacks tensor"),
        (tiny::with_header(&f16, data), "bytes"),
        (tiny::with_header(&i64s, data), "has type I64, expected F32, F16 or BF16"),
        (tiny::with_header(&f8, data), "has type F8_E4M3, expected F32"),
        (tiny::with_header(&far, data), "tensor"),
        (tiny::with_header(&overlapping, data), "expected it at"),
        (tiny::with_header(&gap, data), "expected it at"),
        (tiny::with_header(&backwards, data), "expected 256 bytes"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = refusal(dir.path(), &tiny::manifest(dir.path()));
        assert!(error.contains("model.safetensors") && error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_flipped_bit_is_found_in_every_file() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Tiny::new().write(dir.path());
    for entry in &manifest.source.files {
        let path = dir.path().join(&entry.path);
        let good = std::fs::read(&path).unwrap();
        for at in [0, 9, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, bad).unwrap();
            let error = refusal(dir.path(), &manifest);
            assert!(error.contains(&entry.path), "byte {at} of {}: {error}", entry.path);
            assert!(!matches!(at, 9) || error.contains("sha256"), "{error}");
        }
        std::fs::write(&path, good).unwrap();
    }
    assert!(Embedder::load(dir.path(), &manifest, &EmbedderSettings::default()).is_ok());
}

#[test]
fn missing_files_are_listed_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Tiny::new().write(dir.path());
    std::fs::write(dir.path().join("config.json"), "{}").unwrap();
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    let error = refusal(dir.path(), &manifest);
    for word in ["config.json (2 bytes instead of", "tokenizer.json", "model pull tiny", "--model-dir"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let nowhere = refusal(Path::new("/nonexistent"), &manifest);
    assert!(nowhere.contains("/nonexistent"), "{nowhere}");
}

#[test]
fn settings_out_of_range_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Tiny::new().write(dir.path());
    let good = EmbedderSettings::default;
    for (settings, setting) in [
        (EmbedderSettings { threads: 0, ..good() }, "threads"),
        (EmbedderSettings { threads: 100_000, ..good() }, "threads"),
        (EmbedderSettings { queue: 0, ..good() }, "queue"),
        (EmbedderSettings { queue_bytes: 0, ..good() }, "queue_bytes"),
        (EmbedderSettings { batch_tokens: 0, ..good() }, "batch_tokens"),
        (EmbedderSettings { max_tokens: Some(4), ..good() }, "max_tokens"),
        (EmbedderSettings { max_tokens: Some(49), ..good() }, "max_tokens"),
    ] {
        let error = Embedder::load(dir.path(), &manifest, &settings).err().unwrap();
        assert!(matches!(&error, ModelError::Setting { setting: named, .. } if *named == setting), "{error}");
    }
    if !cfg!(feature = "cuda") {
        let settings = EmbedderSettings { device: Device::Cuda(0), ..good() };
        let error = Embedder::load(dir.path(), &manifest, &settings).err().unwrap();
        assert!(error.to_string().contains("--features cuda"), "{error}");
    }
}

/// A header with a tensor moved.
fn shifted(header: &str, tensor: &str, offsets: [usize; 2]) -> String {
    let mut header: serde_json::Value = serde_json::from_str(header).unwrap();
    header[tensor]["data_offsets"] = json!(offsets);
    header.to_string()
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_tensor_and_place() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = refused(|tiny| tiny.tensor("encoder.layer.0.output.dense.bias").2[3] = value);
        let words = format!("tensor `encoder.layer.0.output.dense.bias` has {value} as its value number 3");
        assert!(error.contains("model.safetensors") && error.contains(&words), "{error}");
    }
}

#[test]
fn weights_that_overflow_are_an_error_for_the_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut tiny = Tiny::new();
    tiny.tensor("encoder.layer.0.output.dense.bias").2[3] = f32::MAX;
    let manifest = tiny.write(dir.path());
    let settings = EmbedderSettings { precision: Precision::F32, ..EmbedderSettings::default() };
    let embedder = Embedder::load(dir.path(), &manifest, &settings).unwrap();
    let error = embedder.embed_batch(&["what is"], &|_| {}).unwrap_err();
    assert!(matches!(error, EmbedError::BadVector(_)), "{error}");
}

#[test]
fn swapped_tensors_and_a_foreign_tokenizer_are_refused() {
    let (up, down) = ("encoder.layer.0.intermediate.dense.weight", "encoder.layer.0.output.dense.weight");
    let error = refused(|tiny| {
        let at = |tiny: &Tiny, name: &str| tiny.tensors.iter().position(|tensor| tensor.0 == name).unwrap();
        let (one, other) = (at(tiny, up), at(tiny, down));
        tiny.tensors[one].0 = down.into();
        tiny.tensors[other].0 = up.into();
    });
    for word in [up, "[64, 128]", "[128, 64]"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let error = refused(|tiny| {
        let more: Vec<String> = tiny::vocabulary().into_iter().chain(["surplus".to_owned()]).collect();
        tiny.tokenizer = tiny::tokenizer(&more);
    });
    assert!(error.contains("tokenizer.json") && error.contains("the files belong to different models"), "{error}");
}

#[test]
fn a_precision_that_the_manifest_does_not_list_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = Tiny::new().write(dir.path());
    manifest.precision.supported = vec![Precision::F32, Precision::Bf16];
    let settings = EmbedderSettings { precision: Precision::Int8, ..EmbedderSettings::default() };
    let error = Embedder::load(dir.path(), &manifest, &settings).err().unwrap().to_string();
    assert_eq!(error, "embedder setting precision: is int8; model `tiny` takes f32, bf16");
}

#[test]
fn a_prefix_before_the_names_makes_no_difference() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut tiny = Tiny::new();
    let plain = tiny.write(one.path());
    for tensor in &mut tiny.tensors {
        tensor.0 = format!("bert.{}", tensor.0);
    }
    // A tensor that nobody asks for is passed over, whatever its type.
    tiny.tensors.push(("bert.pooler.dense.weight".into(), vec![3], vec![1.0; 3]));
    let prefixed = tiny.write(other.path());
    let vectors = [(one, plain), (other, prefixed)].map(|(dir, manifest)| {
        let embedder = Embedder::load(dir.path(), &manifest, &EmbedderSettings::default()).unwrap();
        embedder.embed_batch(&["what is the capital"], &|_| {}).unwrap()
    });
    assert_eq!(vectors[0], vectors[1]);
}

#[test]
fn weights_in_16_bits_are_the_same_network() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut tiny = Tiny::new();
    for value in tiny.tensors.iter_mut().flat_map(|tensor| tensor.2.iter_mut()) {
        *value = f32::from_bits(value.to_bits() & 0xffff_0000);
    }
    tiny.write(one.path());
    tiny.write(other.path());
    let upper = |value: f32| value.to_le_bytes()[2..].to_vec();
    let short = tiny::safetensors_of(&tiny.tensors, "BF16", upper);
    std::fs::write(other.path().join("model.safetensors"), short).unwrap();
    let vectors = [one, other].map(|dir| {
        let embedder = Embedder::load(dir.path(), &tiny::manifest(dir.path()), &EmbedderSettings::default()).unwrap();
        embedder.embed_batch(&["what is the capital"], &|_| {}).unwrap()
    });
    assert_eq!(vectors[0], vectors[1]);
}

#[test]
fn the_store_locates_by_size_and_verifies_by_checksum() {
    let root = tempfile::tempdir().unwrap();
    let store = ModelStore::new(root.path().to_owned());
    let source = tempfile::tempdir().unwrap();
    let manifest = Tiny::new().write(source.path());
    assert_eq!(store.locate(&manifest), None);
    assert!(matches!(store.verify(&manifest), Err(ModelError::Missing { .. })));
    let dir = store.dir(&manifest);
    std::fs::create_dir_all(&dir).unwrap();
    for entry in &manifest.source.files {
        std::fs::copy(source.path().join(&entry.path), dir.join(&entry.path)).unwrap();
    }
    assert_eq!(store.locate(&manifest), Some(dir.clone()));
    assert_eq!(store.verify(&manifest).unwrap().bytes, manifest.total_bytes());
    let config = dir.join("config.json");
    let changed = std::fs::read_to_string(&config).unwrap().replace("gelu", "relu");
    std::fs::write(&config, changed).unwrap();
    assert!(store.locate(&manifest).is_some());
    let error = store.verify(&manifest).unwrap_err().to_string();
    assert!(error.contains("config.json") && error.contains("expected sha256"), "{error}");
    assert!(store.list().is_empty(), "only known models are listed");
}
