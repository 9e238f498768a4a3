//! What was used of budgets, and what of them is granted to which node.
//!
//! A node writes what it used and is granted what it may use next in one transaction, one node after the other for each budget: first it
//! changes the budget's row in `budget_locks`, and then reads what the others have. Each write of a node has a number. One whose
//! answer was lost is sent again under the same number, and is not done twice.

use super::{Database, DatabaseError, signed, unsigned};
use crate::store::lease::{Ask, Other, Standing, grant};
use sqlx::any::AnyRow;
use sqlx::{Any, Connection, Row, Transaction};
use std::collections::HashMap;

/// Rows of one statement.
const ROWS: usize = 200;
/// A node that has nothing is forgotten after so long.
const FORGOTTEN_MS: u64 = 7 * 86_400_000;
/// The longest window is a year.
const OLDEST_MS: u64 = 400 * 86_400_000;
/// Rows that are pruned in one transaction.
const PRUNED: usize = 100;

/// What was used of a budget under one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsedRow {
    /// The budget's number, in hexadecimal digits.
    pub meter: String,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Micro-dollars.
    pub amount: u64,
}

/// What is granted of a budget to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseRow {
    /// The budget's number, in hexadecimal digits.
    pub meter: String,
    /// The node.
    pub node: String,
    /// Micro-dollars.
    pub amount: u64,
}

/// What a node writes of a budget.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetWrite {
    /// The budget's number, in hexadecimal digits.
    pub meter: String,
    /// The most that may be used of it, in micro-dollars.
    pub most: u64,
    /// What was used before that does not count any more, in milliseconds since 1970.
    pub since_ms: u64,
    /// What the node used, by time.
    pub used: Vec<(u64, u64)>,
    /// What it asks for.
    pub ask: Ask,
}

/// What a budget is like after that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetState {
    /// What the node is granted.
    pub lease: u64,
    /// What all nodes have used of what counts, by time.
    pub used: Vec<(u64, u64)>,
    /// What requests of other nodes hold, as far as these have said.
    pub others: u64,
    /// Another node needs what it does not have.
    pub wanted: bool,
}

/// What became of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetsWritten {
    /// What the node was granted is its own until then, in milliseconds since 1970.
    pub until_ms: u64,
    /// It had let its time pass: what it had of other budgets is gone.
    pub fenced: bool,
    /// Each budget, in the order of what was written.
    pub states: Vec<BudgetState>,
}

impl Database {
    /// All that was used of budgets, and what nodes were granted of them.
    pub async fn budgets(&self) -> Result<(Vec<UsedRow>, Vec<LeaseRow>), DatabaseError> {
        let used = sqlx::query("SELECT meter, at_ms, amount FROM budget_used").fetch_all(&self.reader).await?;
        let text = "SELECT meter, node, amount FROM budget_leases WHERE amount > 0";
        let leases = sqlx::query(text).fetch_all(&self.reader).await?;
        let lease = |row: &AnyRow| {
            Ok(LeaseRow { meter: row.try_get(0)?, node: row.try_get(1)?, amount: unsigned(row.try_get(2)?) })
        };
        let used = used.iter().map(used_row).collect::<Result<_, sqlx::Error>>()?;
        Ok((used, leases.iter().map(lease).collect::<Result<_, sqlx::Error>>()?))
    }

    /// A node is there, and has nothing yet. Where it is not known until when another has what it has, that is until `until_ms`.
    pub async fn join_budgets(&self, node: &str, until_ms: u64) -> Result<(), DatabaseError> {
        let text = "INSERT INTO budget_nodes (node, number, until_ms, fenced) VALUES ($1, 0, $2, 0)";
        sqlx::query(text).bind(node).bind(signed(until_ms)).execute(&self.writer).await?;
        let text = "UPDATE budget_nodes SET until_ms = $1 WHERE until_ms = 0";
        sqlx::query(text).bind(signed(until_ms)).execute(&self.writer).await?;
        Ok(())
    }

