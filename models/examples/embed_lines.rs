//! Embeds the lines of standard input: `cargo run --release -p askonce-models --example embed_lines -- MODEL_DIR OUT.f32 [THREADS]`.
//!
//! Writes the vectors in the order of the lines, as little-endian f32 without a header: what the benches of the index read.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use askonce_models::{Embedder, EmbedderSettings, manifest, stop_candle_counting_cores};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    stop_candle_counting_cores();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [dir, out, rest @ ..] = words.as_slice() else {
        return Err("usage: embed_lines MODEL_DIR OUT.f32 [THREADS] < texts, one a line".into());
    };
    let threads = rest.first().map_or(Ok(1), |word| word.parse())?;
    let settings = EmbedderSettings { threads, ..EmbedderSettings::default() };
    let embedder = Embedder::load(Path::new(dir), manifest("all-MiniLM-L6-v2")?, &settings)?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let lines: Vec<&str> = text.lines().collect();
    let (begin, mut out) = (Instant::now(), BufWriter::new(File::create(out)?));
    for part in lines.chunks(16_384) {
        for embedding in embedder.embed_batch(part, &|_| {})? {
            for number in embedding.vector.iter() {
                out.write_all(&number.to_le_bytes())?;
            }
        }
    }
    out.flush()?;
    eprintln!("{} lines, {} numbers each, {:.1} s", lines.len(), embedder.spec().width, begin.elapsed().as_secs_f64());
    Ok(())
}
