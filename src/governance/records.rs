//! `Records`: what is kept of requests once they have ended: sums by the hour, and a log of single requests where that is asked for.
//!
//! A request hands its record over and goes on: nobody waits, and what finds no room is dropped and counted. One task takes them, adds
//! them up in memory, and writes them no later than `usage.flush_ms` after they came. So a crash loses that much at most, and an orderly
//! end nothing.
//!
//! - `slip`: a record while its request and its fetch are under way
//! - `fold`: records added up; `logged`: one record as a row of the log; `clean`: without what may not stand there
//! - `report`: sums told by the hour, day or month

mod clean;
mod fold;
mod logged;
mod report;
mod slip;

pub use clean::without;
pub use report::{Page, Per, Report, Row, Wish};
pub use slip::{Ended, GONE, Slip};

use self::clean::Cleaner;
use self::fold::Fold;
use super::Governor;
use crate::config;
use crate::store::database::{Database, DatabaseError, RequestQuery, RequestRow, UsageKey, UsageSums};
use crate::telemetry::metrics;
use crate::types::record::Record;
use crate::types::secret::Secret;
use arc_swap::ArcSwap;
use parking_lot::RwLock;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Records that may wait, and bytes of the bodies that ride on them.
const QUEUE: usize = 16_384;
const QUEUE_BYTES: usize = 64 << 20;
/// Rows that may wait while the database does not answer.
const MOST_HELD: usize = 50_000;
/// Rows that are written in one transaction.
const AT_ONCE: usize = 500;
/// Bytes of logged requests that may wait.
const MOST_HELD_BYTES: usize = 64 << 20;
/// How often what is too old is forgotten.
const FORGET: Duration = Duration::from_secs(600);
const DAY_MS: u64 = 86_400_000;
/// So many rows are forgotten at once, and then others may write for as long: SQLite has one writer.
const PART: u64 = 4_000;
const PAUSE: Duration = Duration::from_millis(50);
/// At the end nobody waits longer for the database.
const LAST: Duration = Duration::from_secs(10);

enum Message {
    Record(Box<Record>),
    Flush(oneshot::Sender<bool>),
}

/// What the configuration says.
struct Terms {
    usage: config::Usage,
    log: Option<config::RequestLog>,
    cleaner: Cleaner,
}

impl Terms {
    fn of(settings: &config::Resolved) -> Terms {
        let (usage, log) = (settings.usage, settings.request_log.clone());
        let patterns = log.as_ref().map(|log| log.redact.as_slice()).unwrap_or_default();
        Terms { usage, cleaner: Cleaner::new(patterns), log }
    }
}

/// What the requests and the task share.
struct Shared {
    terms: ArcSwap<Terms>,
    /// What may not stand in the log, whoever writes it into a question.
    secrets: RwLock<Vec<Secret>>,
    /// Bytes of bodies that wait.
    waiting: AtomicUsize,
    database: Database,
    /// Tells what an account is.
    governor: Arc<Governor>,
}

/// Keeps records.
pub struct Records {
    shared: Arc<Shared>,
    messages: mpsc::Sender<Message>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

impl Records {
    /// Keeps them in `database`, and forgets them in time, which `now` tells. Must be called within the async runtime.
    pub fn begin(
        settings: &config::Resolved,
        database: Database,
        governor: Arc<Governor>,
        now: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Arc<Records> {
        let (messages, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            terms: ArcSwap::from_pointee(Terms::of(settings)),
            secrets: RwLock::default(),
            waiting: AtomicUsize::new(0),
            database,
            governor,
        });
        tokio::spawn(Keeper::new(shared.clone()).keep(queue, now));
        Arc::new(Records { shared, messages })
    }

    /// Puts new settings in force.
    pub fn reconfigure(&self, settings: &config::Resolved) {
        self.shared.terms.store(Arc::new(Terms::of(settings)));
    }

    /// Names the keys that may not stand in the log.
    pub fn keep_out(&self, secrets: Vec<Secret>) {
        *self.shared.secrets.write() = secrets;
    }

