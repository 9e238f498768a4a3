//! Texts to vectors, through the real queue and threads, with a small random BERT.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use askonce_models::{
    Affinity, Asker, Backend, EmbedError, Embedder, EmbedderSettings, Embedding, LongText, TextTokenizer, TokenBatch,
};
use parking_lot::Mutex;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::Mutex as Gate;

use crate::support::tiny::{Tiny, WIDTH};

fn load(settings: &EmbedderSettings) -> (TempDir, Embedder) {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Tiny::new().write(dir.path());
    let embedder = Embedder::load(dir.path(), &manifest, settings).unwrap();
    (dir, embedder)
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn cosine(a: &Embedding, b: &Embedding) -> f32 {
    a.vector.iter().zip(b.vector.iter()).map(|(x, y)| x * y).sum()
}

fn assert_unit(embedding: &Embedding) {
    assert_eq!(embedding.vector.len(), WIDTH);
    assert!((cosine(embedding, embedding) - 1.0).abs() < 1e-5, "{embedding:?}");
}

const TEXTS: [&str; 7] = [
    "What is the capital of France?",
    "the capital of france",
    "",
    "a",
    "what what what what what what what what what what what what what",
    "zyx wvu tsr qpo nml kji hgf edc ba",
    "Grüße 🦀 東京 \u{0}\u{7}\u{200d} [SEP] [MASK]",
];

#[test]
fn a_batch_equals_its_singles() {
    let (_dir, embedder) = load(&EmbedderSettings::default());
    let batch = embedder.embed_batch(&TEXTS, &|_| {}).unwrap();
    for (text, in_batch) in TEXTS.iter().zip(&batch) {
        let single = block_on(embedder.embed(text, Asker::default())).unwrap();
        assert_unit(&single);
        assert_eq!((single.tokens, single.truncated), (in_batch.tokens, in_batch.truncated));
        for (a, b) in single.vector.iter().zip(in_batch.vector.iter()) {
            assert!((a - b).abs() < 1e-5, "{text:?}: {a} {b}");
        }
    }
    assert!(cosine(&batch[0], &batch[5]) < 0.999, "all texts get one vector");
}

#[test]
fn concurrent_texts_get_their_own_vectors() {
    let settings = EmbedderSettings { threads: 2, batch_tokens: 64, ..EmbedderSettings::default() };
    let (_dir, embedder) = load(&settings);
    let expected = embedder.embed_batch(&TEXTS, &|_| {}).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let embedder = embedder.clone();
                tokio::spawn(async move { embedder.embed(TEXTS[number % TEXTS.len()], Asker::default()).await })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            let got = task.await.unwrap().unwrap();
            assert!(cosine(&got, &expected[number % TEXTS.len()]) > 0.9999);
        }
    });
    assert_eq!(embedder.queued(), 0);
}

#[test]
fn the_same_text_has_the_same_vector_in_another_process_life() {
    let (_dir, one) = load(&EmbedderSettings::default());
    let (_dir, other) = load(&EmbedderSettings::default());
    for text in TEXTS {
        assert_eq!(
            block_on(one.embed(text, Asker::default())).unwrap(),
            block_on(other.embed(text, Asker::default())).unwrap()
        );
    }
    assert_eq!(one.spec(), other.spec());
    assert!(one.spec().variant.starts_with("tiny@0123456/bf16#"), "{}", one.spec().variant);
}

#[test]
fn a_megabyte_is_cut_and_said_to_be_without_being_read() {
    let (_dir, embedder) = load(&EmbedderSettings::default());
    for text in ["what is ".repeat(125_000), "x".repeat(1_000_000), "é".repeat(500_000)] {
        let begin = Instant::now();
        let embedding = block_on(embedder.embed(&text, Asker::default())).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        assert_unit(&embedding);
        assert!(embedding.truncated && embedding.tokens <= 48);
        assert_eq!(embedder.embed_batch(&[&text], &|_| {}).unwrap()[0].tokens, embedding.tokens);
    }
    let padded = format!("what is{}", " ".repeat(1_000_000));
    let embedding = block_on(embedder.embed(&padded, Asker::default())).unwrap();
    assert_eq!((embedding.tokens, embedding.truncated), (4, false));
}

#[test]
fn what_was_cut_is_said_also_when_only_spaces_are_left_of_it() {
    let (_dir, embedder) = load(&EmbedderSettings::default());
    for gap in [40, 2_000, 4_600, 4_700, 25_000] {
        let text = format!("what is the capital{}of france", " ".repeat(gap));
        let alone = block_on(embedder.embed(&text, Asker::default())).unwrap();
        let in_bulk = &embedder.embed_batch(&[&text], &|_| {}).unwrap()[0];
        assert_eq!((alone.truncated, alone.tokens), (in_bulk.truncated, in_bulk.tokens), "{gap}");
        assert!(alone.truncated || alone.tokens == 8, "{gap}: {alone:?}");
    }
}

