//! Bookkeeping: what was used of budgets goes to the database, soon after it was used, and what may be used goes there before.

use super::build::StartError;
use crate::governance::Governor;
use crate::governance::ledger::{MeterId, Writing, Written};
use crate::store::database::{CoverRow, Database, DatabaseError, UsedRow};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// Budgets are written no oftener than this; a crash loses what was used of them for as long, and never what may have been.
const PAUSE: Duration = Duration::from_millis(20);
/// Without anything to write, so long.
const IDLE: Duration = Duration::from_secs(1);
/// After a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// At the end nobody waits longer for the database.
const LAST: Duration = Duration::from_secs(10);

/// All that is written of budgets.
pub(super) async fn written(database: &Database) -> Result<HashMap<MeterId, Written>, StartError> {
    let (used, cover) = database.budgets().await.map_err(|error| StartError::Database(error.to_string()))?;
    let mut all: HashMap<MeterId, Written> = HashMap::new();
    for UsedRow { meter, at_ms, amount } in used {
        all.entry(id_of(&meter)?).or_default().used.push((at_ms, amount));
    }
    for CoverRow { meter, amount } in cover {
        all.entry(id_of(&meter)?).or_default().cover = amount;
    }
    Ok(all)
}

fn id_of(meter: &str) -> Result<MeterId, StartError> {
    let read = u64::from_str_radix(meter, 16).map(MeterId);
    read.map_err(|_| {
        StartError::Database(format!("it has a budget `{meter}`, which is no number in hexadecimal digits"))
    })
}

/// Writes down what was used of budgets.
#[derive(Debug)]
pub(super) struct Books {
    database: Database,
    /// One writes at a time. True once the last word is written.
    closed: Mutex<bool>,
}

impl Books {
    /// Those in `database`.
    pub(super) fn new(database: Database) -> Arc<Books> {
        Arc::new(Books { database, closed: Mutex::new(false) })
    }

    /// Writes whenever there is something to write, until the governor is gone or the books are closed.
    pub(super) async fn keep(self: Arc<Books>, governor: Weak<Governor>, now: impl Fn() -> u64) {
        loop {
            let Some(held) = governor.upgrade() else { return };
            // Looked at now and then, so that nothing is kept for its own sake.
            let _ = tokio::time::timeout(IDLE, held.wants_writing()).await;
            let closed = self.closed.lock().await;
            if *closed {
                return;
            }
            let done = self.write(&held, held.ledger().to_write(now())).await;
            drop(closed);
            match done {
                Ok(()) => sleep(PAUSE).await,
                Err(error) => {
                    tracing::error!(%error, "what was used of budgets cannot be written; requests that need that wait");
                    sleep(AGAIN).await;
                    held.write_again();
                }
            }
        }
    }

    /// Writes for the last time: what was used, and no more than is still held. Nothing may be reserved from then on.
    pub(super) async fn close(&self, governor: &Arc<Governor>, now_ms: u64) {
        let last = async {
            let mut closed = self.closed.lock().await;
            *closed = true;
            self.write(governor, governor.ledger().to_write_last(now_ms)).await
        };
        match tokio::time::timeout(LAST, last).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "what was last used of budgets could not be written"),
            Err(_) => tracing::error!("what was last used of budgets could not be written in time"),
        }
    }

    async fn write(&self, governor: &Arc<Governor>, writing: Vec<Writing>) -> Result<(), DatabaseError> {
        if writing.is_empty() {
            return Ok(());
        }
        let name = |one: &Writing| format!("{:016x}", one.id.0);
        let used: Vec<UsedRow> = writing
            .iter()
            .flat_map(|one| {
                one.used.iter().map(|(at_ms, amount)| UsedRow { meter: name(one), at_ms: *at_ms, amount: *amount })
            })
            .collect();
        let cover: Vec<CoverRow> = writing.iter().map(|one| CoverRow { meter: name(one), amount: one.cover }).collect();
        let result = self.database.add_to_budgets(&used, &cover).await;
        governor.written(result.is_ok());
        result
    }
}
