//! What was made at the admin surface: accounts, virtual keys and the hashes of these; providers, models and prices.

use super::{Database, DatabaseError, signed, unsigned};
use sqlx::any::AnyRow;
use sqlx::{Any, Connection, Row, Transaction};

/// One object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectRow {
    /// `account`, `key`, `provider`, `model` or `price`.
    pub kind: String,
    /// Unique among those of its kind.
    pub name: String,
    /// Unique, and never used again.
    pub id: String,
    /// The JSON that was sent, perhaps sealed; empty where it was taken away.
    pub body: String,
    /// What may be shown of a key's secret.
    pub hint: String,
    /// How often it was changed.
    pub version: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was changed.
    pub changed_ms: u64,
    /// The number of its latest change among all changes.
    pub revision: u64,
}

/// The hash of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashRow {
    /// In hexadecimal digits.
    pub hash: String,
    /// The name of the key.
    pub name: String,
    /// It is good until then, in milliseconds since 1970; `None`: for ever.
    pub until_ms: Option<u64>,
}

const COLUMNS: &str = "kind, name, id, body, hint, version, created_ms, changed_ms, revision";

/// A change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// As it is from then on; its revision is given to it.
    pub row: ObjectRow,
    /// The version that it has to have; `None`: it must not be there.
    pub before: Option<u64>,
    /// Hashes of a key that are new, and those that are good until another time.
    pub hashes: Vec<HashRow>,
    /// All other hashes of the key go.
    pub only_these: bool,
}

impl Database {
    /// All objects of which something changed after that revision; those that were taken away among them.
    pub async fn objects_after(&self, revision: u64) -> Result<Vec<ObjectRow>, DatabaseError> {
        let text = format!("SELECT {COLUMNS} FROM objects WHERE revision > $1 ORDER BY revision");
        let work = async {
            let mut held = self.lend(&self.reader).await?;
            let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(signed(revision));
            let rows = query.fetch_all(&mut **held.get()?).await?;
            held.done();
            Ok(rows.iter().map(object).collect::<Result<_, sqlx::Error>>()?)
        };
        self.within(work).await
    }

