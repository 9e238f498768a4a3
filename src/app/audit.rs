//! Audit: what administrators do, and what is refused, is written to a chain of rows in the database, and to the log of the process.
//!
//! Whoever records an event goes on at once; a task writes. A change at the admin surface is answered when its row is on disk. What does
//! not fit into the queue is counted, and the count becomes a row. What is signed is what this node has seen to be whole: `trust`. What is too old is taken out by `retention`.
//! Rows are sent to receivers by `export`: to which, by `export_to`; lines of syslog, by `syslog` and `syslog_wire`.

mod export;
mod export_to;
mod retention;
mod syslog;
mod syslog_wire;
mod trust;

use super::build::{StartError, write_private};
use crate::config::{AuditSettings, Resolved};
use crate::store::audit_chain::Signer;
use crate::store::database::Database;
use crate::telemetry::metrics;
use crate::types::audit::{Audit, AuditEvent, AuditOutcome, Exported, KEY_USED, REFUSED};
use crate::types::clock::Clock;
use arc_swap::ArcSwap;
use export::Exports;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rand::Rng;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use trust::{Head, NoTrust, Trust};

/// Events that wait to be written.
const WAITING: usize = 4_096;
/// Rows of one transaction.
const BATCH: usize = 256;
/// After a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Nobody waits longer for a row to be on disk.
const SETTLE: Duration = Duration::from_secs(5);
/// Refusals of one kind are one row for as long.
const FOLD: Duration = Duration::from_secs(60);
/// Kinds of refusals that are told apart at a time.
const FOLDED: usize = 10_000;
/// How often what is too old is looked for.
const RETENTION: Duration = Duration::from_secs(3_600);
const DAY_MS: u64 = 86_400_000;
/// Rows of its own that a node remembers until they are signed.
const OWN: usize = 4_096;
/// The longest text of an event, in bytes.
const MOST_BYTES: usize = 16 * 1024;

/// The audit log.
#[derive(Debug)]
pub(super) struct AuditLog {
    sender: mpsc::Sender<(u64, AuditEvent)>,
    /// Events that were taken, and that are on disk.
    taken: AtomicU64,
    written: watch::Receiver<u64>,
    lost: Arc<AtomicU64>,
    settings: Arc<ArcSwap<AuditSettings>>,
    clock: Clock,
    signer: Arc<Signer>,
    broken: Arc<Mutex<Option<String>>>,
    /// Told when no more is taken.
    closing: Arc<Notify>,
    /// Ends when all is written.
    writer: Mutex<Option<JoinHandle<()>>>,
    exports: Exports,
}

impl AuditLog {
    /// One that writes to `database`. Must be called within the async runtime.
    pub(super) fn begin(
        settings: &Resolved,
        persist: bool,
        database: Database,
        clock: Clock,
    ) -> Result<Arc<AuditLog>, StartError> {
        let seed = if persist { kept_seed(&settings.data_dir)? } else { rand::rng().random() };
        let signer =
            Signer::new(&seed).map_err(|error| StartError::Database(format!("the audit log's key: {error}")))?;
        let (sender, events) = mpsc::channel(WAITING);
        let (done, written) = watch::channel(0);
        let log = Arc::new(AuditLog {
            sender,
            taken: AtomicU64::new(0),
            written,
            lost: Arc::default(),
            settings: Arc::new(ArcSwap::from_pointee(settings.audit.clone())),
            clock: clock.clone(),
            signer: Arc::new(signer),
            broken: Arc::default(),
            closing: Arc::default(),
            writer: Mutex::default(),
            exports: Exports::new(database.clone(), clock.clone()),
        });
        // What keeps nothing has nothing to tell.
        let exports = if persist { settings.audit.export.as_slice() } else { &[] };
        let begun = log.exports.reconfigure(exports, &Arc::downgrade(&log), &log.written);
        begun.map_err(StartError::AuditExport)?;
        let writer = Writer {
            database,
            clock,
            done,
            lost: log.lost.clone(),
            settings: log.settings.clone(),
            signer: log.signer.clone(),
            folded: HashMap::new(),
            unsigned: None,
            own: Vec::new(),
            trust: Trust::new(persist.then_some(settings.data_dir.as_path()), &seed),
            broken: log.broken.clone(),
            bases: VecDeque::new(),
            signed_at: Instant::now(),
            sign_after: Instant::now(),
            swept_at: Instant::now() - RETENTION,
        };
        *log.writer.lock() = Some(tokio::spawn(writer.run(events, log.closing.clone())));
        Ok(log)
    }

