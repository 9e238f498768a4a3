//! Bookkeeping: what was used of budgets goes to the database, soon after it was used, and what may be used is granted there before.
//!
//! Several nodes may write to one database. What one was granted is its own for [`LEASE_MS`] after it last wrote or said that it is there;
//! it holds nothing anew in the last half of that, so that requests under way have ended when the others take it for free. They do that
//! a minute later, for clocks differ, and only if the database has answered them all that minute: where it was the database that was away,
//! every node comes back first.

use super::build::StartError;
use crate::governance::Governor;
use crate::governance::ledger::{Granted, MeterId, Writing, Written};
use crate::store::database::{BudgetWrite, Database, DatabaseError, LeaseRow, UsedRow};
use rand::Rng;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

/// Budgets are written no oftener than this; a crash loses what was used of them for as long, and never what may have been.
const PAUSE: Duration = Duration::from_millis(20);
/// Where somebody waits for what another node has.
const WAITING: Duration = Duration::from_millis(50);
/// With something that may be given back, so long; and without.
const GIVE_BACK: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(30);
/// After a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// At the end nobody waits longer for the database.
const LAST: Duration = Duration::from_secs(10);
/// What a node was granted is its own so long.
const LEASE_MS: u64 = 600_000;
/// In the last so much of that it holds nothing anew.
const MARGIN_MS: u64 = 300_000;
/// It says so often that it is there, as long as it has something.
const RENEW_MS: u64 = 60_000;
/// Clocks of nodes differ by no more than this.
const SKEW_MS: u64 = 60_000;
/// The database has answered so long before the lease of another is taken for free.
const STEADY: Duration = Duration::from_secs(60);
/// Windows that count no more are looked for so often.
const PRUNE: Duration = Duration::from_secs(3_600);

/// All that is written of budgets.
pub(super) async fn written(database: &Database) -> Result<HashMap<MeterId, Written>, StartError> {
    let (used, leases) = database.budgets().await.map_err(failed)?;
    let mut all: HashMap<MeterId, Written> = HashMap::new();
    for UsedRow { meter, at_ms, amount } in used {
        all.entry(id_of(&meter)?).or_default().used.push((at_ms, amount));
    }
    for LeaseRow { meter, amount, .. } in leases {
        let others = &mut all.entry(id_of(&meter)?).or_default().others;
        *others = others.saturating_add(amount);
    }
    Ok(all)
}

fn failed(error: DatabaseError) -> StartError {
    StartError::Database(error.to_string())
}

fn id_of(meter: &str) -> Result<MeterId, StartError> {
    let read = u64::from_str_radix(meter, 16).map(MeterId);
    read.map_err(|_| {
        StartError::Database(format!("it has a budget `{meter}`, which is no number in hexadecimal digits"))
    })
}

fn name_of(meter: MeterId) -> String {
    format!("{:016x}", meter.0)
}

/// Writes down what was used of budgets.
#[derive(Debug)]
pub(super) struct Books {
    database: Database,
    /// This process, among all that ever wrote there.
    node: String,
    /// One writes at a time.
    desk: Mutex<Desk>,
}

#[derive(Debug)]
struct Desk {
    /// The last word is written.
    closed: bool,
    /// The latest number that was given to a write.
    number: u64,
    /// What was sent and not answered: it may be on disk, so nothing else is written before that is known.
    open: Option<Vec<Writing>>,
    renewed_ms: u64,
    /// The database has answered since then.
    steady: Instant,
    reaped: Instant,
    /// When windows that count no more were last looked for.
    pruned: Option<Instant>,
}

impl Books {
    /// Those in `database`.
    pub(super) async fn open(database: Database, now_ms: u64) -> Result<Arc<Books>, StartError> {
        let node = format!("{:032x}", rand::rng().random::<u128>());
        // Of other processes on a file nobody lives.
        if !database.is_shared() {
            database.reap_budgets(now_ms).await.map_err(failed)?;
        }
        database.join_budgets(&node, now_ms.saturating_add(LEASE_MS)).await.map_err(failed)?;
        let begun = Instant::now();
        let desk =
            Desk { closed: false, number: 0, open: None, renewed_ms: 0, steady: begun, reaped: begun, pruned: None };
        Ok(Arc::new(Books { database, node, desk: Mutex::new(desk) }))
    }

    /// Writes whenever there is something to write, until the governor is gone or the books are closed.
    pub(super) async fn keep(self: Arc<Books>, governor: Weak<Governor>, now: impl Fn() -> u64) {
        let Some(wake) = governor.upgrade().map(|governor| governor.ledger().wake()) else { return };
        let mut wait = PAUSE;
        loop {
            let _ = timeout(wait, wake.notified()).await;
            let Some(governor) = governor.upgrade() else { return };
            let mut desk = self.desk.lock().await;
            if desk.closed {
                return;
            }
            let done = self.turn(&mut desk, &governor, now()).await;
            drop(desk);
            match done {
                Ok(waits) => sleep(if waits { WAITING } else { PAUSE }).await,
                Err(error) => {
                    tracing::error!(%error, "what was used of budgets cannot be written; requests that need that wait");
                    sleep(AGAIN).await;
                    wake.notify_one();
                }
            }
            wait = if governor.ledger().is_dirty() { GIVE_BACK } else { IDLE };
        }
    }

