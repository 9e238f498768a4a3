//! Exports of the audit log: how far each has come, and which node has it.
//!
//! A node has an export until a time that stands in its row, and nobody but who has it moves it on.

use super::{Database, DatabaseError, signed, unsigned};
use sqlx::Row;
use sqlx::any::AnyRow;

/// How far an export has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExportRow {
    /// Its name.
    pub name: String,
    /// The last row that was taken.
    pub delivered: u64,
    /// When, in milliseconds since 1970; 0: none was.
    pub delivered_at_ms: u64,
    /// Rows that were gone before they could be sent.
    pub missing: u64,
    /// Attempts that failed since.
    pub failures: u64,
    /// Why the latest did; empty where it did not.
    pub error: String,
    /// The node that has it, or had it last.
    pub node: String,
    /// Until then, in milliseconds since 1970.
    pub until_ms: u64,
}

impl Database {
    /// Has `node` take the export, or keep it, until `until_ms`: false where another node has it. One that is new begins with the first row
    /// that is there.
    pub async fn take_audit_export(
        &self,
        name: &str,
        node: &str,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<bool, DatabaseError> {
        self.within(async {
            let text = "UPDATE audit_exports SET node = $1, until_ms = $2 \
                        WHERE name = $3 AND (node = $4 OR until_ms < $5 OR $6 = 0)";
            for is_new in [false, true] {
                if is_new {
                    let new = "INSERT INTO audit_exports \
                        (name, delivered, delivered_at_ms, missing, failures, error, node, until_ms) \
                        SELECT $1, COALESCE((SELECT MIN(seq) - 1 FROM audit), (SELECT seq FROM audit_tail WHERE one = 1)), \
                        0, 0, 0, '', '', 0 WHERE 1 = 1 ON CONFLICT (name) DO NOTHING";
                    sqlx::query(new).bind(name).execute(&self.writer).await?;
                }
                let query = sqlx::query(text).bind(node).bind(signed(until_ms)).bind(name).bind(node);
                // Where nobody else can have the database, whoever had it is gone.
                let query = query.bind(signed(now_ms)).bind(i64::from(self.shared));
                if query.execute(&self.writer).await?.rows_affected() == 1 {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }

    /// Rows up to `to` were taken, of which `missing` were gone. False where the node has the export no more, or it has come so far.
    pub async fn move_audit_export(
        &self,
        (name, node): (&str, &str),
        to: u64,
        missing: u64,
        now_ms: u64,
    ) -> Result<bool, DatabaseError> {
        self.within(async {
            let text = "UPDATE audit_exports SET delivered = $1, missing = missing + $2, delivered_at_ms = $3, failures = 0, \
                        error = '' WHERE name = $4 AND node = $5 AND delivered < $6";
            let query = sqlx::query(text).bind(signed(to)).bind(signed(missing)).bind(signed(now_ms));
            let done = query.bind(name).bind(node).bind(signed(to)).execute(&self.writer).await?;
            Ok(done.rows_affected() == 1)
        })
        .await
    }

    /// An attempt failed.
    pub async fn fail_audit_export(&self, (name, node): (&str, &str), error: &str) -> Result<(), DatabaseError> {
        self.within(async {
            let text = "UPDATE audit_exports SET failures = failures + 1, error = $1 WHERE name = $2 AND node = $3";
            sqlx::query(text).bind(error).bind(name).bind(node).execute(&self.writer).await?;
            Ok(())
        })
        .await
    }

    /// The node has the export no more: another may take it at once.
    pub async fn leave_audit_export(&self, name: &str, node: &str) -> Result<(), DatabaseError> {
        self.within(async {
            let text = "UPDATE audit_exports SET until_ms = 0 WHERE name = $1 AND node = $2";
            sqlx::query(text).bind(name).bind(node).execute(&self.writer).await?;
            Ok(())
        })
        .await
    }

    /// All exports that ever were, by name; and the number of the last row of the log.
    pub async fn audit_exports(&self) -> Result<(Vec<ExportRow>, u64), DatabaseError> {
        self.within(async {
            let text = "SELECT name, delivered, delivered_at_ms, missing, failures, error, node, until_ms FROM audit_exports \
                        ORDER BY name";
            let rows = sqlx::query(text).fetch_all(&self.reader).await?;
            let text = "SELECT seq FROM audit_tail WHERE one = 1";
            let last = sqlx::query(text).fetch_one(&self.reader).await?;
            let rows = rows.iter().map(export_row).collect::<Result<_, sqlx::Error>>()?;
            Ok((rows, unsigned(last.try_get(0)?)))
        })
        .await
    }
}

fn export_row(row: &AnyRow) -> Result<ExportRow, sqlx::Error> {
    Ok(ExportRow {
        name: row.try_get(0)?,
        delivered: unsigned(row.try_get(1)?),
        delivered_at_ms: unsigned(row.try_get(2)?),
        missing: unsigned(row.try_get(3)?),
        failures: unsigned(row.try_get(4)?),
        error: row.try_get(5)?,
        node: row.try_get(6)?,
        until_ms: unsigned(row.try_get(7)?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::stub;
    use super::*;
    use crate::types::audit::AuditEvent;

    async fn only(database: &Database) -> ExportRow {
        database.audit_exports().await.unwrap().0.pop().unwrap()
    }

    async fn goes_forward_only_in_the_hands_of_one(database: Database) {
        for at_ms in 0..3 {
            database.add_to_audit(&[(at_ms, AuditEvent::default())]).await.unwrap();
        }
        assert!(database.take_audit_export("siem", "a", 100, 200).await.unwrap());
        let row = only(&database).await;
        assert_eq!((row.delivered, row.node.as_str(), row.until_ms), (0, "a", 200));
        assert!(database.take_audit_export("siem", "a", 150, 250).await.unwrap(), "it keeps it");
        assert!(database.move_audit_export(("siem", "a"), 2, 0, 160).await.unwrap());
        assert!(!database.move_audit_export(("siem", "a"), 1, 0, 170).await.unwrap(), "it never goes back");
        assert!(!database.move_audit_export(("siem", "b"), 3, 0, 170).await.unwrap(), "it is another's");
        database.fail_audit_export(("siem", "b"), "no").await.unwrap();
        assert_eq!(only(&database).await.failures, 0, "who has it not says nothing of it");
        database.fail_audit_export(("siem", "a"), "refused").await.unwrap();
        assert_eq!((only(&database).await.failures, only(&database).await.error.as_str()), (1, "refused"));
        if database.is_shared() {
            assert!(!database.take_audit_export("siem", "b", 250, 300).await.unwrap(), "its time has not passed");
        }
        database.leave_audit_export("siem", "a").await.unwrap();
        assert!(database.take_audit_export("siem", "b", 251, 300).await.unwrap());
        assert!(database.move_audit_export(("siem", "b"), 3, 1, 260).await.unwrap());
        let (rows, last) = database.audit_exports().await.unwrap();
        assert_eq!((last, rows[0].delivered, rows[0].missing, rows[0].failures), (3, 3, 1, 0));
    }

    #[tokio::test]
    async fn an_export_goes_forward_only_in_the_hands_of_one() {
        goes_forward_only_in_the_hands_of_one(Database::in_memory().await.unwrap()).await;
        if let Some(url) = stub::fresh().await {
            goes_forward_only_in_the_hands_of_one(Database::open(&url).await.unwrap()).await;
        }
    }

    #[tokio::test]
    async fn one_that_is_new_begins_with_what_is_there() {
        let database = Database::in_memory().await.unwrap();
        for at_ms in 0..3 {
            database.add_to_audit(&[(at_ms, AuditEvent::default())]).await.unwrap();
        }
        database.tamper("DELETE FROM audit WHERE seq < 3").await;
        assert!(database.take_audit_export("late", "a", 1, 2).await.unwrap());
        assert_eq!(only(&database).await.delivered, 2);
        database.tamper("DELETE FROM audit").await;
        database.tamper("DELETE FROM audit_exports").await;
        assert!(database.take_audit_export("later", "a", 1, 2).await.unwrap());
        assert_eq!(only(&database).await.delivered, 3);
    }
}
