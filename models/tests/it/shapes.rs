//! Networks of the shapes that real models have, with random weights, against candle's own BERT.

use askonce_models::{Embedder, EmbedderSettings, Pooling, Precision};

use crate::support::oracle::{self, cosine};
use crate::support::tiny::{Shape, Tiny};

/// Nearly equal lengths, so that they share a batch with padding in it; and one that is alone.
const TEXTS: [&str; 5] = [
    "what is the capital of france?",
    "the capital of france is what",
    "what is what is the",
    "capital",
    "zyx wvu tsr qpo nml kji what is the capital of the capital of france ?",
];

fn real_shape(width: usize, heads: usize, activation: &'static str) -> Shape {
    Shape { width, inner: 4 * width, heads, layers: 2, activation, scale: (3.0 / width as f32).sqrt() }
}

/// Vectors of all texts by an engine of ours, and by candle's own network.
fn both(tiny: &Tiny, pooling: Pooling, precision: Precision) -> Vec<(Vec<f32>, Vec<f32>)> {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = tiny.write(dir.path());
    manifest.pooling = pooling;
    let settings = EmbedderSettings { precision, ..EmbedderSettings::default() };
    let embedder = Embedder::load(dir.path(), &manifest, &settings).unwrap();
    let ours = embedder.embed_batch(&TEXTS, &|_| {}).unwrap();
    let theirs = oracle::vectors(tiny, dir.path(), &manifest, &TEXTS);
    ours.iter().map(|one| one.vector.to_vec()).zip(theirs).collect()
}

#[test]
fn our_network_on_candle_agrees_with_candles_own() {
    for (shape, pooling) in [
        (real_shape(384, 12, "gelu"), Pooling::Mean),
        (real_shape(384, 6, "gelu"), Pooling::Cls),
        (real_shape(768, 12, "gelu_new"), Pooling::Mean),
        (real_shape(768, 24, "relu"), Pooling::Cls),
        (real_shape(384, 12, "gelu_pytorch_tanh"), Pooling::Mean),
        (Shape::default(), Pooling::Mean),
    ] {
        let pairs = both(&Tiny::of(shape), pooling, Precision::F32);
        for (text, (ours, theirs)) in TEXTS.iter().zip(&pairs) {
            let likeness = cosine(ours, theirs);
            assert!(likeness >= 0.999_999, "{shape:?} {pooling:?} {text:?}: {likeness}");
        }
        assert!(cosine(&pairs[0].1, &pairs[4].1) < 0.999, "{shape:?}: all texts get one vector");
    }
}

#[test]
fn our_kernels_agree_with_candles_network() {
    for (shape, pooling) in [
        (real_shape(384, 12, "gelu"), Pooling::Mean),
        (real_shape(384, 12, "relu"), Pooling::Cls),
        (real_shape(768, 12, "gelu"), Pooling::Cls),
    ] {
        let tiny = Tiny::of(shape);
        for (precision, least) in [(Precision::Bf16, 0.9999), (Precision::Int8, 0.995)] {
            for (text, (ours, theirs)) in TEXTS.iter().zip(both(&tiny, pooling, precision)) {
                let likeness = cosine(&ours, &theirs);
                assert!(likeness >= least, "{shape:?} {pooling:?} {precision} {text:?}: {likeness}");
            }
        }
    }
}

#[test]
fn the_tanh_gelu_is_left_to_candle() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Tiny::of(real_shape(64, 2, "gelu_new")).write(dir.path());
    let error = Embedder::load(dir.path(), &manifest, &EmbedderSettings::default()).err().unwrap().to_string();
    assert!(error.contains("config.json") && error.contains("hidden_act"), "{error}");
}
