//! Many texts at once, through the same queue and workers as single ones.
//!
//! A bulk has turns like every asker, so questions that come meanwhile wait no longer for it than for anybody else. It
//! keeps only as much in line as keeps the workers busy, and sorts its texts by length, which suits engines that pad.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use crate::embedder::Embedding;
use crate::engine::Engine;
use crate::error::EmbedError;
use crate::queue::{Answer, BulkAnswer, Queue};
use crate::reading::Reading;
use crate::worker;

/// Texts that are read and sorted together; bounds the memory of a bulk.
const SORTED_TOGETHER: usize = 16_384;

/// Batches per worker in line or being computed: one in work, one to begin with next, and one being refilled.
const AHEAD: usize = 3;

/// Tells bulks apart that run at the same time.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// How much a bulk may have under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Worker threads.
    pub workers: usize,
    /// The largest batch in tokens.
    pub batch_tokens: usize,
}

/// The vectors of texts, in their order. Blocks; `progress` is told how many are done so far.
///
/// # Errors
/// The first failure ends it.
pub(crate) fn embed(
    queue: &Queue,
    engine: &Engine,
    pace: Pace,
    texts: &[&str],
    progress: &dyn Fn(usize),
) -> Result<Vec<Embedding>, EmbedError> {
    let mut embeddings = Vec::with_capacity(texts.len());
    for part in texts.chunks(SORTED_TOGETHER) {
        let readings = part
            .iter()
            .map(|text| worker::guarded(|| engine.tokenizer.read(engine.tokenizer.readable(text))))
            .collect::<Result<Vec<Reading>, _>>()?;
        let done = embeddings.len();
        embeddings.extend(Bulk::new(queue, pace).run(readings, &|count| progress(done + count))?);
    }
    Ok(embeddings)
}

/// One bulk under way; when dropped, what it still has in line is skipped.
struct Bulk<'q> {
    queue: &'q Queue,
    number: u64,
    most_tokens: usize,
    sender: mpsc::Sender<(usize, Result<Embedding, EmbedError>)>,
    answers: mpsc::Receiver<(usize, Result<Embedding, EmbedError>)>,
    over: Arc<AtomicBool>,
}

impl Drop for Bulk<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl<'q> Bulk<'q> {
    fn new(queue: &'q Queue, pace: Pace) -> Bulk<'q> {
        let (sender, answers) = mpsc::channel();
        Bulk {
            queue,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            most_tokens: pace.batch_tokens.saturating_mul(pace.workers).saturating_mul(AHEAD),
            sender,
            answers,
            over: Arc::default(),
        }
    }

    fn run(&self, readings: Vec<Reading>, progress: &dyn Fn(usize)) -> Result<Vec<Embedding>, EmbedError> {
        let lengths: Vec<usize> = readings.iter().map(|reading| reading.rows.tokens()).collect();
        let mut slots: Vec<Option<Embedding>> = vec![None; readings.len()];
        // Longest first, so that a batch too large for the machine shows at the beginning and not at the end.
        let mut waiting: Vec<(usize, Reading)> = readings.into_iter().enumerate().collect();
        waiting.sort_by_key(|(_, reading)| reading.rows.tokens());
        let (mut under_way, mut done) = (0, 0);
        while done < lengths.len() {
            while let Some(at) = waiting.len().checked_sub(1) {
                let tokens = lengths[waiting[at].0];
                if under_way > 0 && under_way + tokens > self.most_tokens {
                    break;
                }
                under_way += tokens;
                if let Some((number, reading)) = waiting.pop() {
                    self.queue.push_bulk(self.number, reading, self.answer(number))?;
                }
            }
            let first = self.answers.recv().map_err(|_| EmbedError::Closed)?;
            for (number, result) in std::iter::once(first).chain(self.answers.try_iter()) {
                slots[number] = Some(result?);
                under_way -= lengths[number];
                done += 1;
            }
            progress(done);
        }
        slots.into_iter().collect::<Option<_>>().ok_or_else(|| EmbedError::Backend("a text was lost".into()))
    }

    fn answer(&self, number: usize) -> Answer {
        Answer::Bulk(BulkAnswer::new(number, self.sender.clone(), Arc::clone(&self.over)))
    }
}