    /// Writes what a node used, and grants it what it asks for as far as that is free: all of it, or nothing. A write of that number
    /// that is there already is not done again; what it gave is told once more. `writes` name each budget once.
    pub async fn write_budgets(
        &self,
        node: &str,
        number: u64,
        until_ms: u64,
        writes: &[BudgetWrite],
    ) -> Result<BudgetsWritten, DatabaseError> {
        let work = async {
            let mut held = self.lend(&self.writer).await?;
            let mut transaction = held.get()?.begin().await?;
            let done = write(&mut transaction, self.shared, (node, number, until_ms), writes).await?;
            transaction.commit().await?;
            held.done();
            Ok(done)
        };
        self.within(work).await
    }

    /// What the node has is its own until then.
    pub async fn renew_budgets(&self, node: &str, until_ms: u64) -> Result<bool, DatabaseError> {
        let work = async {
            let mut held = self.lend(&self.writer).await?;
            let text = "UPDATE budget_nodes SET until_ms = $2 WHERE node = $1 AND fenced = 0";
            let done = sqlx::query(text).bind(node).bind(signed(until_ms)).execute(&mut **held.get()?).await?;
            held.done();
            Ok(done.rows_affected() == 1)
        };
        self.within(work).await
    }

    /// What nodes have that let their time pass before `now_ms` is free again. How many of them there were.
    pub async fn reap_budgets(&self, now_ms: u64) -> Result<u64, DatabaseError> {
        let work = async {
            let mut held = self.lend(&self.writer).await?;
            let mut transaction = held.get()?.begin().await?;
            let text = "UPDATE budget_nodes SET fenced = 1 WHERE fenced = 0 AND until_ms > 0 AND until_ms < $1";
            let reaped = sqlx::query(text).bind(signed(now_ms)).execute(&mut *transaction).await?.rows_affected();
            if reaped > 0 {
                let text = "DELETE FROM budget_leases WHERE node IN (SELECT node FROM budget_nodes WHERE fenced = 1)";
                sqlx::query(text).execute(&mut *transaction).await?;
            }
            let text = "DELETE FROM budget_nodes WHERE fenced = 1 AND until_ms < $1";
            let old = signed(now_ms.saturating_sub(FORGOTTEN_MS));
            sqlx::query(text).bind(old).execute(&mut *transaction).await?;
            transaction.commit().await?;
            held.done();
            Ok(reaped)
        };
        self.within(work).await
    }

    /// The node is gone, if it has nothing any more.
    pub async fn leave_budgets(&self, node: &str) -> Result<(), DatabaseError> {
        let text = "DELETE FROM budget_nodes WHERE node = $1 AND NOT EXISTS \
                    (SELECT 1 FROM budget_leases WHERE budget_leases.node = budget_nodes.node)";
        sqlx::query(text).bind(node).execute(&self.writer).await?;
        Ok(())
    }

    /// What was used of each budget before the time that `since_ms` tells for it, and of all others long ago, goes, in parts. How many
    /// rows went.
    pub async fn prune_budgets(&self, since_ms: &HashMap<String, u64>, now_ms: u64) -> Result<u64, DatabaseError> {
        let text = "SELECT meter, MIN(at_ms) FROM budget_used WHERE at_ms > 0 GROUP BY meter";
        let oldest = sqlx::query(text).fetch_all(&self.reader).await?;
        let long_ago = now_ms.saturating_sub(OLDEST_MS);
        let mut old: Vec<(String, u64)> = Vec::new();
        for row in &oldest {
            let (meter, first): (String, u64) = (row.try_get(0)?, unsigned(row.try_get(1)?));
            let since = since_ms.get(&meter).copied().unwrap_or(long_ago);
            if first < since {
                old.push((meter, since));
            }
        }
        let mut gone = 0;
        for part in old.chunks(PRUNED) {
            let mut transaction = self.writer.begin().await?;
            for (meter, since) in part {
                let text = "DELETE FROM budget_used WHERE meter = $1 AND at_ms > 0 AND at_ms < $2";
                let query = sqlx::query(text).bind(meter.as_str()).bind(signed(*since));
                gone += query.execute(&mut *transaction).await?.rows_affected();
            }
            transaction.commit().await?;
        }
        Ok(gone)
    }
}

fn used_row(row: &AnyRow) -> Result<UsedRow, sqlx::Error> {
    Ok(UsedRow { meter: row.try_get(0)?, at_ms: unsigned(row.try_get(1)?), amount: unsigned(row.try_get(2)?) })
}