    /// Puts new settings in force. The error says why they cannot be.
    pub(super) fn reconfigure(self: &Arc<Self>, settings: &Resolved) -> Result<(), String> {
        self.exports.reconfigure(&settings.audit.export, &Arc::downgrade(self), &self.written)?;
        self.settings.store(Arc::new(settings.audit.clone()));
        Ok(())
    }

    /// Takes no more events; resolves when all that was taken is on disk and signed, and others may export it, or when that takes too
    /// long.
    pub(super) async fn close(&self) {
        self.closing.notify_one();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer
            && timeout(SETTLE, writer).await.is_err()
        {
            tracing::error!("the audit log could not be written to its end");
        }
        self.exports.close().await;
    }
}

impl AuditLog {
    /// The event as it may be written, and in the log of the process.
    fn logged(mut event: AuditEvent) -> AuditEvent {
        let AuditEvent { actor, actor_id, target, detail, request_id, address, .. } = &mut event;
        for text in [actor, actor_id, target, detail, request_id, address] {
            fit(text);
        }
        let AuditEvent { actor, actor_id, action, target, outcome, detail, request_id, address } = &event;
        let outcome = outcome.as_str();
        tracing::info!(actor, actor_id, action, target, outcome, detail, request_id, address, "audit");
        event
    }
}

impl Audit for AuditLog {
    fn record(&self, event: AuditEvent) {
        if event.action == REFUSED && !self.settings.load().refusals {
            return;
        }
        // Counted before it is sent, so that whoever waits for all waits for this one.
        self.taken.fetch_add(1, Ordering::AcqRel);
        if self.sender.try_send((self.clock.now_ms(), AuditLog::logged(event))).is_err() {
            self.taken.fetch_sub(1, Ordering::AcqRel);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn keep(&self, event: AuditEvent) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let event = (self.clock.now_ms(), AuditLog::logged(event));
            // It waits for a place, however long that takes.
            let Ok(place) = self.sender.reserve().await else { return false };
            self.taken.fetch_add(1, Ordering::AcqRel);
            place.send(event);
            self.settled().await
        })
    }

    fn settled(&self) -> BoxFuture<'_, bool> {
        let taken = self.taken.load(Ordering::Acquire);
        let mut written = self.written.clone();
        Box::pin(async move {
            let wait = written.wait_for(|written| *written >= taken);
            timeout(SETTLE, wait).await.is_ok_and(|done| done.is_ok())
        })
    }

    fn public_key(&self) -> String {
        self.signer.public_key()
    }

    fn broken(&self) -> Option<String> {
        self.broken.lock().clone()
    }

    fn exports(&self) -> Exported {
        Exported { node: self.exports.node().to_owned(), names: self.exports.names() }
    }
}

