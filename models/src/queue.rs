//! The bounded queue of texts that wait for a worker, fair among askers.
//!
//! Whoever asks never waits to get in: a full queue says so at once. Whoever stopped listening is skipped. The limits, in
//! texts and in bytes, are shared by all askers: when one is reached, texts of the asker who has most in line make room for
//! one who has less. Bulk work has lines and turns like everyone, but does not count towards the limits: it brings no more
//! than keeps the workers busy, and waits for its answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::asker::Asker;
use crate::batch::BatchSize;
use crate::embedder::Embedding;
use crate::error::EmbedError;
use crate::lines::Lines;
use crate::reading::Reading;
use crate::tokenize::TextTokenizer;

/// Whose line a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// Somebody who asks text by text.
    Asker(Asker),
    /// One of the bulks under way, by number.
    Bulk(u64),
}

impl Who {
    fn counts(self) -> bool {
        matches!(self, Who::Asker(_))
    }
}

/// Where a vector goes.
pub(crate) enum Answer {
    /// To a caller who may have gone.
    Caller(oneshot::Sender<Result<Embedding, EmbedError>>),
    /// To a bulk.
    Bulk(BulkAnswer),
}

/// Where the vector of a bulk's text goes. Dropped unsent, it says so: the bulk would wait for ever.
pub(crate) struct BulkAnswer {
    number: usize,
    /// None when it was sent.
    sender: Option<mpsc::Sender<(usize, Result<Embedding, EmbedError>)>>,
    over: Arc<AtomicBool>,
}

impl BulkAnswer {
    /// For the text of this number; nobody wants it once the bulk is `over`.
    pub(crate) fn new(
        number: usize,
        sender: mpsc::Sender<(usize, Result<Embedding, EmbedError>)>,
        over: Arc<AtomicBool>,
    ) -> BulkAnswer {
        BulkAnswer { number, sender: Some(sender), over }
    }

    fn send(&mut self, result: Result<Embedding, EmbedError>) {
        // A bulk that is over has gone.
        let _ = self.sender.take().map(|sender| sender.send((self.number, result)));
    }
}

impl Drop for BulkAnswer {
    fn drop(&mut self) {
        if self.sender.is_some() && !self.over.load(Ordering::Relaxed) {
            self.send(Err(EmbedError::Backend("a worker ended before its text was done".into())));
        }
    }
}

impl Answer {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_unwanted(&self) -> bool {
        match self {
            Answer::Caller(sender) => sender.is_closed(),
            Answer::Bulk(answer) => answer.over.load(Ordering::Relaxed),
        }
    }

    /// Answers. Who has gone needs no answer.
    pub(crate) fn send(self, result: Result<Embedding, EmbedError>) {
        match self {
            Answer::Caller(sender) => drop(sender.send(result)),
            Answer::Bulk(mut answer) => answer.send(result),
        }
    }
}

/// One waiting text.
struct Waiting {
    work: Work,
    answer: Answer,
}

impl Waiting {
    fn load(&self) -> Load {
        let bytes = match &self.work {
            Work::Text(text) => text.len(),
            Work::Read(progress) => progress.bytes(),
        };
        Load { texts: 1, bytes }
    }
}

/// What waits, or may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Texts.
    pub texts: usize,
    /// Bytes of texts that were not read yet, and of the ids of those that were.
    pub bytes: usize,
}

impl Load {
    fn add(&mut self, more: Load) {
        self.texts += more.texts;
        self.bytes += more.bytes;
    }

    fn take(&mut self, less: Load) {
        self.texts -= less.texts;
        self.bytes -= less.bytes;
    }

    /// Which limit there would be no room under for so much more. One text alone may always wait.
    fn exceeds(self, more: Load, limits: Load) -> Option<Measure> {
        match () {
            () if self.texts == 0 => None,
            () if self.texts + more.texts > limits.texts => Some(Measure::Texts),
            () if self.bytes.saturating_add(more.bytes) > limits.bytes => Some(Measure::Bytes),
            () => None,
        }
    }
}

/// What of a load is limited.
#[derive(Clone, Copy)]
enum Measure {
    Texts,
    Bytes,
}

impl Measure {
    fn of(self, load: Load) -> usize {
        match self {
            Measure::Texts => load.texts,
            Measure::Bytes => load.bytes,
        }
    }

    fn full(self, limits: Load) -> EmbedError {
        let of = match self {
            Measure::Texts => "texts",
            Measure::Bytes => "bytes",
        };
        EmbedError::Full { limit: self.of(limits), of }
    }
}

/// How far a text has come.
enum Work {
    /// Not read yet.
    Text(String),
    /// Read, and some of its windows perhaps embedded.
    Read(Progress),
}