#[test]
fn max_tokens_can_be_lowered_and_is_part_of_the_identity() {
    let settings = EmbedderSettings { max_tokens: Some(8), ..EmbedderSettings::default() };
    let (_dir, embedder) = load(&settings);
    let embedding = block_on(embedder.embed("a b c d e f g h i j", Asker::default())).unwrap();
    assert_eq!((embedding.tokens, embedding.truncated), (8, true));
    assert!(embedder.spec().variant.starts_with("tiny@0123456/bf16/8t#"), "{}", embedder.spec().variant);
}

#[test]
fn markers_in_a_text_are_text() {
    let (_dir, embedder) = load(&EmbedderSettings::default());
    let marked = block_on(embedder.embed("what [SEP] is", Asker::default())).unwrap();
    // Read as a marker it would be one token; as text it is a bracket, three letters and a bracket.
    assert_eq!(marked.tokens, 2 + 2 + 5);
}

#[test]
fn many_texts_come_back_in_order_with_progress() {
    let settings = EmbedderSettings { threads: 2, batch_tokens: 100, ..EmbedderSettings::default() };
    let (_dir, embedder) = load(&settings);
    let texts: Vec<String> = (0..500).map(|n| "what is the capital ".repeat(n % 7)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let seen = Mutex::new(Vec::new());
    let all = embedder.embed_batch(&texts, &|done| seen.lock().push(done)).unwrap();
    for (number, embedding) in all.iter().enumerate() {
        assert_eq!(embedding.tokens, 2 + 4 * (number % 7));
        assert!(cosine(embedding, &all[number % 7]) > 0.9999);
    }
    let seen = seen.into_inner();
    assert!(seen.is_sorted() && seen.last() == Some(&500) && seen.len() > 1);
    assert!(embedder.embed_batch(&[], &|_| {}).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_has_a_unit_vector(text in any::<String>()) {
        static EMBEDDER: std::sync::LazyLock<(TempDir, Embedder)> =
            std::sync::LazyLock::new(|| load(&EmbedderSettings::default()));
        let embedding = block_on(EMBEDDER.1.embed(&text, Asker::default())).unwrap();
        prop_assert!((cosine(&embedding, &embedding) - 1.0).abs() < 1e-5);
        prop_assert!(embedding.vector.iter().all(|value| value.is_finite()));
    }
}

/// A backend that waits at a gate, counts rows, and panics or fails on command.
struct Odd {
    gate: Arc<Gate<()>>,
    begun: Arc<AtomicUsize>,
    rows: Arc<AtomicUsize>,
    /// Rows that were there before the one with the word "lonely".
    before_lonely: Arc<AtomicUsize>,
}

/// Tokens of a text of words and trigrams that no test word collides with.
fn has_word(batch: &TokenBatch, row: usize, word: &str) -> bool {
    let sought = TextTokenizer::features(100).tokenize(word).unwrap().ids;
    sought[1..].iter().all(|id| batch.row(row).contains(id))
}

impl Backend for Odd {
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.blocking_lock();
        let before = self.rows.fetch_add(batch.rows(), Ordering::SeqCst);
        if let Some(row) = (0..batch.rows()).find(|&row| has_word(batch, row, "lonely")) {
            self.before_lonely.store(before + row, Ordering::SeqCst);
        }
        let row = |row| {
            assert!(!has_word(batch, row, "panicking"), "a row panicked");
            match () {
                () if has_word(batch, row, "failing") => Err(EmbedError::Backend("no".into())),
                () if has_word(batch, row, "nan") => Ok(vec![f32::NAN, 0.0]),
                () if has_word(batch, row, "zero") => Ok(vec![0.0, 0.0]),
                () if has_word(batch, row, "narrow") => Ok(vec![1.0]),
                () => Ok(vec![0.6, 0.8]),
            }
        };
        (0..batch.rows()).try_for_each(|number| {
            vectors.extend(row(number)?);
            Ok(())
        })
    }

    fn engine(&self) -> &'static str {
        "odd"
    }

    fn width(&self) -> usize {
        2
    }
}

struct Rig {
    embedder: Embedder,
    gate: Arc<Gate<()>>,
    begun: Arc<AtomicUsize>,
    rows: Arc<AtomicUsize>,
    before_lonely: Arc<AtomicUsize>,
}

