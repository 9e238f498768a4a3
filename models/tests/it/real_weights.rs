//! The default model itself, where `ASKONCE_TEST_MODEL_DIR` names a folder with its files; and the pull of it from
//! wherever it can be had, where `ASKONCE_TEST_PULL` is set.

use std::path::PathBuf;

use askonce_models::{Embedder, EmbedderSettings, Embedding, ModelStore, Precision, PullProgress, manifest};

fn embed(texts: &[&str], precision: Precision) -> Option<Vec<Embedding>> {
    let Some(dir) = std::env::var_os("ASKONCE_TEST_MODEL_DIR").map(PathBuf::from) else {
        eprintln!("skipped: set ASKONCE_TEST_MODEL_DIR to a folder with all-MiniLM-L6-v2 to run this test");
        return None;
    };
    let model = manifest("all-MiniLM-L6-v2").unwrap();
    let settings = EmbedderSettings { precision, ..EmbedderSettings::default() };
    let embedder = Embedder::load(&dir, model, &settings).unwrap();
    Some(embedder.embed_batch(texts, &|_| {}).unwrap())
}

fn cosine(a: &Embedding, b: &Embedding) -> f32 {
    a.vector.iter().zip(b.vector.iter()).map(|(x, y)| x * y).sum()
}

#[test]
fn paraphrases_are_near_and_unrelated_questions_far() {
    let texts = [
        "How do I reset my password?",
        "I forgot my password, how can I change it?",
        "What is the best way to roast a chicken?",
    ];
    for (precision, within) in [(Precision::F32, 1e-4), (Precision::Bf16, 1.5e-3), (Precision::Int8, 1e-2)] {
        let Some(all) = embed(&texts, precision) else { return };
        assert!(cosine(&all[0], &all[1]) > 0.8 && cosine(&all[0], &all[2]) < 0.3);
        // The same cosines by a forward pass in 64-bit floats, written in NumPy.
        for (other, wanted) in [(1, 0.893_860), (2, 0.086_126)] {
            let got = cosine(&all[0], &all[other]);
            assert!((got - wanted).abs() < within, "{precision}: {got}, expected {wanted}");
        }
    }
}

#[test]
fn vectors_are_those_of_an_independent_forward_pass() {
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    // Text, its tokens, the first six components and the last, computed in 64-bit floats in NumPy.
    let cases: [(&str, usize, [f32; 7]); 4] = [
        ("How do I reset my password?", 9, [0.006903, -0.063023, -0.072044, -0.032496, -0.042709, 0.070429, -0.076237]),
        ("", 2, [-0.118838, 0.048299, -0.002548, -0.011011, 0.051951, 0.010292, -0.015717]),
        ("Grüße aus Köln! 🦀 東京", 11, [0.072, 0.100249, 0.071748, -0.025158, -0.042703, 0.058419, 0.028877]),
        (&long, 256, [0.062278, -0.057863, 0.072326, -0.005959, -0.045387, 0.005761, 0.089246]),
    ];
    let Some(all) = embed(&cases.map(|case| case.0), Precision::F32) else { return };
    for ((text, tokens, expected), got) in cases.iter().zip(&all) {
        assert_eq!((got.tokens, got.truncated), (*tokens, *tokens == 256), "{text}");
        let found = got.vector[..6].iter().chain(&got.vector[383..]);
        for (a, b) in expected.iter().zip(found) {
            assert!((a - b).abs() < 2e-5, "{text}: {a} {b}");
        }
    }
}

#[test]
fn shorter_precisions_are_near_the_exact_one() {
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    let texts = ["How do I reset my password?", "", "Grüße aus Köln! 🦀 東京", &long, "Who wrote Faust, and when?"];
    let Some(exact) = embed(&texts, Precision::F32) else { return };
    for (precision, least) in [(Precision::Bf16, 0.9999), (Precision::Int8, 0.995)] {
        let Some(near) = embed(&texts, precision) else { return };
        for ((text, exact), near) in texts.iter().zip(&exact).zip(&near) {
            assert!(cosine(exact, near) >= least, "{precision} {text:?}: {}", cosine(exact, near));
        }
    }
}

struct Aloud;

impl PullProgress for Aloud {
    fn note(&self, text: &str) {
        eprintln!("{text}");
    }
    fn start(&self, file: &str, bytes: Option<u64>) {
        eprintln!("{file}: {bytes:?} bytes");
    }
    fn advance(&self, _bytes: u64) {}
    fn done(&self) {}
}

#[test]
fn the_default_model_can_be_pulled() {
    if std::env::var_os("ASKONCE_TEST_PULL").is_none() {
        eprintln!("skipped: set ASKONCE_TEST_PULL to pull the default model (91 MB)");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let store = ModelStore::new(root.path().to_owned());
    let model = manifest("all-MiniLM-L6-v2").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pulled = runtime.block_on(store.pull(model, None, &Aloud)).unwrap();
    assert_eq!(store.locate(model), Some(pulled.dir));
    assert_eq!(store.verify(model).unwrap().bytes, model.total_bytes());
    let listed = store.list();
    assert!(listed.len() == 1 && listed[0].missing.is_empty());
}
