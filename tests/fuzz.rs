//! Every decoder of a wire on damaged input: nothing that comes over the network may end a thread.
//!
//! The corpus are the goldens. Each round damages one of them (bytes flipped, cut out, doubled, moved between files, numbers
//! and brackets put in) and gives it to every reader there is; a stream goes in by pieces of random length. `cargo test --test
//! fuzz` does so for two seconds; for longer: `ASKONCE_FUZZ_S=3600 cargo test --release --test fuzz`. A failure prints
//! its seed; `ASKONCE_FUZZ_SEED` repeats it.

use askonce::types::completion::Gather;
use askonce::types::surface::Surface;
use askonce::wire::hub::{self, ReplyFor};
use askonce::wire::request::{InPath, read};
use askonce::wire::{answer, embeddings, event_stream, fold, json, ndjson, playback, rerank, sse, translate};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is put into a file to damage it.
const ODDITIES: [&[u8]; 14] = [
    b"null",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"{}",
    b"[]",
    b"[[[[",
    b"\"\"",
    b"\\ud800",
    b"\xff\xfe",
    b"data: ",
    b"\n\n",
    b"event: error\n",
    b"true",
];

fn corpus(folder: &Path, all: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { corpus(&path, all) } else { all.push(std::fs::read(path).unwrap()) }
    }
}

fn damaged(corpus: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(0..6) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..40)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..end, ODDITIES[rng.random_range(0..ODDITIES.len())].iter().copied())),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let from = rng.random_range(0..other.len().max(1));
                let piece = other[from..(from + 200).min(other.len())].to_vec();
                bytes.splice(at..end, piece);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
        }
    }
    bytes
}

/// A model of each family at Bedrock.
const AT_BEDROCK: [&str; 6] = [
    "amazon.titan-embed-text-v2:0",
    "amazon.titan-embed-image-v1",
    "cohere.embed-english-v3",
    "cohere.embed-v4:0",
    "amazon.nova-2-multimodal-embeddings-v1:0",
    "cohere.rerank-v3-5:0",
];

fn requests(bytes: &Bytes) {
    let Ok(json) = json::parse(bytes) else { return };
    let path = InPath { model: Some("m".to_owned()), stream: true };
    for surface in Surface::ALL {
        for path in [&path, &InPath::default()] {
            let Ok(request) = read(surface, &json, bytes, path) else { continue };
            let _ = request.body_for("other \"model\"");
            for target in Surface::ALL {
                let _ = translate::request(&request, target, "m");
            }
            for model in AT_BEDROCK {
                let _ = translate::invocations(&request, model);
            }
        }
        if let Ok(asked) = embeddings::decode(surface, &json, "m") {
            for target in Surface::ALL {
                let _ = embeddings::encode(target, &asked);
            }
        }
    }
    if let Ok(asked) = rerank::decode(&json, "m") {
        let _ = rerank::encode(rerank::form_of(&json), &asked);
    }
}

fn answers(bytes: &Bytes) {
    let reply = ReplyFor { id: "i".to_owned(), model: "m".to_owned(), request: bytes.clone(), ..ReplyFor::default() };
    for surface in Surface::ALL {
        let _ = hub::told(surface, bytes);
        let _ = embeddings::decode_answer(surface, bytes);
        let Ok(read) = answer::read(surface, bytes.clone()) else { continue };
        let _ = answer::texts(surface, bytes);
        let _ = playback::as_body(&read, "i", 1);
        let _ = playback::as_stream(&read, &reply);
        for target in Surface::CHATS.into_iter().filter(|_| surface.is_chat()) {
            let _ = answer::translated(&read, target, &reply);
        }
    }
    let _ = rerank::decode_answer(bytes);
    let _ = rerank::surface_of(bytes);
    for surface in Surface::ALL {
        for target in Surface::ALL {
            let _ = translate::answer(bytes, target, surface, &reply);
        }
        for model in AT_BEDROCK {
            let _ = translate::invoked(std::slice::from_ref(bytes), model, Some(3), surface, &reply);
        }
    }
}

fn streams(bytes: &Bytes, rng: &mut StdRng) {
    let reply = ReplyFor { request: bytes.clone(), ..ReplyFor::default() };
    let pieces: Vec<&[u8]> = bytes.chunks(rng.random_range(1..200)).collect();
    for surface in Surface::CHATS {
        let target = Surface::CHATS[rng.random_range(0..Surface::CHATS.len())];
        let mut stream = translate::Stream::new(surface, target, reply.clone());
        if pieces.iter().all(|piece| stream.push(piece).is_ok()) {
            let _ = stream.end();
        }
        let mut fold = fold::Fold::new(surface, bytes.clone(), 1 << 20);
        let (mut splitter, mut gather) = (sse::Splitter::default(), Gather::default());
        let mut decoder = hub::decoder(surface);
        for piece in &pieces {
            splitter.push(piece);
            while let Some(event) = splitter.next_event() {
                let Some(event) = sse::event(&event) else { continue };
                fold.push(&event);
                let mut deltas = Vec::new();
                let _ = decoder.push(&event, &mut deltas);
                deltas.into_iter().for_each(|delta| gather.push(delta));
            }
        }
        let _ = fold.finish();
        let _ = gather.finish();
    }
    let (mut frames, mut out) = (event_stream::ToSse::default(), Vec::new());
    if pieces.iter().all(|piece| frames.push(piece, &mut out).is_ok()) {
        let _ = frames.end();
    }
    lines(&pieces);
    let mut back = Vec::new();
    event_stream::FromSse::default().push(bytes, &mut back);
    back.extend_from_slice(bytes);
    let _ = event_stream::ToSse::default().push(&back, &mut out);
}

/// Lines of JSON, and what they are as an answer of Ollama's.
fn lines(pieces: &[&[u8]]) {
    let (mut lines, mut events) = (ndjson::ToSse::default(), Vec::new());
    if pieces.iter().all(|piece| lines.push(piece, &mut events).is_ok()) {
        let _ = lines.end(&mut events);
    }
    for target in Surface::CHATS {
        let mut stream = translate::Stream::new(Surface::OllamaChat, target, ReplyFor::default());
        if events.chunks(100).all(|piece| stream.push(piece).is_ok()) {
            let _ = stream.end();
        }
    }
    let (mut back, mut out) = (ndjson::FromSse::default(), Vec::new());
    back.push(&events, &mut out);
    back.finish(&mut out);
}

#[test]
fn no_input_ends_a_thread() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let until = Instant::now() + Duration::from_secs(number("ASKONCE_FUZZ_S").unwrap_or(2));
    let mut all = Vec::new();
    corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), &mut all);
    let first: u64 = number("ASKONCE_FUZZ_SEED").unwrap_or_else(rand::random);
    let mut rounds = 0;
    while Instant::now() < until {
        let seed = first.wrapping_add(rounds);
        let mut rng = StdRng::seed_from_u64(seed);
        let bytes = Bytes::from(damaged(&all, &mut rng));
        let survived = catch_unwind(AssertUnwindSafe(|| {
            requests(&bytes);
            answers(&bytes);
            streams(&bytes, &mut rng);
        }));
        assert!(survived.is_ok(), "ASKONCE_FUZZ_SEED={seed}: {}", String::from_utf8_lossy(&bytes));
        rounds += 1;
    }
    println!("{rounds} inputs");
    assert!(rounds > 0);
}
