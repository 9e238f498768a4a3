//! The bounded line of texts that wait for a worker.
//!
//! Whoever asks never waits to get in: a full queue says so at once. Whoever stopped listening is skipped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::embedder::Embedding;
use crate::error::EmbedError;
use crate::tokenize::{TextTokenizer, Tokens};

/// The fixed cost of a pass through the model, in tokens that could be computed in the same time: measured with the
/// default model on one core, a pass takes 7 ms and another 0.45 ms for each token.
const FIXED_COST_TOKENS: usize = 16;

/// What a caller waits for.
pub(crate) type Answer = oneshot::Sender<Result<Embedding, EmbedError>>;

/// One waiting text.
struct Waiting {
    text: String,
    /// Set once a worker has looked at the text and found no room for it in its batch.
    tokens: Option<Tokens>,
    answer: Answer,
}

/// A text taken from the queue, ready for the model.
pub(crate) struct Job {
    /// The text's ids.
    pub tokens: Tokens,
    /// Where its vector goes.
    pub answer: Answer,
}

/// How workers gather a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gather {
    /// The largest batch in tokens, padding counted.
    pub batch_tokens: usize,
    /// How long an unfilled batch waits for company.
    pub batch_wait: Duration,
}

/// The queue itself, shared by callers and workers.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    limit: usize,
}

struct State {
    waiting: VecDeque<Waiting>,
    closed: bool,
}

impl Queue {
    /// A queue of at most `limit` texts.
    pub(crate) fn new(limit: usize) -> Queue {
        Queue { state: Mutex::new(State { waiting: VecDeque::new(), closed: false }), arrived: Condvar::new(), limit }
    }

    /// Puts a text in line. Never waits.
    ///
    /// # Errors
    /// [`EmbedError::Full`] or [`EmbedError::Closed`].
    pub(crate) fn push(&self, text: String, answer: Answer) -> Result<(), EmbedError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(EmbedError::Closed);
        }
        if state.waiting.len() >= self.limit {
            state.waiting.retain(|waiting| !waiting.answer.is_closed());
        }
        if state.waiting.len() >= self.limit {
            return Err(EmbedError::Full { limit: self.limit });
        }
        state.waiting.push_back(Waiting { text, tokens: None, answer });
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Texts in line.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Ends the queue: who waits is answered [`EmbedError::Closed`], workers get `None`.
    pub(crate) fn close(&self) {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.arrived.notify_all();
        for waiting in left {
            // A caller who has gone needs no answer.
            let _ = waiting.answer.send(Err(EmbedError::Closed));
        }
    }

    /// Waits for work and takes as much as fits one batch; `None` when the queue has ended.
    pub(crate) fn next_batch(&self, tokenizer: &TextTokenizer, gather: Gather) -> Option<Vec<Job>> {
        let mut jobs = vec![loop {
            let waiting = self.pop(None)?;
            if let Some(job) = ready(waiting, tokenizer) {
                break job;
            }
        }];
        let deadline = Instant::now() + gather.batch_wait;
        let mut size = BatchSize::of(jobs[0].tokens.ids.len());
        while size.tokens() < gather.batch_tokens {
            let Some(waiting) = self.pop(Some(deadline)) else {
                break;
            };
            let Some(job) = ready(waiting, tokenizer) else {
                continue;
            };
            let grown = size.with(job.tokens.ids.len());
            if !grown.is_worthwhile(gather.batch_tokens) {
                self.put_back(job);
                break;
            }
            size = grown;
            jobs.push(job);
        }
        Some(jobs)
    }

    /// The next text that somebody still waits for. Without a deadline: waits for one, `None` at the queue's end.
    /// With a deadline: `None` when nothing came by then.
    fn pop(&self, deadline: Option<Instant>) -> Option<Waiting> {
        let mut state = self.state.lock();
        loop {
            while let Some(waiting) = state.waiting.pop_front() {
                if !waiting.answer.is_closed() {
                    return Some(waiting);
                }
            }
            if state.closed {
                return None;
            }
            match deadline {
                None => self.arrived.wait(&mut state),
                Some(deadline) => {
                    if Instant::now() >= deadline {
                        return None;
                    }
                    self.arrived.wait_until(&mut state, deadline);
                }
            }
        }
    }

    /// Puts a text that did not fit back at the head of the line; it was already admitted, so the limit is not asked.
    fn put_back(&self, job: Job) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            let _ = job.answer.send(Err(EmbedError::Closed));
            return;
        }
        state.waiting.push_front(Waiting { text: String::new(), tokens: Some(job.tokens), answer: job.answer });
        drop(state);
        self.arrived.notify_one();
    }
}

/// Tokenizes a text; answers the caller itself when that fails.
fn ready(waiting: Waiting, tokenizer: &TextTokenizer) -> Option<Job> {
    let tokens = match waiting.tokens {
        Some(tokens) => Ok(tokens),
        None => crate::worker::guarded(|| tokenizer.tokenize(&waiting.text)),
    };
    match tokens {
        Ok(tokens) => Some(Job { tokens, answer: waiting.answer }),
        Err(error) => {
            let _ = waiting.answer.send(Err(error));
            None
        }
    }
}