/// A text that was read, and what its windows gave so far.
#[derive(Default)]
pub(crate) struct Progress {
    /// Its ids.
    pub reading: Reading,
    /// Rows whose vectors are in `sum`.
    pub done: usize,
    /// The weighted sum of the vectors of those rows.
    pub sum: Vec<f32>,
}

/// A text that was taken for a batch.
pub(crate) struct Job {
    /// Whose it is.
    pub who: Who,
    /// Its ids, and how far it is.
    pub progress: Progress,
    /// How many rows of it, from `progress.done` on, are in this batch.
    pub rows: usize,
    /// Where its vector goes.
    pub answer: Answer,
}

/// How workers gather a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gather {
    /// The largest batch in tokens as the model computes them.
    pub batch_tokens: usize,
    /// How long an unfilled batch waits for company.
    pub batch_wait: Duration,
    /// Whether the model pads the rows of a batch to one length.
    pub pads: bool,
}

/// The queue itself, shared by callers and workers.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    limits: Load,
}

struct State {
    lines: Lines<Who, Waiting>,
    /// What counts towards the limits.
    counted: Load,
    closed: bool,
}

impl Queue {
    /// A queue of at most so much.
    pub(crate) fn new(limits: Load) -> Queue {
        let state = State { lines: Lines::new(), counted: Load::default(), closed: false };
        Queue { state: Mutex::new(state), arrived: Condvar::new(), limits }
    }

    /// Puts an asker's text in line. Never waits.
    ///
    /// # Errors
    /// [`EmbedError::Full`] or [`EmbedError::Closed`].
    pub(crate) fn push(&self, asker: Asker, text: String, answer: Answer) -> Result<(), EmbedError> {
        let who = Who::Asker(asker);
        let waiting = Waiting { work: Work::Text(text), answer };
        let mut state = self.state.lock();
        if state.closed {
            return Err(EmbedError::Closed);
        }
        let yielding = state.make_room(who, waiting.load(), self.limits)?;
        state.counted.add(waiting.load());
        state.lines.push(who, waiting);
        drop(state);
        self.arrived.notify_one();
        // Outside the lock: it wakes somebody.
        for (waiting, measure) in yielding {
            waiting.answer.send(Err(measure.full(self.limits)));
        }
        Ok(())
    }

    /// Puts a text of a bulk in line, whatever the limit.
    ///
    /// # Errors
    /// [`EmbedError::Closed`].
    pub(crate) fn push_bulk(&self, bulk: u64, reading: Reading, answer: Answer) -> Result<(), EmbedError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(EmbedError::Closed);
        }
        let work = Work::Read(Progress { reading, ..Progress::default() });
        state.lines.push(Who::Bulk(bulk), Waiting { work, answer });
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Texts in line that count towards the limit.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().counted.texts
    }

    /// Ends the queue: who waits is answered [`EmbedError::Closed`], workers get nothing more.
    pub(crate) fn close(&self) {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            state.counted = Load::default();
            state.lines.drain()
        };
        self.arrived.notify_all();
        for waiting in left {
            waiting.answer.send(Err(EmbedError::Closed));
        }
    }

    /// Waits for work and fills `jobs`, which is empty, with as much as fits one batch. `false` when the queue has ended.
    ///
    /// An asker's turn is one text, or of a long text as many windows as fit. The first text of a batch waits for the
    /// whole of it, so a batch ends at its budget of tokens; and it ends at the first text that does not fit, which is
    /// then the first of the next.
    pub(crate) fn next_batch(&self, tokenizer: &TextTokenizer, gather: Gather, jobs: &mut Vec<Job>) -> bool {
        let mut size = BatchSize::empty(gather.pads);
        let mut deadline = None;
        while size.tokens() < gather.batch_tokens {
            let Some((who, waiting)) = self.take(deadline) else {
                break;
            };
            deadline.get_or_insert_with(|| Instant::now() + gather.batch_wait);
            let Some(mut job) = read(who, waiting, tokenizer) else {
                // A text that could not be read is no batch: go on as if it had not been there.
                deadline = deadline.filter(|_| !jobs.is_empty());
                continue;
            };
            job.rows = size.grow(job.progress.rest(), gather.batch_tokens);
            if job.rows == 0 {
                self.put_back(job, Turn::Kept);
                break;
            }
            let whole = job.progress.done + job.rows == job.progress.reading.rows.rows();
            jobs.push(job);
            if !whole {
                break;
            }
        }
        !jobs.is_empty()
    }

    /// Puts a text back of which windows are left; its asker's turn is over.
    pub(crate) fn go_on(&self, job: Job) {
        self.put_back(job, Turn::Over);
    }

    /// The next text that somebody still waits for. Without a deadline: waits for one, `None` at the queue's end.
    /// With a deadline: `None` when nothing came by then.
    fn take(&self, deadline: Option<Instant>) -> Option<(Who, Waiting)> {
        let mut state = self.state.lock();
        loop {
            while let Some((who, waiting)) = state.lines.take() {
                if who.counts() {
                    state.counted.take(waiting.load());
                }
                if !waiting.answer.is_unwanted() {
                    return Some((who, waiting));
                }
                state.lines.keep_turn(who);
            }
            if state.closed {
                return None;
            }
            match deadline {
                // No spinning before the sleep: a hand-over there and back takes 20 µs between questions that follow at
                // once and some 130 µs after 2 ms of rest, and no spin short enough to spare the core bridges that.
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

    /// Puts a text back at the head of its line; it was already admitted, so the limit is not asked.
    fn put_back(&self, job: Job, turn: Turn) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            job.answer.send(Err(EmbedError::Closed));
            return;
        }
        let waiting = Waiting { work: Work::Read(job.progress), answer: job.answer };
        if job.who.counts() {
            state.counted.add(waiting.load());
        }
        match turn {
            Turn::Kept => state.lines.put_back(job.who, waiting),
            Turn::Over => state.lines.go_on(job.who, waiting),
        }
        drop(state);
        self.arrived.notify_one();
    }
}

