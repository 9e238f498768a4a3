//! Exports: the rows of the audit log go to receivers as they are written, in their order, each at least once.
//!
//! How far an export has come stands in the database. One gateway has it at a time; the others look whether it still does. Nobody waits for
//! a receiver: what it does not take stays in the log until it does, or until retention takes it out, which is told.

use super::AuditLog;
use super::export_to::{Failed, Receiver};
use crate::config::AuditExport;
use crate::store::audit_chain::AuditRow;
use crate::store::database::{AuditQuery, Database, DatabaseError};
use crate::telemetry::metrics;
use crate::types::audit::{Audit, AuditEvent, AuditOutcome};
use crate::types::clock::Clock;
use parking_lot::Mutex;
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// A gateway has an export for so long, and takes it again before that; longer than any attempt.
const LEASE_MS: u64 = 15_000;
const RENEW: Duration = Duration::from_secs(4);
/// How often rows of other gateways are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure it is tried again: first after this, then after twice as long, and so on,
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// but at least as often.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A receiver that says when to come again is believed as far as this.
const BELIEVED: Duration = Duration::from_secs(300);
/// The most bytes of rows that are sent at once; a row that is longer goes alone.
const MOST_BYTES: usize = 1024 * 1024;
/// An export that ends has so long to leave its place.
const LEAVE: Duration = Duration::from_secs(2);

/// All exports of this gateway.
pub(super) struct Exports {
    database: Database,
    clock: Clock,
    node: String,
    tasks: Mutex<Vec<Running>>,
}

struct Running {
    settings: AuditExport,
    /// Dropped, it ends the task.
    _stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exports")
    }
}

impl Exports {
    pub(super) fn new(database: Database, clock: Clock) -> Exports {
        let node = format!("{:016x}", rand::random::<u64>());
        Exports { database, clock, node, tasks: Mutex::default() }
    }

    /// Puts new settings in force. The error says of which certificates cannot be read; then all is as it was.
    pub(super) fn reconfigure(
        &self,
        settings: &[AuditExport],
        log: &Weak<AuditLog>,
        written: &watch::Receiver<u64>,
    ) -> Result<(), String> {
        let mut tasks = self.tasks.lock();
        let is_new = |one: &&AuditExport| tasks.iter().all(|running| running.settings != **one);
        let receivers = settings.iter().filter(is_new).map(|one| {
            let receiver = Receiver::new(&one.to).map_err(|why| format!("`audit.export`, `{}`: {why}", one.name))?;
            Ok((one.clone(), receiver))
        });
        let receivers = receivers.collect::<Result<Vec<_>, String>>()?;
        let (kept, mut ended): (Vec<Running>, Vec<Running>) =
            tasks.drain(..).partition(|running| settings.contains(&running.settings));
        *tasks = kept;
        for (settings, receiver) in receivers {
            // One that is changed goes on where the former has ended.
            let former = ended.iter().position(|running| running.settings.name == settings.name);
            let former = former.map(|at| ended.swap_remove(at).task);
            let (stop, stopped) = oneshot::channel();
            let export = self.export(&settings.name, receiver, log.clone());
            let task = tokio::spawn(export.run(former, stopped, written.clone()));
            tasks.push(Running { settings, _stop: stop, task });
        }
        ended.iter().for_each(|running| metrics::audit_export_lag(&running.settings.name, 0, 0.0));
        Ok(())
    }

    fn export(&self, name: &str, receiver: Receiver, log: Weak<AuditLog>) -> Export {
        Export {
            name: name.to_owned(),
            node: self.node.clone(),
            database: self.database.clone(),
            clock: self.clock.clone(),
            receiver,
            log,
            place: None,
            looked_at: None,
            failures: 0,
            retry_at: Instant::now(),
        }
    }

    /// Names of all, and where to.
    pub(super) fn names(&self) -> Vec<(String, &'static str)> {
        self.tasks.lock().iter().map(|one| (one.settings.name.clone(), one.settings.to.kind())).collect()
    }

    /// The name of this gateway among those that share the database.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Ends all, so that other gateways may take them at once.
    pub(super) async fn close(&self) {
        let ended: Vec<Running> = self.tasks.lock().drain(..).collect();
        let tasks: Vec<JoinHandle<()>> = ended.into_iter().map(|running| running.task).collect();
        // What does not end in time is taken by others a little later.
        let _ = timeout(LEAVE, futures_util::future::join_all(tasks)).await;
    }
}

