//! Measures a model: `cargo run --release -p askonce-models --example latency -- DIR`.
//!
//! Prints the forward pass by length, a question's whole way through the queue, and throughput by batch size.

use std::path::PathBuf;
use std::time::Instant;

use askonce_models::bench::{BenchOptions, bench};
use askonce_models::{Asker, Embedder, EmbedderSettings, manifest, stop_candle_counting_cores};

const QUESTION: &str = "How do I reset the password of my account on the new site?";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("candle keeps to one core: {}", stop_candle_counting_cores());
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: latency MODEL_DIR")?);
    let model = manifest("all-MiniLM-L6-v2")?;
    let begin = Instant::now();
    // The one question is asked again and again: it must not be remembered.
    let settings = EmbedderSettings { memo_bytes: 0, ..EmbedderSettings::default() };
    let embedder = Embedder::load(&dir, model, &settings)?;
    println!("load: {} ms", begin.elapsed().as_millis());

    for row in bench(&dir, model, &BenchOptions::default())?.rows {
        println!("forward: {}", serde_json::to_string(&row)?);
    }

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let begin = Instant::now();
            runtime.block_on(embedder.embed(QUESTION, Asker::default())).map(|e| (begin.elapsed(), e.tokens))
        })
        .collect::<Result<_, _>>()?;
    times.sort_unstable();
    let (median, tokens) = times[times.len() / 2];
    println!("through the queue: {tokens} tokens, median {} us", median.as_micros());

    for batch_tokens in [1, 64, 128, 256, 512, 1024, 2048, 8192] {
        let settings = EmbedderSettings { batch_tokens, ..EmbedderSettings::default() };
        let embedder = Embedder::load(&dir, model, &settings)?;
        let texts = vec![QUESTION; 512];
        let begin = Instant::now();
        embedder.embed_batch(&texts, &|_| {})?;
        let each = begin.elapsed().as_micros() / texts.len() as u128;
        println!("batches of {batch_tokens} tokens: {each} us a text");
    }
    Ok(())
}