    /// Is this request drawn for the log, and are its bodies kept?
    fn draw(&self) -> (bool, bool) {
        let terms = self.shared.terms.load();
        let Some(log) = &terms.log else { return (false, false) };
        let is_drawn = log.sample >= 1.0 || rand::random::<f64>() < log.sample;
        (is_drawn, is_drawn && log.prompts)
    }

    /// Takes a record, unless too many wait already.
    fn take(&self, mut record: Record) {
        if !record.is_logged && !self.shared.terms.load().usage.enabled {
            return;
        }
        let bytes = record.body_bytes();
        if self.shared.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES {
            self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
            // The sums are worth more than the bodies.
            (record.request, record.answer) = (None, None);
            metrics::usage_record("bodies_dropped");
        }
        let bytes = record.body_bytes();
        if self.messages.try_send(Message::Record(Box::new(record))).is_err() {
            self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
            metrics::usage_record("dropped");
        }
    }

    /// Writes everything that waits. For an orderly end. False where it could not be written.
    pub async fn flush(&self) -> bool {
        let (done, flushed) = oneshot::channel();
        let all = async { self.messages.send(Message::Flush(done)).await.is_ok() && flushed.await.unwrap_or(false) };
        let is_done = tokio::time::timeout(LAST, all).await.unwrap_or(false);
        if !is_done {
            tracing::error!("what was last used could not be written");
        }
        is_done
    }

    /// Forgets what is older than is to be kept.
    pub async fn forget(&self, now_ms: u64) -> Result<(), DatabaseError> {
        forget(&self.shared, now_ms).await
    }

    /// Sums, a page of them.
    pub async fn report(&self, wish: &Wish) -> Result<Page, DatabaseError> {
        report::page(&self.shared.database, wish).await
    }

    /// Requests of the log, the latest first.
    pub async fn requests(&self, query: &RequestQuery) -> Result<Vec<RequestRow>, DatabaseError> {
        self.shared.database.requests(query).await
    }

    /// The request of this id, its own or the one that its caller was told.
    pub async fn request(&self, id: &str) -> Result<Option<RequestRow>, DatabaseError> {
        self.shared.database.request(id).await
    }
}

async fn forget(shared: &Shared, now_ms: u64) -> Result<(), DatabaseError> {
    let terms = shared.terms.load_full();
    let before = |days: u64| now_ms.saturating_sub(days.saturating_mul(DAY_MS));
    let database = &shared.database;
    let usage_ms = before(terms.usage.retention_days);
    while database.forget_usage(usage_ms, PART).await? == PART {
        sleep(PAUSE).await;
    }
    // What was logged before the log was switched off is not kept any longer for that.
    let days = terms.log.as_ref().map_or(terms.usage.retention_days, |log| log.retention_days);
    let requests_ms = before(days);
    while database.forget_requests(requests_ms, PART).await? == PART {
        sleep(PAUSE).await;
    }
    Ok(())
}

/// What is written at once.
#[derive(Default)]
struct Batch {
    usage: Vec<(UsageKey, UsageSums)>,
    requests: Vec<RequestRow>,
}

/// The task that takes records and writes them.
struct Keeper {
    shared: Arc<Shared>,
    fold: Fold,
    requests: Vec<RequestRow>,
    requests_bytes: usize,
    /// When what is held is to be written.
    due: Option<Instant>,
    writing: Option<JoinHandle<Result<(), Batch>>>,
}

impl Keeper {
    fn new(shared: Arc<Shared>) -> Keeper {
        Keeper { shared, fold: Fold::default(), requests: Vec::new(), requests_bytes: 0, due: None, writing: None }
    }

    async fn keep(mut self, mut queue: mpsc::Receiver<Message>, now: impl Fn() -> u64) {
        let mut next = Instant::now();
        loop {
            let due = self.due.filter(|_| self.writing.is_none());
            tokio::select! {
                message = queue.recv() => match message {
                    Some(Message::Record(record)) => self.take(*record),
                    Some(Message::Flush(done)) => {
                        let _ = done.send(self.write_all().await);
                    }
                    None => {
                        self.write_all().await;
                        return;
                    }
                },
                written = joined(&mut self.writing) => {
                    self.written(written);
                }
                () = until(due) => self.write(),
                () = sleep_until(next) => {
                    next = Instant::now() + FORGET;
                    let (shared, now_ms) = (self.shared.clone(), now());
                    tokio::spawn(async move {
                        if let Err(error) = forget(&shared, now_ms).await {
                            tracing::warn!(%error, "what is too old of usage and requests could not be forgotten");
                        }
                    });
                }
            }
        }
    }