/// The size of a batch as it grows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchSize {
    rows: usize,
    longest: usize,
    real: usize,
}

impl BatchSize {
    /// A batch of one text.
    pub(crate) fn of(tokens: usize) -> BatchSize {
        BatchSize { rows: 1, longest: tokens, real: tokens }
    }

    /// The batch with one more text.
    pub(crate) fn with(self, tokens: usize) -> BatchSize {
        BatchSize { rows: self.rows + 1, longest: self.longest.max(tokens), real: self.real + tokens }
    }

    /// Tokens that the model computes, padding counted.
    pub(crate) fn tokens(self) -> usize {
        self.rows * self.longest
    }

    /// Whether this batch is within the budget and cheaper than its texts one by one: each text that joins saves the
    /// fixed cost of a pass, and costs its padding.
    pub(crate) fn is_worthwhile(self, budget: usize) -> bool {
        let padding = self.tokens() - self.real;
        self.tokens() <= budget && padding <= (self.rows - 1) * FIXED_COST_TOKENS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, text: &str) -> oneshot::Receiver<Result<Embedding, EmbedError>> {
        let (answer, receiver) = oneshot::channel();
        queue.push(text.to_owned(), answer).unwrap();
        receiver
    }

    fn gather(batch_tokens: usize) -> Gather {
        Gather { batch_tokens, batch_wait: Duration::ZERO }
    }

    #[test]
    fn a_batch_stays_within_its_budget_and_keeps_the_order() {
        let queue = Queue::new(100);
        let tokenizer = TextTokenizer::features(512);
        let _kept: Vec<_> = (0..10).map(|_| push(&queue, "one two")).collect();
        let each = tokenizer.tokenize("one two").unwrap().ids.len();
        let sizes: Vec<_> = (0..4).map(|_| queue.next_batch(&tokenizer, gather(each * 3)).unwrap().len()).collect();
        assert_eq!(sizes, [3, 3, 3, 1]);
    }

    #[test]
    fn a_long_text_is_not_batched_with_short_ones_and_loses_no_place() {
        let queue = Queue::new(100);
        let tokenizer = TextTokenizer::features(512);
        let long = "many words ".repeat(30);
        let _kept = [push(&queue, "a"), push(&queue, &long), push(&queue, "b")];
        let first = queue.next_batch(&tokenizer, gather(100_000)).unwrap();
        assert_eq!((first.len(), queue.len()), (1, 2));
        let second = queue.next_batch(&tokenizer, gather(100_000)).unwrap();
        assert!(second[0].tokens.ids.len() > 100);
    }

    #[test]
    fn a_text_larger_than_the_budget_still_goes() {
        let queue = Queue::new(100);
        let tokenizer = TextTokenizer::features(512);
        let _kept = push(&queue, "a text of several words");
        assert_eq!(queue.next_batch(&tokenizer, gather(1)).unwrap().len(), 1);
    }

    #[test]
    fn who_has_gone_is_skipped_and_makes_room() {
        let queue = Queue::new(2);
        let tokenizer = TextTokenizer::features(512);
        drop((push(&queue, "a"), push(&queue, "b")));
        let _kept = push(&queue, "c");
        assert_eq!(queue.len(), 1);
        drop(push(&queue, "d"));
        let full = push(&queue, "e");
        let (answer, _receiver) = oneshot::channel();
        assert_eq!(queue.push("f".into(), answer), Err(EmbedError::Full { limit: 2 }));
        drop(full);
        assert_eq!(queue.next_batch(&tokenizer, gather(1000)).unwrap().len(), 1);
    }

    #[test]
    fn an_unfilled_batch_waits_for_company_only_as_long_as_it_may() {
        let queue = Queue::new(10);
        let tokenizer = TextTokenizer::features(512);
        let wait = Gather { batch_tokens: 1000, batch_wait: Duration::from_millis(500) };
        let _first = push(&queue, "a");
        std::thread::scope(|scope| {
            let late = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                push(&queue, "b")
            });
            let begin = Instant::now();
            assert_eq!(queue.next_batch(&tokenizer, wait).unwrap().len(), 2);
            assert!(begin.elapsed() >= Duration::from_millis(500));
            drop(late.join());
        });
    }

    #[test]
    fn closing_answers_who_waits_and_frees_the_workers() {
        let queue = Queue::new(10);
        let mut waiting = push(&queue, "a");
        queue.close();
        assert_eq!(waiting.try_recv().unwrap().unwrap_err(), EmbedError::Closed);
        assert!(queue.next_batch(&TextTokenizer::features(8), gather(10)).is_none());
        let (answer, _receiver) = oneshot::channel();
        assert_eq!(queue.push("b".into(), answer), Err(EmbedError::Closed));
    }
}