fn odd(queue: usize) -> Rig {
    let (gate, rows) = (Arc::new(Gate::new(())), Arc::new(AtomicUsize::new(0)));
    let (begun, before_lonely) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let backend = Odd {
        gate: Arc::clone(&gate),
        begun: Arc::clone(&begun),
        rows: Arc::clone(&rows),
        before_lonely: Arc::clone(&before_lonely),
    };
    let settings = EmbedderSettings { queue, memo_bytes: 0, ..EmbedderSettings::default() };
    let spec = Embedder::fake(2).spec().clone();
    let tokenizer = TextTokenizer::features(100);
    let embedder = Embedder::with_backend(tokenizer, Box::new(backend), spec, &settings).unwrap();
    Rig { embedder, gate, begun, rows, before_lonely }
}

/// Starts a question and waits until the worker is at it, its batch closed.
async fn occupy(rig: &Rig) -> tokio::task::JoinHandle<Result<Embedding, EmbedError>> {
    let (embedder, before) = (rig.embedder.clone(), rig.begun.load(Ordering::SeqCst));
    let task = tokio::spawn(async move { embedder.embed("first", Asker::default()).await });
    while rig.begun.load(Ordering::SeqCst) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    task
}

#[test]
fn a_full_queue_says_so_at_once_and_who_has_gone_makes_room() {
    let rig = odd(2);
    block_on(async {
        let closed = rig.gate.lock().await;
        let first = occupy(&rig).await;
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let embedder = rig.embedder.clone();
                tokio::spawn(async move { embedder.embed("next", Asker::default()).await })
            })
            .collect();
        while rig.embedder.queued() < 2 {
            tokio::task::yield_now().await;
        }
        let begin = Instant::now();
        assert_eq!(rig.embedder.embed("x", Asker::default()).await, Err(EmbedError::Full { limit: 2, of: "texts" }));
        assert!(begin.elapsed() < Duration::from_millis(100));
        for task in waiting {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        let embedder = rig.embedder.clone();
        let late = tokio::spawn(async move { embedder.embed("late", Asker::default()).await });
        while rig.embedder.queued() != 1 {
            tokio::task::yield_now().await;
        }
        drop(closed);
        assert!(first.await.unwrap().is_ok() && late.await.unwrap().is_ok());
    });
    assert_eq!(rig.rows.load(Ordering::SeqCst), 2, "texts of callers who had gone were embedded");
}

/// Fails beside its work, where nothing catches it text by text.
struct Dying(AtomicBool);

impl Backend for Dying {
    fn encode(&self, batch: &TokenBatch, vectors: &mut Vec<f32>) -> Result<(), EmbedError> {
        let deadly = (0..batch.rows()).any(|row| has_word(batch, row, "deadly"));
        self.0.store(deadly, Ordering::SeqCst);
        (0..batch.rows()).for_each(|_| vectors.extend([0.6, 0.8]));
        Ok(())
    }

    fn engine(&self) -> &'static str {
        "dying"
    }

    fn width(&self) -> usize {
        assert!(!self.0.swap(false, Ordering::SeqCst), "outside of any guard");
        2
    }
}

#[test]
fn a_failing_worker_ends_a_bulk_and_begins_anew() {
    let spec = Embedder::fake(2).spec().clone();
    let dying = Box::new(Dying(AtomicBool::new(false)));
    let settings = EmbedderSettings { batch_tokens: 8, ..EmbedderSettings::default() };
    let embedder = Embedder::with_backend(TextTokenizer::features(100), dying, spec, &settings).unwrap();
    let (sender, ended) = std::sync::mpsc::channel();
    let bulk = embedder.clone();
    std::thread::spawn(move || {
        let texts: Vec<&str> = (0..100).map(|number| if number == 50 { "deadly" } else { "word" }).collect();
        sender.send(bulk.embed_batch(&texts, &|_| {})).unwrap();
    });
    let error = ended.recv_timeout(Duration::from_secs(60)).unwrap().unwrap_err();
    assert!(error.to_string().contains("a worker ended"), "{error}");
    assert_eq!(embedder.embed_batch(&["word"; 3], &|_| {}).unwrap().len(), 3);
    assert_eq!(block_on(embedder.embed("deadly", Asker::default())), Err(EmbedError::Closed));
    assert!(block_on(embedder.embed("word", Asker::default())).is_ok());
}

