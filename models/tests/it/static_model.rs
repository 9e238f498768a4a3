//! Models that are a table of token vectors: a made one, and, where `ASKONCE_TEST_WORDLLAMA_DIR` names the folder
//! `wordllama` of the unzipped Python package, the one that is known.

use std::path::{Path, PathBuf};

use askonce_models::{
    Architecture, Embedder, EmbedderSettings, Embedding, ModelManifest, Precision, Precisions, Role, Table, manifest,
};
use serde_json::json;

use crate::support::oracle::cosine;
use crate::support::tiny::{self, Random, Tiny, WIDTH};

fn settings() -> EmbedderSettings {
    EmbedderSettings { precision: Precision::F32, ..EmbedderSettings::default() }
}

/// Writes a table in a type of float, under names of its own, and gives the manifest and the table's values.
fn write(dir: &Path, dtype: &str) -> (ModelManifest, Vec<f32>) {
    let words = tiny::vocabulary();
    let mut random = Random(3);
    // Eighths are numbers in every type of float.
    let values: Vec<f32> = (0..words.len() * WIDTH).map(|_| (random.next() * 8.0).round() / 8.0).collect();
    let data: Vec<u8> = match dtype {
        "F32" => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        "BF16" => values.iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| half(*value).to_le_bytes()).collect(),
    };
    let header = json!({"table": {"dtype": dtype, "shape": [words.len(), WIDTH], "data_offsets": [0, data.len()]}});
    std::fs::create_dir_all(dir.join("inner")).unwrap();
    std::fs::write(dir.join("inner/vectors.st"), tiny::with_header(&header.to_string(), &data)).unwrap();
    std::fs::write(dir.join("inner/words.json"), tiny::tokenizer(&words).to_string()).unwrap();
    let sound = tempfile::tempdir().unwrap();
    let mut manifest = Tiny::new().write(sound.path());
    manifest.architecture = Architecture::Static;
    manifest.precision = Precisions { default: Precision::F32, supported: vec![Precision::F32] };
    manifest.table = Some(Table { tensor: "table".into(), rows: words.len() });
    manifest.source.files = [("inner/words.json", Role::Tokenizer), ("inner/vectors.st", Role::Weights)]
        .map(|(path, role)| askonce_models::FileEntry { role: Some(role), ..tiny::entry(dir, path) })
        .to_vec();
    (manifest, values)
}

/// A normal 16-bit float or zero.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    if value == 0.0 { sign } else { sign | ((((bits >> 23) & 0xff) as u16 - 112) << 10) | (bits >> 13 & 0x3ff) as u16 }
}

#[test]
fn a_vector_is_the_mean_of_the_tokens_rows_without_markers() {
    let mut seen: Vec<Vec<Embedding>> = Vec::new();
    for dtype in ["F32", "F16", "BF16"] {
        let dir = tempfile::tempdir().unwrap();
        let (manifest, values) = write(dir.path(), dtype);
        let embedder = Embedder::load(dir.path(), &manifest, &settings()).unwrap();
        assert!(embedder.spec().variant.starts_with("tiny@0123456/f32#"), "{}", embedder.spec().variant);
        let all = embedder.embed_batch(&["what is france", "", "?"], &|_| {}).unwrap();
        let words = tiny::vocabulary();
        let rows = ["what", "is", "france"].map(|word| words.iter().position(|one| one == word).unwrap());
        let sum: Vec<f32> = (0..WIDTH).map(|at| rows.iter().map(|row| values[row * WIDTH + at]).sum()).collect();
        assert!(cosine(&sum, &all[0].vector) > 0.999_999, "{dtype}");
        assert_eq!((all[0].tokens, all[0].truncated), (3, false));
        assert!(all.iter().all(|one| (cosine(&one.vector, &one.vector) - 1.0).abs() < 1e-6));
        seen.push(all);
    }
    assert!(seen.iter().all(|all| *all == seen[0]), "the type of float changes the vectors");
}

#[test]
fn other_precisions_and_tables_of_another_shape_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut manifest, _) = write(dir.path(), "F16");
    let error = Embedder::load(dir.path(), &manifest, &EmbedderSettings::default()).err().unwrap().to_string();
    assert_eq!(error, "embedder setting precision: is bf16; model `tiny` takes f32");
    let rows = manifest.table.as_ref().unwrap().rows;
    manifest.table = Some(Table { tensor: "table".into(), rows: rows + 1 });
    let error = Embedder::load(dir.path(), &manifest, &settings()).err().unwrap().to_string();
    assert!(
        error.contains("inner/vectors.st") && error.contains(&format!("expected [{}, {WIDTH}]", rows + 1)),
        "{error}"
    );
    manifest.table = Some(Table { tensor: "tables".into(), rows });
    let error = Embedder::load(dir.path(), &manifest, &settings()).err().unwrap().to_string();
    assert!(error.contains("lacks tensor `tables`"), "{error}");
}

#[test]
fn the_known_table_gives_the_vectors_of_its_own_package() {
    let Some(dir) = std::env::var_os("ASKONCE_TEST_WORDLLAMA_DIR").map(PathBuf::from) else {
        eprintln!("skipped: set ASKONCE_TEST_WORDLLAMA_DIR to the folder `wordllama` of the unzipped package");
        return;
    };
    let embedder = Embedder::load(&dir, manifest("wordllama-l2-256").unwrap(), &settings()).unwrap();
    assert!(embedder.spec().variant.starts_with("wordllama-l2-256@0.4.0.post1/f32#"), "{}", embedder.spec().variant);
    let reference = std::env::var_os("ASKONCE_TEST_WORDLLAMA_VECTORS").expect("made by models/tests/static_vectors.py");
    let reference: serde_json::Value = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
    let pairs = reference.as_object().unwrap();
    assert!(pairs.len() > 5);
    for (text, vector) in pairs {
        let expected: Vec<f32> = serde_json::from_value(vector.clone()).unwrap();
        let got = embedder.embed_batch(&[text], &|_| {}).unwrap();
        let likeness = cosine(&expected, &got[0].vector);
        assert!(likeness >= 0.9999, "{text:?}: {likeness}");
    }
}