/// No database takes a zero byte in a text, and nobody reads one that goes on for ever.
fn fit(text: &mut String) {
    if text.len() > MOST_BYTES {
        let end = (0..=MOST_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
}

/// Refusals of one kind: since when, and how many more than the first.
#[derive(Debug)]
struct Folded {
    since: Instant,
    more: u64,
    last: (u64, AuditEvent),
}

/// Writes the log.
struct Writer {
    database: Database,
    clock: Clock,
    done: watch::Sender<u64>,
    lost: Arc<AtomicU64>,
    settings: Arc<ArcSwap<AuditSettings>>,
    signer: Arc<Signer>,
    folded: HashMap<[String; 4], Folded>,
    /// The last row that no checkpoint vouches for, how many there are, and its digest.
    unsigned: Option<(u64, u64, String)>,
    /// Rows that this node wrote since: the last of each transaction.
    own: Vec<Head>,
    trust: Trust,
    /// Why nothing is signed any more.
    broken: Arc<Mutex<Option<String>>>,
    /// Rows, each of which is to stand for those up to it, that were seen to be whole and are too old.
    bases: VecDeque<Head>,
    signed_at: Instant,
    /// After a failure it is not tried again before.
    sign_after: Instant,
    swept_at: Instant,
}

impl Writer {
    async fn run(mut self, mut events: mpsc::Receiver<(u64, AuditEvent)>, closing: Arc<Notify>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let came = tokio::select! {
                came = timeout(Duration::from_secs(1), events.recv_many(&mut batch, BATCH)) => came,
                () = closing.notified() => {
                    events.close();
                    continue;
                }
            };
            let ended = came == Ok(0);
            let taken = batch.len() as u64;
            let mut rows: Vec<(u64, AuditEvent)> = Vec::with_capacity(batch.len());
            rows.extend(batch.drain(..).filter_map(|event| self.fold(event)));
            rows.extend(self.unfolded(ended));
            rows.extend(self.losses());
            self.write(&rows, events.is_closed()).await;
            self.done.send_modify(|done| *done += taken);
            self.sign(ended).await;
            self.forget().await;
            if ended {
                return;
            }
        }
    }

    /// The event, if it is to be a row now.
    fn fold(&mut self, event: (u64, AuditEvent)) -> Option<(u64, AuditEvent)> {
        let AuditEvent { actor, actor_id, action, target, detail, address, .. } = &event.1;
        // Two people of one name are two.
        let who = format!("{actor} {actor_id}");
        let kind = match (action.as_str(), event.1.outcome) {
            (REFUSED, _) => [who, target.clone(), detail.clone(), address.clone()],
            (KEY_USED, _) => [who, action.clone(), target.clone(), address.clone()],
            // Where it was tried does not matter, or whoever tries much would fill the log.
            (_, AuditOutcome::Refused) => [who, action.clone(), detail.clone(), address.clone()],
            _ => return Some(event),
        };
        if let Some(folded) = self.folded.get_mut(&kind) {
            folded.more += 1;
            folded.last = event;
            return None;
        }
        if self.folded.len() < FOLDED {
            self.folded.insert(kind, Folded { since: Instant::now(), more: 0, last: event.clone() });
        }
        Some(event)
    }

    /// Rows of refusals that came again; all of them at the end.
    fn unfolded(&mut self, ended: bool) -> Vec<(u64, AuditEvent)> {
        let mut rows = Vec::new();
        self.folded.retain(|_, folded| {
            if !ended && folded.since.elapsed() < FOLD {
                return true;
            }
            if folded.more > 0 {
                let (at_ms, mut event) = folded.last.clone();
                let mut detail: serde_json::Value = serde_json::from_str(&event.detail).unwrap_or_default();
                if !detail.is_object() {
                    detail = serde_json::json!({});
                }
                detail["repeated"] = folded.more.into();
                event.detail = detail.to_string();
                rows.push((at_ms, event));
            }
            false
        });
        rows
    }

    /// A row for what did not fit into the queue.
    fn losses(&self) -> Option<(u64, AuditEvent)> {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        (lost > 0).then(|| {
            let detail = format!("{{\"events\":{lost}}}");
            let (actor, action) = ("askonce".to_owned(), "audit.lost".to_owned());
            let outcome = AuditOutcome::Failed;
            (self.clock.now_ms(), AuditEvent { actor, action, outcome, detail, ..AuditEvent::default() })
        })
    }

    /// Writes rows, however often it takes; but not for ever, where nobody is there any more.
    async fn write(&mut self, rows: &[(u64, AuditEvent)], is_last: bool) {
        if rows.is_empty() {
            return;
        }
        loop {
            match self.database.add_to_audit(rows).await {
                Ok((seq, digest)) => {
                    let before = self.unsigned.as_ref().map_or(0, |(_, count, _)| *count);
                    if self.own.len() < OWN {
                        self.own.push((seq, digest.clone()));
                    }
                    self.unsigned = Some((seq, before + rows.len() as u64, digest));
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, rows = rows.len(), "the audit log cannot be written");
                    if is_last {
                        return;
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Signs a checkpoint, if it is time.
    async fn sign(&mut self, ended: bool) {
        let settings = self.settings.load_full();
        let Some((seq, count, digest)) = &self.unsigned else { return };
        let is_time = *count >= settings.checkpoint_rows || self.signed_at.elapsed() >= settings.checkpoint;
        if !ended && (!is_time || Instant::now() < self.sign_after) {
            return;
        }
        let checkpoint = self.signer.checkpoint(*seq, digest, self.clock.now_ms(), false);
        let (key, last) = (self.signer.public_key(), (*seq, digest.clone()));
        let kept = match self.trust.advance(&self.database, &key, &self.own, &last).await {
            Ok(()) => self.database.keep_checkpoint(&checkpoint).await.map_err(NoTrust::from),
            Err(why) => Err(why),
        };
        match kept {
            Ok(()) => {
                (self.unsigned, self.signed_at) = (None, Instant::now());
                self.own.clear();
            }
            Err(why) => self.unseen(&why).await,
        }
    }

    /// The log is not what this node has seen and written: from here on nothing is signed or taken out, and everybody is told.
    /// Where it could only not be read or written, that is tried again soon.
    async fn unseen(&mut self, why: &NoTrust) {
        tracing::error!(%why, "the audit log is not signed: see docs/audit.md, \"Where it does not hold\"");
        let NoTrust::Broken(broken) = why else {
            self.sign_after = Instant::now() + AGAIN;
            return;
        };
        // Not again at each row.
        self.sign_after = Instant::now() + self.settings.load().checkpoint;
        metrics::audit_broken();
        if self.broken.lock().replace(broken.to_string()).is_some() {
            return;
        }
        let (actor, action) = ("askonce".to_owned(), "audit.broken".to_owned());
        let detail = serde_json::json!({"why": broken.to_string()}).to_string();
        let event = AuditEvent { actor, action, outcome: AuditOutcome::Failed, detail, ..AuditEvent::default() };
        self.write(&[(self.clock.now_ms(), event)], true).await;
    }
}

/// The seed of the key that signs checkpoints, made at the first start. The public key stands beside it, for others to keep.
fn kept_seed(data_dir: &Path) -> Result<[u8; 32], StartError> {
    let failed = |source| StartError::DataDir { dir: data_dir.to_owned(), source };
    let path = data_dir.join("audit.key");
    let seed = match std::fs::read_to_string(&path) {
        Ok(text) => match blake3::Hash::from_hex(text.trim()) {
            Ok(seed) => return Ok(*seed.as_bytes()),
            Err(_) => {
                let message = format!(
                    "{} holds no key of 64 hexadecimal digits; put back the one that was there, or take the file away: \
                     then nothing before that can be verified any more",
                    path.display()
                );
                return Err(StartError::Database(message));
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => rand::rng().random::<[u8; 32]>(),
        Err(error) => return Err(failed(error)),
    };
    let text = format!("{}\n", blake3::Hash::from_bytes(seed).to_hex());
    write_private(&path, text.as_bytes()).map_err(failed)?;
    if let Ok(signer) = Signer::new(&seed) {
        write_private(&data_dir.join("audit.pub"), format!("{}\n", signer.public_key()).as_bytes()).map_err(failed)?;
    }
    Ok(seed)
}