/// Places for so many rows of so many columns: `($1, $2), ($3, $4)`.
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

async fn write(
    transaction: &mut Transaction<'_, Any>,
    shared: bool,
    (node, number, until_ms): (&str, u64, u64),
    writes: &[BudgetWrite],
) -> Result<BudgetsWritten, DatabaseError> {
    let text = "UPDATE budget_nodes SET number = $2, until_ms = $3 WHERE node = $1 AND number < $2";
    let query = sqlx::query(text).bind(node).bind(signed(number)).bind(signed(until_ms));
    let is_new = query.execute(&mut **transaction).await?.rows_affected() == 1;
    let row = sqlx::query("SELECT until_ms, fenced FROM budget_nodes WHERE node = $1").bind(node);
    let (until_ms, fenced) = match row.fetch_optional(&mut **transaction).await? {
        Some(row) => (unsigned(row.try_get(0)?), unsigned(row.try_get(1)?) > 0),
        None => return Err(DatabaseError("this node is not among those that write budgets".to_owned())),
    };
    if fenced {
        let query = sqlx::query("UPDATE budget_nodes SET fenced = 0 WHERE node = $1").bind(node);
        query.execute(&mut **transaction).await?;
    }
    let mut by_meter: Vec<&BudgetWrite> = writes.iter().collect();
    // In one order, so that no two nodes wait for each other.
    by_meter.sort_by(|one, other| one.meter.cmp(&other.meter));
    let mut states: HashMap<&str, BudgetState> = HashMap::with_capacity(writes.len());
    let alone = is_alone(transaction, shared, node).await?;
    for part in by_meter.chunks(ROWS) {
        if is_new {
            if shared {
                lock(transaction, part).await?;
            }
            add_used(transaction, part).await?;
        }
        let leases = read_leases(transaction, part).await?;
        let mut used = read_used(transaction, part).await?;
        let mut rows = Vec::with_capacity(part.len());
        for one in part {
            let used = used.remove(&one.meter).unwrap_or_default();
            let (own, others) = apart(leases.get(&one.meter).map_or(&[], Vec::as_slice), node, shared);
            let written = one.used.iter().map(|(_, amount)| *amount).fold(0, u64::saturating_add);
            let now = Standing {
                most: one.most,
                used: used.iter().map(|(_, amount)| *amount).fold(0, u64::saturating_add),
                others: others.lease,
                wanted: others.wish > 0,
                alone,
                before: own.lease.saturating_sub(written),
            };
            let lease = if is_new { grant(&now, &one.ask) } else { own.lease };
            let wish = if lease < one.ask.wish { one.ask.wish } else { 0 };
            rows.push((one.meter.as_str(), lease, one.ask.firm, wish));
            states.insert(&one.meter, BudgetState { lease, used, others: others.firm, wanted: now.wanted });
        }
        if is_new {
            put_leases(transaction, node, &rows).await?;
        }
    }
    let states = writes.iter().filter_map(|one| states.remove(one.meter.as_str())).collect();
    Ok(BudgetsWritten { until_ms, fenced, states })
}

/// What the node itself has, and all others together. Where there can be no other, those that are there are of processes that ended, and
/// nobody knows what became of their requests.
fn apart(leases: &[(String, Other)], node: &str, shared: bool) -> (Other, Other) {
    let (mut own, mut others) = (Other::default(), Other::default());
    for (whose, lease) in leases {
        if whose == node {
            own = *lease;
        } else {
            others.lease = others.lease.saturating_add(lease.lease);
            others.firm = others.firm.saturating_add(if shared { lease.firm.min(lease.lease) } else { lease.lease });
            others.wish = others.wish.saturating_add(lease.wish);
        }
    }
    (own, others)
}

async fn is_alone(transaction: &mut Transaction<'_, Any>, shared: bool, node: &str) -> Result<bool, DatabaseError> {
    if !shared {
        return Ok(true);
    }
    let text = "SELECT COUNT(*) FROM budget_nodes WHERE node <> $1 AND fenced = 0";
    let others: i64 = sqlx::query(text).bind(node).fetch_one(&mut **transaction).await?.try_get(0)?;
    Ok(others == 0)
}