/// One export, for as long as its settings stay.
struct Export {
    name: String,
    node: String,
    database: Database,
    clock: Clock,
    receiver: Receiver,
    log: Weak<AuditLog>,
    /// Where this gateway has the export: the last row that was taken, and the last of the log as it was seen.
    place: Option<(u64, u64)>,
    looked_at: Option<Instant>,
    failures: u32,
    /// After a failure it is not tried again before.
    retry_at: Instant,
}

impl Export {
    async fn run(
        mut self,
        former: Option<JoinHandle<()>>,
        mut stop: oneshot::Receiver<()>,
        mut written: watch::Receiver<u64>,
    ) {
        if let Some(former) = former {
            // It leaves its place, or the time of that passes.
            let _ = former.await;
        }
        loop {
            let more = tokio::select! {
                _ = &mut stop => break,
                more = self.turn() => more,
            };
            let wait = if more { Duration::ZERO } else { LOOK };
            tokio::select! {
                _ = &mut stop => break,
                Ok(()) = written.changed() => {}
                () = sleep(wait) => {}
            }
        }
        if self.place.is_some() {
            let left = timeout(LEAVE, self.database.leave_audit_export(&self.name, &self.node)).await;
            if !matches!(left, Ok(Ok(()))) {
                tracing::debug!(export = self.name, "an export of the audit log is not left in time");
            }
        }
    }

    /// Sends one batch, where it is time and there is one. Is there perhaps more?
    async fn turn(&mut self) -> bool {
        let done = async {
            if self.looked_at.is_none_or(|at| at.elapsed() >= RENEW) {
                self.look().await?;
            }
            if self.place.is_none() || Instant::now() < self.retry_at {
                return Ok(false);
            }
            self.batch().await
        };
        match done.await {
            Ok(more) => more,
            Err(error) => {
                let error: DatabaseError = error;
                tracing::warn!(export = self.name, %error, "the audit log is not exported: the database does not answer");
                self.retry_at = self.retry_at.max(Instant::now() + LOOK);
                false
            }
        }
    }

    /// Takes the export, or keeps it, and looks how far it is.
    async fn look(&mut self) -> Result<(), DatabaseError> {
        let (now_ms, had) = (self.clock.now_ms(), self.place.take().is_some());
        let until_ms = now_ms.saturating_add(LEASE_MS);
        let has = self.database.take_audit_export(&self.name, &self.node, now_ms, until_ms).await?;
        let (rows, last) = self.database.audit_exports().await?;
        let delivered = rows.iter().find(|row| row.name == self.name).map_or(0, |row| row.delivered);
        self.place = has.then_some((delivered, last));
        self.looked_at = Some(Instant::now());
        if has != had {
            tracing::info!(export = self.name, here = has, after = delivered, "an export of the audit log");
        }
        if !has || delivered >= last {
            metrics::audit_export_lag(&self.name, last.saturating_sub(delivered), 0.0);
        }
        Ok(())
    }

    async fn batch(&mut self) -> Result<bool, DatabaseError> {
        let Some((after, last)) = self.place else { return Ok(false) };
        let query = AuditQuery { after, most: self.receiver.most_rows(), ..AuditQuery::default() };
        let mut rows = self.database.audit(&query).await?;
        // The end of the log was seen before the rows were: where there are none, they are gone.
        let first = rows.first().map_or(last.max(after) + 1, |row| row.seq);
        if first > after + 1 {
            return self.skip(after + 1, first - 1).await;
        }
        in_one_go(&mut rows);
        let Some(end) = rows.last().map(|row| row.seq) else { return Ok(false) };
        let (count, oldest_ms) = (rows.len() as u64, rows.first().map_or(0, |row| row.at_ms));
        let sent = self.receiver.send(&rows).await;
        drop(rows);
        let now_ms = self.clock.now_ms();
        let behind = last.max(end) - after;
        if let Err(failed) = sent {
            let seconds = Duration::from_millis(now_ms.saturating_sub(oldest_ms)).as_secs_f64();
            metrics::audit_export_lag(&self.name, behind, seconds);
            self.fail(&failed).await?;
            return Ok(false);
        }
        self.failures = 0;
        metrics::audit_export_rows(&self.name, "delivered", count);
        metrics::audit_export_lag(&self.name, behind - count, 0.0);
        self.advance(end, 0, now_ms).await?;
        Ok(true)
    }