#[test]
fn a_bad_text_fails_alone_and_the_worker_lives_on() {
    let rig = odd(100);
    for (bad, word) in [
        ("panicking", "a row panicked"),
        ("failing", "no"),
        ("nan", "length is NaN"),
        ("zero", "length is 0"),
        ("narrow", "1 values for 1 rows of width 2"),
    ] {
        block_on(async {
            let closed = rig.gate.lock().await;
            let first = occupy(&rig).await;
            let texts = ["good one", bad, "good two"].map(|text| {
                let embedder = rig.embedder.clone();
                tokio::spawn(async move { embedder.embed(text, Asker::default()).await })
            });
            while rig.embedder.queued() < 3 {
                tokio::task::yield_now().await;
            }
            drop(closed);
            assert!(first.await.unwrap().is_ok());
            let [one, other, two] = texts;
            assert!(one.await.unwrap().is_ok() && two.await.unwrap().is_ok());
            let error = other.await.unwrap().unwrap_err().to_string();
            assert!(error.contains(word), "{bad}: {error}");
            assert!(rig.embedder.embed("good", Asker::default()).await.is_ok());
        });
        let error = rig.embedder.embed_batch(&["good", bad], &|_| {}).unwrap_err();
        assert!(error.to_string().contains(word), "{bad}: {error}");
    }
}

