//! The audit log: rows are added to the end of a chain, and read.

use super::{Database, DatabaseError, signed, unsigned};
use crate::store::audit_chain::{AuditRow, Checkpoint};
use crate::types::audit::AuditEvent;
use sqlx::Row;
use sqlx::any::AnyRow;

/// Which rows are asked for. Empty texts ask for all.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Rows after this one; or before it, the latest first, where `backwards`.
    pub after: u64,
    /// The latest first.
    pub backwards: bool,
    /// From this time on, in milliseconds since 1970.
    pub from_ms: u64,
    /// Before this time.
    pub to_ms: Option<u64>,
    /// Who.
    pub actor: String,
    /// What: `keys.create`.
    pub action: String,
    /// To what.
    pub target: String,
    /// `done`, `refused`, `failed`.
    pub outcome: String,
    /// No more than so many.
    pub most: u64,
}

const COLUMNS: &str =
    "seq, at_ms, actor, action, target, outcome, detail, request_id, address, previous, digest, actor_id";

impl Database {
    /// Adds events to the end of the log, each with its time: all of them, or none. Gives the number and the digest of the last row.
    pub async fn add_to_audit(&self, events: &[(u64, AuditEvent)]) -> Result<(u64, String), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        // Whoever else wants to add waits here.
        sqlx::query("UPDATE audit_tail SET seq = seq WHERE one = 1").execute(&mut *transaction).await?;
        let tail = sqlx::query("SELECT seq, digest FROM audit_tail WHERE one = 1").fetch_one(&mut *transaction).await?;
        let (mut seq, mut digest) = (unsigned(tail.try_get(0)?), tail.try_get::<String, _>(1)?);
        for (at_ms, event) in events {
            seq += 1;
            let row = AuditRow::new(seq, *at_ms, event, &digest);
            let text =
                format!("INSERT INTO audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
            let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(signed(row.seq)).bind(signed(row.at_ms));
            let texts = [
                &row.actor,
                &row.action,
                &row.target,
                &row.outcome,
                &row.detail,
                &row.request_id,
                &row.address,
                &row.previous,
                &row.digest,
                &row.actor_id,
            ];
            let query = texts.into_iter().fold(query, |query, text| query.bind(text.as_str()));
            query.execute(&mut *transaction).await?;
            digest = row.digest;
        }
        let text = "UPDATE audit_tail SET seq = $1, digest = $2 WHERE one = 1";
        sqlx::query(text).bind(signed(seq)).bind(digest.as_str()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok((seq, digest))
    }

    /// Rows of the log.
    pub async fn audit(&self, wanted: &AuditQuery) -> Result<Vec<AuditRow>, DatabaseError> {
        let (sign, order) = if wanted.backwards { ("<", "DESC") } else { (">", "ASC") };
        let after = if wanted.backwards && wanted.after == 0 { i64::MAX } else { signed(wanted.after) };
        let text = format!(
            "SELECT {COLUMNS} FROM audit WHERE seq {sign} $1 AND at_ms >= $2 AND at_ms < $3 \
             AND ($4 = '' OR actor = $5) AND ($6 = '' OR action = $7) AND ($8 = '' OR target = $9) \
             AND ($10 = '' OR outcome = $11) ORDER BY seq {order} LIMIT $12"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(after).bind(signed(wanted.from_ms));
        let mut query = query.bind(wanted.to_ms.map_or(i64::MAX, signed));
        for text in [&wanted.actor, &wanted.action, &wanted.target, &wanted.outcome] {
            query = query.bind(text.as_str()).bind(text.as_str());
        }
        let rows = query.bind(signed(wanted.most)).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(audit_row).collect::<Result<_, sqlx::Error>>()?)
    }

    /// All checkpoints, the first one first.
    pub async fn audit_checkpoints(&self) -> Result<Vec<Checkpoint>, DatabaseError> {
        let text = "SELECT seq, at_ms, digest, is_base, public_key, signature FROM audit_checkpoints ORDER BY seq";
        let rows = sqlx::query(text).fetch_all(&self.reader).await?;
        let checkpoint = |row: &AnyRow| {
            Ok(Checkpoint {
                seq: unsigned(row.try_get(0)?),
                at_ms: unsigned(row.try_get(1)?),
                digest: row.try_get(2)?,
                is_base: row.try_get::<i64, _>(3)? != 0,
                public_key: row.try_get(4)?,
                signature: row.try_get(5)?,
            })
        };
        Ok(rows.iter().map(checkpoint).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Keeps a checkpoint. What a base stands for goes: all rows up to it, and the checkpoints before it.
    pub async fn keep_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), DatabaseError> {
        let Checkpoint { seq, at_ms, digest, is_base, public_key, signature } = checkpoint;
        let mut transaction = self.writer.begin().await?;
        let text = "INSERT INTO audit_checkpoints (seq, at_ms, digest, is_base, public_key, signature) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (seq) DO UPDATE SET at_ms = excluded.at_ms, \
                    digest = excluded.digest, is_base = excluded.is_base, public_key = excluded.public_key, signature = excluded.signature";
        let query = sqlx::query(text).bind(signed(*seq)).bind(signed(*at_ms)).bind(digest.as_str());
        let query = query.bind(i64::from(*is_base)).bind(public_key.as_str()).bind(signature.as_str());
        query.execute(&mut *transaction).await?;
        if *is_base {
            for text in ["DELETE FROM audit WHERE seq <= $1", "DELETE FROM audit_checkpoints WHERE seq < $1"] {
                sqlx::query(text).bind(signed(*seq)).execute(&mut *transaction).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Is there any row?
    pub async fn audit_has_rows(&self) -> Result<bool, DatabaseError> {
        let row = sqlx::query("SELECT seq FROM audit LIMIT 1").fetch_optional(&self.reader).await?;
        Ok(row.is_some())
    }

    /// Changes the tables as somebody would who has the database.
    #[cfg(test)]
    pub async fn tamper(&self, text: &'static str) {
        sqlx::query(text).execute(&self.writer).await.unwrap();
    }

    /// The last row that is older than that time: its number and digest.
    pub async fn audit_before(&self, at_ms: u64) -> Result<Option<(u64, String)>, DatabaseError> {
        // All rows before the first one that is young enough: one row that says it is old takes nothing with it.
        let text = "SELECT seq, digest FROM audit WHERE seq < COALESCE((SELECT MIN(seq) FROM audit WHERE at_ms >= $1), \
                    9223372036854775807) ORDER BY seq DESC LIMIT 1";
        let row = sqlx::query(text).bind(signed(at_ms)).fetch_optional(&self.reader).await?;
        let read = |row: AnyRow| Ok((unsigned(row.try_get(0)?), row.try_get(1)?));
        Ok(row.map(read).transpose().map_err(|error: sqlx::Error| error)?)
    }
}

fn audit_row(row: &AnyRow) -> Result<AuditRow, sqlx::Error> {
    Ok(AuditRow {
        seq: unsigned(row.try_get(0)?),
        at_ms: unsigned(row.try_get(1)?),
        actor: row.try_get(2)?,
        action: row.try_get(3)?,
        target: row.try_get(4)?,
        outcome: row.try_get(5)?,
        detail: row.try_get(6)?,
        request_id: row.try_get(7)?,
        address: row.try_get(8)?,
        previous: row.try_get(9)?,
        digest: row.try_get(10)?,
        actor_id: row.try_get(11)?,
    })
}