/// What becomes of the turn of a text that is put back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Kept,
    Over,
}

impl State {
    /// Makes room for a text of `who`, and says who yields, and for want of what. Texts that nobody waits for go first;
    /// then the newest of whoever has most in line, as long as that leaves them with no less than `who` has then.
    ///
    /// # Errors
    /// [`EmbedError::Full`]; then nobody has yielded.
    fn make_room(&mut self, who: Who, new: Load, limits: Load) -> Result<Vec<(Waiting, Measure)>, EmbedError> {
        if self.counted.exceeds(new, limits).is_none() {
            return Ok(Vec::new());
        }
        self.lines.retain(|waiting| !waiting.answer.is_unwanted());
        self.counted = Load::default();
        self.lines.all(Who::counts).for_each(|waiting| self.counted.add(waiting.load()));
        let mut yielding = Vec::new();
        while let Some(measure) = self.counted.exceeds(new, limits) {
            let Some((greedy, waiting)) = self.yielding(who, new, measure) else {
                // The newest of their lines, the last one first: all are where they were.
                for (greedy, waiting, _) in yielding.into_iter().rev() {
                    self.counted.add(Waiting::load(&waiting));
                    self.lines.push(greedy, waiting);
                }
                return Err(measure.full(limits));
            };
            self.counted.take(waiting.load());
            yielding.push((greedy, waiting, measure));
        }
        Ok(yielding.into_iter().map(|(_, waiting, measure)| (waiting, measure)).collect())
    }

    /// Takes the newest text of whoever has most in line, if that is more than fair.
    fn yielding(&mut self, who: Who, new: Load, measure: Measure) -> Option<(Who, Waiting)> {
        let size = |waiting: &Waiting| measure.of(waiting.load());
        let greediest = self.lines.greediest(Who::counts, size)?;
        let left = self.lines.held(greediest, size).saturating_sub(self.lines.newest(greediest).map_or(0, size));
        let fair = left >= self.lines.held(who, size).saturating_add(measure.of(new)) && greediest != who;
        fair.then(|| self.lines.take_newest(greediest)).flatten().map(|waiting| (greediest, waiting))
    }
}

impl Progress {
    /// Bytes of its ids.
    fn bytes(&self) -> usize {
        size_of_val(self.reading.rows.ids())
    }

    /// The lengths of the rows that are not embedded yet, in tokens.
    pub(crate) fn rest(&self) -> impl Iterator<Item = usize> {
        self.reading.rows.iter().skip(self.done).map(<[u32]>::len)
    }
}

/// Reads a text, if it was not read yet; answers the caller itself when that fails.
fn read(who: Who, waiting: Waiting, tokenizer: &TextTokenizer) -> Option<Job> {
    let progress = match waiting.work {
        Work::Read(progress) => Ok(progress),
        Work::Text(text) => {
            crate::worker::guarded(|| tokenizer.read(&text)).map(|reading| Progress { reading, ..Progress::default() })
        }
    };
    match progress {
        Ok(progress) => Some(Job { who, progress, rows: 0, answer: waiting.answer }),
        Err(error) => {
            waiting.answer.send(Err(error));
            None
        }
    }
}

#[cfg(test)]
mod tests;
