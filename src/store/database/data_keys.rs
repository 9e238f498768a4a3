//! The data keys of sealed values, wrapped.

use super::{Database, DatabaseError, signed, unsigned};
use sqlx::Row;
use sqlx::any::AnyRow;

/// A data key as it lies in the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataKeyRow {
    /// Unique, in hexadecimal digits.
    pub id: String,
    /// The id of the master key that it is wrapped by.
    pub master: String,
    /// It, sealed by the master key, in hexadecimal digits.
    pub wrapped: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl Database {
    /// All data keys, the oldest first.
    pub async fn data_keys(&self) -> Result<Vec<DataKeyRow>, DatabaseError> {
        let text = "SELECT id, master, wrapped, created_ms FROM data_keys ORDER BY created_ms, id";
        let rows = sqlx::query(text).fetch_all(&self.reader).await?;
        let row = |row: &AnyRow| {
            let created_ms = unsigned(row.try_get(3)?);
            Ok(DataKeyRow { id: row.try_get(0)?, master: row.try_get(1)?, wrapped: row.try_get(2)?, created_ms })
        };
        Ok(rows.iter().map(row).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Adds `first`, if there is no data key yet. Of two nodes that do so at a time one has its way.
    pub async fn add_first_data_key(&self, first: &DataKeyRow) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        // One row for all nodes to write to first: so they come one after the other.
        sqlx::query("UPDATE revisions SET latest = latest WHERE one = 1").execute(&mut *transaction).await?;
        let text = "INSERT INTO data_keys (id, master, wrapped, created_ms) \
                    SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM data_keys)";
        let query = sqlx::query(text).bind(&first.id).bind(&first.master).bind(&first.wrapped);
        query.bind(signed(first.created_ms)).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Puts data keys that were wrapped anew in the place of what they were, where nobody else did so meanwhile.
    pub async fn rewrap_data_keys(&self, rows: &[(DataKeyRow, DataKeyRow)]) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        for (before, after) in rows {
            let text = "UPDATE data_keys SET master = $1, wrapped = $2 WHERE id = $3 AND wrapped = $4";
            let query = sqlx::query(text).bind(&after.master).bind(&after.wrapped).bind(&before.id);
            query.bind(&before.wrapped).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}