    /// Writes for the last time: what was used, and no more than is still held. Nothing may be reserved from then on.
    pub(super) async fn close(&self, governor: &Arc<Governor>, now_ms: u64) {
        let last = async {
            let mut desk = self.desk.lock().await;
            desk.closed = true;
            // What was not answered has to be known first.
            while let Some(open) = desk.open.take() {
                self.write(&mut desk, governor, now_ms, open).await?;
            }
            let writing = governor.ledger().to_write_last(now_ms);
            desk.number += 1;
            self.write(&mut desk, governor, now_ms, writing).await?;
            self.database.leave_budgets(&self.node).await
        };
        match timeout(LAST, last).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "what was last used of budgets could not be written"),
            Err(_) => tracing::error!("what was last used of budgets could not be written in time"),
        }
    }

    /// True if somebody waits for what was not granted.
    async fn turn(&self, desk: &mut Desk, governor: &Arc<Governor>, now_ms: u64) -> Result<bool, DatabaseError> {
        let writing = match desk.open.take() {
            Some(open) => open,
            None => {
                let writing = governor.ledger().to_write(now_ms);
                desk.number += u64::from(!writing.is_empty());
                writing
            }
        };
        let done = match writing.is_empty() {
            false => self.write(desk, governor, now_ms, writing).await,
            true => self.renew(desk, governor, now_ms).await.map(|()| false),
        };
        match done {
            Ok(waits) => {
                self.tidy(desk, governor, now_ms).await;
                Ok(waits)
            }
            Err(error) => {
                desk.steady = Instant::now();
                Err(error)
            }
        }
    }

    async fn write(
        &self,
        desk: &mut Desk,
        governor: &Arc<Governor>,
        now_ms: u64,
        writing: Vec<Writing>,
    ) -> Result<bool, DatabaseError> {
        let writes: Vec<BudgetWrite> = writing.iter().map(write_of).collect();
        let until_ms = now_ms.saturating_add(LEASE_MS);
        let done = match self.database.write_budgets(&self.node, desk.number, until_ms, &writes).await {
            Ok(done) => done,
            Err(error) => {
                desk.open = Some(writing);
                return Err(error);
            }
        };
        if done.fenced {
            governor.ledger().fenced();
            tracing::warn!(
                "the database was out of reach for so long that other nodes could use what this one was granted"
            );
        }
        let granted: Vec<Granted> = writing
            .iter()
            .zip(done.states)
            .map(|(one, state)| Granted {
                id: one.id,
                lease: state.lease,
                used: state.used,
                others: state.others,
                wanted: state.wanted,
            })
            .collect();
        desk.renewed_ms = now_ms;
        let waits = governor.ledger().written(now_ms, done.until_ms.saturating_sub(MARGIN_MS), &granted);
        governor.written();
        Ok(waits)
    }

    /// Says that this node is there, where it has something.
    async fn renew(&self, desk: &mut Desk, governor: &Arc<Governor>, now_ms: u64) -> Result<(), DatabaseError> {
        if now_ms.saturating_sub(desk.renewed_ms) < RENEW_MS || !governor.ledger().has_leases() {
            return Ok(());
        }
        let until_ms = now_ms.saturating_add(LEASE_MS);
        match self.database.renew_budgets(&self.node, until_ms).await? {
            true => governor.ledger().renewed(until_ms.saturating_sub(MARGIN_MS)),
            false => governor.ledger().fenced(),
        }
        desk.renewed_ms = now_ms;
        Ok(())
    }

    /// Takes what is of nodes that are gone, and of windows that are over.
    async fn tidy(&self, desk: &mut Desk, governor: &Arc<Governor>, now_ms: u64) {
        let alone = !self.database.is_shared();
        if desk.reaped.elapsed() >= IDLE && (alone || desk.steady.elapsed() >= STEADY) {
            desk.reaped = Instant::now();
            let skew = if alone { 0 } else { SKEW_MS };
            match self.database.reap_budgets(now_ms.saturating_sub(skew)).await {
                Ok(0) => {}
                Ok(nodes) => tracing::info!(nodes, "what nodes that are gone were granted of budgets is free again"),
                Err(error) => tracing::warn!(%error, "nodes that are gone cannot be looked for"),
            }
        }
        if desk.pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE) {
            desk.pruned = Some(Instant::now());
            let since = governor.ledger().counts_since_ms(now_ms.saturating_sub(SKEW_MS));
            let since = since.into_iter().map(|(id, since)| (name_of(id), since)).collect();
            match self.database.prune_budgets(&since, now_ms).await {
                Ok(rows) => tracing::debug!(rows, "windows of budgets that count no more are gone"),
                Err(error) => tracing::warn!(%error, "windows of budgets that count no more stay"),
            }
        }
    }
}

fn write_of(one: &Writing) -> BudgetWrite {
    BudgetWrite { meter: name_of(one.id), most: one.most, since_ms: one.since_ms, used: one.used.clone(), ask: one.ask }
}