    /// Objects of a kind whose names come after `after`, in order, and no more than so many.
    pub async fn objects(&self, kind: &str, after: &str, most: u64) -> Result<Vec<ObjectRow>, DatabaseError> {
        let text = format!(
            "SELECT {COLUMNS} FROM objects WHERE kind = $1 AND name > $2 AND body <> '' ORDER BY name LIMIT $3"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(kind).bind(after).bind(signed(most));
        let rows = query.fetch_all(&self.reader).await?;
        Ok(rows.iter().map(object).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The object of that kind and name, if it is there.
    pub async fn object(&self, kind: &str, name: &str) -> Result<Option<ObjectRow>, DatabaseError> {
        let text = format!("SELECT {COLUMNS} FROM objects WHERE kind = $1 AND name = $2 AND body <> ''");
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(kind).bind(name);
        let row = query.fetch_optional(&self.reader).await?;
        Ok(row.as_ref().map(object).transpose()?)
    }

    /// Hashes of all keys; or of the key `name`.
    pub async fn hashes(&self, name: Option<&str>) -> Result<Vec<HashRow>, DatabaseError> {
        let text = "SELECT hash, name, until_ms FROM key_hashes WHERE $1 = '' OR name = $2";
        let name = name.unwrap_or_default();
        let work = async {
            let mut held = self.lend(&self.reader).await?;
            let rows = sqlx::query(text).bind(name).bind(name).fetch_all(&mut **held.get()?).await?;
            held.done();
            Ok(rows)
        };
        let rows = self.within(work).await?;
        let hash = |row: &AnyRow| {
            let until_ms = unsigned(row.try_get(2)?);
            Ok(HashRow { hash: row.try_get(0)?, name: row.try_get(1)?, until_ms: (until_ms > 0).then_some(until_ms) })
        };
        Ok(rows.iter().map(hash).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Makes a change, as a whole. False if the object is not as it has to be: somebody else was faster.
    pub async fn change(&self, change: &Change) -> Result<bool, DatabaseError> {
        self.changes(std::slice::from_ref(change)).await.map(|refused| refused.is_none())
    }

    /// Makes all changes or none. Gives the place of the first whose object is not as it has to be.
    pub async fn changes(&self, changes: &[Change]) -> Result<Option<usize>, DatabaseError> {
        self.within(self.make(changes)).await
    }

    async fn make(&self, changes: &[Change]) -> Result<Option<usize>, DatabaseError> {
        let mut held = self.lend(&self.writer).await?;
        let mut transaction = held.get()?.begin().await?;
        sqlx::query("UPDATE revisions SET latest = latest + 1 WHERE one = 1").execute(&mut *transaction).await?;
        let latest = sqlx::query("SELECT latest FROM revisions WHERE one = 1").fetch_one(&mut *transaction).await?;
        let revision: i64 = latest.try_get(0)?;
        for (at, change) in changes.iter().enumerate() {
            if !put(&mut transaction, change, revision).await? {
                transaction.rollback().await?;
                held.done();
                return Ok(Some(at));
            }
            put_hashes(&mut transaction, change).await?;
        }
        transaction.commit().await?;
        held.done();
        Ok(None)
    }
}

async fn put_hashes(transaction: &mut Transaction<'_, Any>, change: &Change) -> Result<(), DatabaseError> {
    // An account may have the name of a key.
    if change.only_these && change.row.kind == "key" {
        let text = "DELETE FROM key_hashes WHERE name = $1";
        sqlx::query(text).bind(change.row.name.as_str()).execute(&mut **transaction).await?;
    }
    for HashRow { hash, name, until_ms } in &change.hashes {
        let text = "INSERT INTO key_hashes (hash, name, until_ms) VALUES ($1, $2, $3) \
                    ON CONFLICT (hash) DO UPDATE SET until_ms = excluded.until_ms";
        let until = signed(until_ms.unwrap_or(0));
        sqlx::query(text).bind(hash.as_str()).bind(name.as_str()).bind(until).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Writes the row, if it is as it has to be.
async fn put(transaction: &mut Transaction<'_, Any>, change: &Change, revision: i64) -> Result<bool, DatabaseError> {
    let row = &change.row;
    let done = match change.before {
        Some(before) => {
            let text = "UPDATE objects SET id = $1, body = $2, hint = $3, version = $4, changed_ms = $5, revision = $6 \
                        WHERE kind = $7 AND name = $8 AND version = $9 AND body <> ''";
            let query = sqlx::query(text).bind(row.id.as_str()).bind(row.body.as_str()).bind(row.hint.as_str());
            let query = query.bind(signed(row.version)).bind(signed(row.changed_ms)).bind(revision);
            query
                .bind(row.kind.as_str())
                .bind(row.name.as_str())
                .bind(signed(before))
                .execute(&mut **transaction)
                .await?
        }
        None => {
            // What was taken away may be made again.
            let text = "INSERT INTO objects (kind, name, id, body, hint, version, created_ms, changed_ms, revision) \
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (kind, name) DO UPDATE SET \
                        id = excluded.id, body = excluded.body, hint = excluded.hint, version = excluded.version, \
                        created_ms = excluded.created_ms, changed_ms = excluded.changed_ms, \
                        revision = excluded.revision WHERE objects.body = ''";
            let query = sqlx::query(text).bind(row.kind.as_str()).bind(row.name.as_str()).bind(row.id.as_str());
            let query = query.bind(row.body.as_str()).bind(row.hint.as_str()).bind(signed(row.version));
            let query = query.bind(signed(row.created_ms)).bind(signed(row.changed_ms)).bind(revision);
            query.execute(&mut **transaction).await?
        }
    };
    Ok(done.rows_affected() == 1)
}

fn object(row: &AnyRow) -> Result<ObjectRow, sqlx::Error> {
    Ok(ObjectRow {
        kind: row.try_get(0)?,
        name: row.try_get(1)?,
        id: row.try_get(2)?,
        body: row.try_get(3)?,
        hint: row.try_get(4)?,
        version: unsigned(row.try_get(5)?),
        created_ms: unsigned(row.try_get(6)?),
        changed_ms: unsigned(row.try_get(7)?),
        revision: unsigned(row.try_get(8)?),
    })
}