#[test]
fn the_last_clone_takes_the_queue_with_it() {
    let rig = odd(100);
    let (rows, gate) = (Arc::clone(&rig.rows), Arc::clone(&rig.gate));
    let closed = gate.blocking_lock();
    drop(rig.embedder.clone());
    block_on(async {
        let mut asked = Box::pin(rig.embedder.embed("asked", Asker::default()));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut asked).await.is_err());
    });
    drop(rig);
    drop(closed);
    // The worker finishes what it had begun, sees the queue's end, and lets go of the backend.
    let begin = Instant::now();
    while Arc::strong_count(&rows) > 1 {
        assert!(begin.elapsed() < Duration::from_secs(5), "the worker never ended");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_fake_embeds_through_the_same_queue() {
    let embedder = Embedder::fake(64);
    let [a, b, c] = ["How do I reset my password?", "how do i reset my password", "Roast a chicken"]
        .map(|text| block_on(embedder.embed(text, Asker::default())).unwrap());
    assert!(cosine(&a, &b) > 0.999 && cosine(&a, &c) < 0.6);
    assert_eq!((a.vector.len(), embedder.spec().variant.as_str()), (64, "fake-64/f32"));
}

/// Long texts in windows, at most so many.
fn mean(max_windows: usize) -> EmbedderSettings {
    EmbedderSettings { long_text: LongText::Mean, max_windows, ..EmbedderSettings::default() }
}

#[test]
fn a_long_text_can_be_the_mean_of_its_windows() {
    let (_dir, cut) = load(&EmbedderSettings::default());
    let (_dir, whole) = load(&mean(4));
    for (spec, begin) in [(cut.spec(), "tiny@0123456/bf16#"), (whole.spec(), "tiny@0123456/bf16/mean4#")] {
        assert!(spec.variant.starts_with(begin), "{}", spec.variant);
    }
    let embed = |embedder: &Embedder, text: &str| block_on(embedder.embed(text, Asker::default())).unwrap();
    for text in TEXTS {
        assert_eq!(embed(&whole, text), embed(&cut, text), "a short text is the same either way");
    }
    // 46 tokens beside the two markers are one window.
    let words: Vec<&str> = "what is the capital of france".split(' ').cycle().take(110).collect();
    let parts = [&words[..46], &words[46..92], &words[92..]].map(|part| embed(&cut, &part.join(" ")));
    let mixed = embed(&whole, &words.join(" "));
    assert_unit(&mixed);
    assert_eq!((mixed.tokens, mixed.windows, mixed.truncated), (110 + 3 * 2, 3, false));
    let mut sum = [0.0f32; WIDTH];
    for (part, tokens) in parts.iter().zip([46.0, 46.0, 18.0]) {
        sum.iter_mut().zip(part.vector.iter()).for_each(|(total, value)| *total += tokens * value);
    }
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    for (expected, got) in sum.iter().zip(mixed.vector.iter()) {
        assert!((expected / norm - got).abs() < 1e-5);
    }
    let in_bulk = whole.embed_batch(&[&words.join(" "), "what"], &|_| {}).unwrap();
    assert!(cosine(&in_bulk[0], &mixed) > 0.9999 && in_bulk[0].windows == 3 && in_bulk[1].windows == 1);
    let endless = embed(&whole, &words.join(" ").repeat(4));
    assert_eq!((endless.windows, endless.tokens, endless.truncated), (4, 4 * 48, true));
}

#[test]
fn windows_of_any_text_come_to_a_unit_vector_in_bounded_time() {
    let (_dir, embedder) = load(&mean(16));
    for text in [
        "what is ".repeat(125_000),
        "x".repeat(1_000_000),
        "é🦀\u{0}".repeat(100_000),
        "東京 \u{200d}what\u{7}".repeat(50_000),
        "\u{feff}".repeat(300_000),
    ] {
        let begin = Instant::now();
        let embedding = block_on(embedder.embed(&text, Asker::default())).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
        assert_unit(&embedding);
        assert!(embedding.truncated && embedding.windows <= 16 && embedding.tokens <= 16 * 48, "{embedding:?}");
    }
}

#[test]
fn what_an_asker_asked_before_is_remembered_for_it_alone() {
    let (_dir, embedder) = load(&EmbedderSettings::default());
    let (one, two) = (Asker::new(1), Asker::new(2));
    let first = block_on(embedder.embed("what is the capital", one)).unwrap();
    assert_eq!(block_on(embedder.embed(" what is the capital\n", one)).unwrap(), first);
    assert_eq!(embedder.stats().texts, 1);
    assert_eq!(block_on(embedder.embed("what is the capital", two)).unwrap(), first);
    let stats = embedder.stats();
    assert_eq!((stats.texts, stats.tokens, stats.memo.hits, stats.memo.misses), (2, 12, 1, 2));
    assert_eq!((stats.batches[0], stats.memo.entries, stats.truncated), (2, 2, 0));
    let (_dir, forgetful) = load(&EmbedderSettings { memo_bytes: 0, ..EmbedderSettings::default() });
    for _ in 0..2 {
        block_on(forgetful.embed("what", one)).unwrap();
    }
    assert_eq!((forgetful.stats().texts, forgetful.stats().memo.bytes), (2, 0));
}

#[test]
fn one_asker_with_many_texts_does_not_starve_another() {
    let rig = odd(10_000);
    block_on(async {
        let closed = rig.gate.lock().await;
        let first = occupy(&rig).await;
        let many: Vec<_> = (0..5_000)
            .map(|number| {
                let embedder = rig.embedder.clone();
                tokio::spawn(async move { embedder.embed(&format!("text {number}"), Asker::new(1)).await })
            })
            .collect();
        while rig.embedder.queued() < 5_000 {
            tokio::task::yield_now().await;
        }
        let embedder = rig.embedder.clone();
        let lone = tokio::spawn(async move { embedder.embed("a lonely question", Asker::new(2)).await });
        while rig.embedder.queued() < 5_001 {
            tokio::task::yield_now().await;
        }
        let before = rig.rows.load(Ordering::SeqCst);
        drop(closed);
        assert!(lone.await.unwrap().is_ok());
        // The batch that was under way, and the one it was in.
        let served = rig.before_lonely.load(Ordering::SeqCst) - before;
        assert!(served < 200, "{served} rows were served before a lone question");
        assert!(first.await.unwrap().is_ok());
        for task in many {
            assert!(task.await.unwrap().is_ok());
        }
    });
}

#[test]
fn a_bulk_and_single_texts_share_the_workers() {
    let rig = odd(100);
    let texts: Vec<String> = (0..3_000).map(|number| format!("text {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    std::thread::scope(|scope| {
        let closed = rig.gate.blocking_lock();
        let bulk = scope.spawn(|| rig.embedder.embed_batch(&texts, &|_| {}));
        // A batch of the bulk is under way, and all others are ready, when the lone text comes.
        while rig.begun.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let lone = scope.spawn(|| block_on(rig.embedder.embed("a lonely question", Asker::default())));
        while rig.embedder.queued() == 0 {
            std::thread::yield_now();
        }
        drop(closed);
        assert!(lone.join().unwrap().is_ok());
        let served = rig.before_lonely.load(Ordering::SeqCst);
        assert!(served < 300, "{served} texts of the bulk came before a lone one");
        assert_eq!(bulk.join().unwrap().unwrap().len(), 3_000);
    });
}

#[test]
fn workers_can_be_pinned_and_a_core_that_is_not_ours_is_refused() {
    let (_dir, embedder) =
        load(&EmbedderSettings { affinity: Affinity::Each, threads: 2, ..EmbedderSettings::default() });
    assert_unit(&block_on(embedder.embed("what", Asker::default())).unwrap());
    if cfg!(target_os = "linux") {
        let dir = tempfile::tempdir().unwrap();
        let manifest = Tiny::new().write(dir.path());
        let settings = EmbedderSettings { affinity: Affinity::Cores(vec![100_000]), ..EmbedderSettings::default() };
        let error = Embedder::load(dir.path(), &manifest, &settings).err().unwrap().to_string();
        assert!(error.contains("pin: names core 100000"), "{error}");
    }
}