async fn lock(transaction: &mut Transaction<'_, Any>, part: &[&BudgetWrite]) -> Result<(), DatabaseError> {
    let text = format!(
        "INSERT INTO budget_locks (meter, number) VALUES {} \
         ON CONFLICT (meter) DO UPDATE SET number = budget_locks.number + 1",
        places(part.len(), 1).replace(')', ", 0)")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false);
    for one in part {
        query = query.bind(one.meter.as_str());
    }
    query.execute(&mut **transaction).await?;
    Ok(())
}

async fn add_used(transaction: &mut Transaction<'_, Any>, part: &[&BudgetWrite]) -> Result<(), DatabaseError> {
    let rows: Vec<(&str, u64, u64)> = part
        .iter()
        .flat_map(|one| one.used.iter().map(|(at_ms, amount)| (one.meter.as_str(), *at_ms, *amount)))
        .collect();
    for rows in rows.chunks(ROWS) {
        let text = format!(
            "INSERT INTO budget_used (meter, at_ms, amount) VALUES {} \
             ON CONFLICT (meter, at_ms) DO UPDATE SET amount = budget_used.amount + excluded.amount",
            places(rows.len(), 3)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false);
        for (meter, at_ms, amount) in rows {
            query = query.bind(*meter).bind(signed(*at_ms)).bind(signed(*amount));
        }
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

/// What each node has of each budget.
type Leases = HashMap<String, Vec<(String, Other)>>;

async fn read_leases(transaction: &mut Transaction<'_, Any>, part: &[&BudgetWrite]) -> Result<Leases, DatabaseError> {
    let text = format!(
        "SELECT meter, node, amount, firm, wish FROM budget_leases WHERE meter IN ({})",
        places(part.len(), 1).replace(['(', ')'], "")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false);
    for one in part {
        query = query.bind(one.meter.as_str());
    }
    let mut all = Leases::new();
    for row in query.fetch_all(&mut **transaction).await? {
        let numbers = [row.try_get(2)?, row.try_get(3)?, row.try_get(4)?].map(unsigned);
        let lease = Other { lease: numbers[0], firm: numbers[1], wish: numbers[2] };
        all.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, lease));
    }
    Ok(all)
}

/// What was used of each budget, by time.
type Used = HashMap<String, Vec<(u64, u64)>>;

async fn read_used(transaction: &mut Transaction<'_, Any>, part: &[&BudgetWrite]) -> Result<Used, DatabaseError> {
    let places: Vec<String> =
        (0..part.len()).map(|row| format!("(meter = ${} AND at_ms >= ${})", row * 2 + 1, row * 2 + 2)).collect();
    let text = format!("SELECT meter, at_ms, amount FROM budget_used WHERE {}", places.join(" OR "));
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false);
    for one in part {
        query = query.bind(one.meter.as_str()).bind(signed(one.since_ms));
    }
    let mut all = Used::new();
    for row in query.fetch_all(&mut **transaction).await? {
        let row = used_row(&row)?;
        all.entry(row.meter).or_default().push((row.at_ms, row.amount));
    }
    Ok(all)
}

async fn put_leases(
    transaction: &mut Transaction<'_, Any>,
    node: &str,
    rows: &[(&str, u64, u64, u64)],
) -> Result<(), DatabaseError> {
    let (there, gone): (Vec<_>, Vec<_>) = rows.iter().copied().partition(|(_, lease, _, wish)| *lease > 0 || *wish > 0);
    if !there.is_empty() {
        let text = format!(
            "INSERT INTO budget_leases (meter, node, amount, firm, wish) VALUES {} ON CONFLICT (meter, node) DO UPDATE SET \
             amount = excluded.amount, firm = excluded.firm, wish = excluded.wish",
            places(there.len(), 5)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false);
        for (meter, lease, firm, wish) in there {
            query = query.bind(meter).bind(node).bind(signed(lease)).bind(signed(firm)).bind(signed(wish));
        }
        query.execute(&mut **transaction).await?;
    }
    for (meter, ..) in gone {
        let query = sqlx::query("DELETE FROM budget_leases WHERE meter = $1 AND node = $2").bind(meter).bind(node);
        query.execute(&mut **transaction).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