    fn take(&mut self, record: Record) {
        self.shared.waiting.fetch_sub(record.body_bytes(), Ordering::Relaxed);
        let terms = self.shared.terms.load_full();
        if let Some(log) = terms.log.as_ref().filter(|_| record.is_logged) {
            let row = logged::row(&record, log, &terms.cleaner, &self.shared.secrets.read());
            let bytes = row.request.len() + row.answer.len();
            if self.requests.len() < MOST_HELD && self.requests_bytes + bytes <= MOST_HELD_BYTES {
                self.requests_bytes += bytes;
                self.requests.push(row);
            } else {
                metrics::usage_record("log_dropped");
            }
        }
        if terms.usage.enabled {
            let governor = &self.shared.governor;
            let is_held = self.fold.add(&record, |name| governor.kind_of_account(name), MOST_HELD);
            metrics::usage_record(if is_held { "taken" } else { "dropped" });
        }
        self.due.get_or_insert_with(|| Instant::now() + terms.usage.flush);
    }

    /// Has what is held written on a task of its own: records come in meanwhile.
    fn write(&mut self) {
        self.due = None;
        self.requests_bytes = 0;
        let batch = Batch { usage: self.fold.take(), requests: std::mem::take(&mut self.requests) };
        let shared = self.shared.clone();
        self.writing = Some(tokio::spawn(async move { write(&shared.database, batch).await }));
    }

    /// What could not be written is held again, as far as there is room.
    fn written(&mut self, result: Result<(), Batch>) -> bool {
        self.writing = None;
        let Err(Batch { usage, requests }) = result else { return true };
        for (key, sums) in usage {
            if !self.fold.put(key, &sums, MOST_HELD) {
                metrics::usage_record("dropped");
            }
        }
        self.requests_bytes += requests.iter().map(|row| row.request.len() + row.answer.len()).sum::<usize>();
        let newer = std::mem::replace(&mut self.requests, requests);
        self.requests.extend(newer);
        let flush = self.shared.terms.load().usage.flush;
        self.due = Some(Instant::now() + flush);
        false
    }

    async fn write_all(&mut self) -> bool {
        if self.writing.is_some() {
            let written = joined(&mut self.writing).await;
            self.written(written);
        }
        self.write();
        let written = joined(&mut self.writing).await;
        self.written(written)
    }
}

/// Writes a batch, a part at a time: budgets wait for the same writer. Gives back what could not be written.
async fn write(database: &Database, mut batch: Batch) -> Result<(), Batch> {
    // In one order everywhere, so that two nodes never wait for one another's rows.
    batch.usage.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    while !batch.usage.is_empty() {
        let rest = batch.usage.split_off(batch.usage.len().min(AT_ONCE));
        if let Err(error) = database.add_to_usage(&batch.usage).await {
            tracing::error!(%error, "what was used could not be written; it is tried again");
            batch.usage.extend(rest);
            return Err(batch);
        }
        batch.usage = rest;
    }
    while !batch.requests.is_empty() {
        let rest = batch.requests.split_off(batch.requests.len().min(AT_ONCE));
        if let Err(error) = database.add_requests(&batch.requests).await {
            tracing::error!(%error, "the log of requests could not be written; it is tried again");
            batch.requests.extend(rest);
            return Err(batch);
        }
        batch.requests = rest;
    }
    Ok(())
}

/// Resolves when that which is under way has ended; never, where nothing is. A task that panicked has written what it could.
async fn joined(writing: &mut Option<JoinHandle<Result<(), Batch>>>) -> Result<(), Batch> {
    match writing {
        Some(writing) => writing.await.unwrap_or(Ok(())),
        None => pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