    /// Rows were taken, or are gone. Where another gateway has the export meanwhile, it goes on from where that is.
    async fn advance(&mut self, to: u64, missing: u64, now_ms: u64) -> Result<bool, DatabaseError> {
        let mine = self.database.move_audit_export((&self.name, &self.node), to, missing, now_ms).await?;
        match (mine, &mut self.place) {
            (true, Some((delivered, last))) => (*delivered, *last) = (to, to.max(*last)),
            _ => (self.place, self.looked_at) = (None, None),
        }
        Ok(mine)
    }

    /// Rows are gone that were never sent. It goes on after them, and a row of the log says so, which is exported with the others.
    async fn skip(&mut self, from: u64, to: u64) -> Result<bool, DatabaseError> {
        let missing = to + 1 - from;
        if !self.advance(to, missing, self.clock.now_ms()).await? {
            return Ok(true);
        }
        tracing::error!(
            export = self.name,
            from,
            to,
            "rows of the audit log were taken out before they could be exported: they are missing at the receiver"
        );
        metrics::audit_export_rows(&self.name, "missing", missing);
        let (actor, action) = ("askonce".to_owned(), "audit.export_missing".to_owned());
        let detail = serde_json::json!({"from": from, "to": to, "rows": missing}).to_string();
        let (target, outcome) = (self.name.clone(), AuditOutcome::Failed);
        if let Some(log) = self.log.upgrade() {
            log.record(AuditEvent { actor, action, target, outcome, detail, ..AuditEvent::default() });
        }
        Ok(true)
    }

    async fn fail(&mut self, failed: &Failed) -> Result<(), DatabaseError> {
        metrics::audit_export_failed(&self.name);
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        let pause = if failed.is_refused { LONGEST_PAUSE } else { doubled.min(LONGEST_PAUSE) };
        let pause = failed.again.map_or(pause, |again| again.clamp(FIRST_PAUSE, BELIEVED));
        self.retry_at = Instant::now() + if failed.is_smaller { FIRST_PAUSE } else { pause };
        let (export, why) = (&self.name, &failed.why);
        if failed.is_refused {
            tracing::error!(
                export,
                why,
                "the audit log is refused by its receiver: look at what it says, nothing is lost as yet"
            );
        } else {
            tracing::warn!(export, why, failures = self.failures, "the audit log is not taken");
        }
        self.database.fail_audit_export((&self.name, &self.node), &failed.why).await
    }
}

/// Leaves rows that follow one from the other, and are not too much at once.
fn in_one_go(rows: &mut Vec<AuditRow>) {
    let (mut bytes, mut next) = (0, rows.first().map_or(0, |row| row.seq));
    let fits = rows.iter().take_while(|row| {
        bytes += row.actor.len() + row.target.len() + row.detail.len() + row.request_id.len() + 512;
        let fits = row.seq == next;
        next += 1;
        fits && (bytes <= MOST_BYTES || next == rows[0].seq + 1)
    });
    let count = fits.count();
    rows.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64, bytes: usize) -> AuditRow {
        let event = AuditEvent { detail: "x".repeat(bytes), ..AuditEvent::default() };
        AuditRow::new(seq, seq, &event, "")
    }

    #[test]
    fn what_goes_at_once_has_no_gap_and_is_not_too_much() {
        let counted = |rows: &[(u64, usize)]| {
            let mut rows: Vec<AuditRow> = rows.iter().map(|(seq, bytes)| row(*seq, *bytes)).collect();
            in_one_go(&mut rows);
            rows.len()
        };
        assert_eq!(counted(&[]), 0);
        assert_eq!(counted(&[(4, 1), (5, 1), (6, 1)]), 3);
        assert_eq!(counted(&[(4, 1), (5, 1), (7, 1)]), 2, "one is missing");
        assert_eq!(counted(&[(1, 600_000), (2, 600_000)]), 1);
        assert_eq!(counted(&[(1, 2_000_000), (2, 1)]), 1, "one that is too long goes alone");
    }
}
