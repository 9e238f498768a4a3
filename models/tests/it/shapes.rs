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
        let (dir, tiny) = (tempfile::tempdir().unwrap(), Tiny::of(shape));
        let mut manifest = tiny.write(dir.path());
        manifest.pooling = pooling;
        let settings = EmbedderSettings { precision: Precision::F32, ..EmbedderSettings::default() };
        let embedder = Embedder::load(dir.path(), &manifest, &settings).unwrap();
        let ours = embedder.embed_batch(&TEXTS, &|_| {}).unwrap();
        let theirs = oracle::vectors(&tiny, dir.path(), &manifest, &TEXTS);
        for ((text, ours), theirs) in TEXTS.iter().zip(&ours).zip(&theirs) {
            let likeness = cosine(&ours.vector, theirs);
            assert!(likeness >= 0.999_999, "{shape:?} {pooling:?} {text:?}: {likeness}");
        }
        assert!(cosine(&theirs[0], &theirs[4]) < 0.999, "{shape:?}: all texts get one vector");
    }
}
