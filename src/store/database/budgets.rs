//! What was used of budgets, and what may have been.

use super::{Database, DatabaseError, signed, unsigned};
use sqlx::Row;

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

/// What may have been used of a budget beside what is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoverRow {
    /// The budget's number, in hexadecimal digits.
    pub meter: String,
    /// Micro-dollars.
    pub amount: u64,
}

impl Database {
    /// All that was used of budgets, and what may have been used beside that.
    pub async fn budgets(&self) -> Result<(Vec<UsedRow>, Vec<CoverRow>), DatabaseError> {
        let used = sqlx::query("SELECT meter, at_ms, amount FROM budget_used").fetch_all(&self.reader).await?;
        let cover =
            sqlx::query("SELECT meter, amount FROM budget_cover WHERE amount > 0").fetch_all(&self.reader).await?;
        let used = used.iter().map(|row| {
            Ok(UsedRow { meter: row.try_get(0)?, at_ms: unsigned(row.try_get(1)?), amount: unsigned(row.try_get(2)?) })
        });
        let cover = cover.iter().map(|row| Ok(CoverRow { meter: row.try_get(0)?, amount: unsigned(row.try_get(1)?) }));
        let used = used.collect::<Result<_, sqlx::Error>>()?;
        Ok((used, cover.collect::<Result<_, sqlx::Error>>()?))
    }

    /// Adds to what was used, and sets what may be used beside that: all of it, or nothing.
    pub async fn add_to_budgets(&self, used: &[UsedRow], cover: &[CoverRow]) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        for UsedRow { meter, at_ms, amount } in used {
            let text = "INSERT INTO budget_used (meter, at_ms, amount) VALUES ($1, $2, $3) \
                        ON CONFLICT (meter, at_ms) DO UPDATE SET amount = budget_used.amount + excluded.amount";
            let row = sqlx::query(text).bind(meter.as_str()).bind(signed(*at_ms)).bind(signed(*amount));
            row.execute(&mut *transaction).await?;
        }
        for CoverRow { meter, amount } in cover {
            let text = "INSERT INTO budget_cover (meter, amount) VALUES ($1, $2) \
                        ON CONFLICT (meter) DO UPDATE SET amount = excluded.amount";
            sqlx::query(text).bind(meter.as_str()).bind(signed(*amount)).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}
