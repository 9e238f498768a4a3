//! `Database`: what has to be found again exactly: what was used of budgets. SQLite in the data directory, or PostgreSQL by its URL.
//!
//! The SQL is written once, in words that both understand. A change is one transaction, and it is on disk when that has ended. Only these
//! files know the crate `sqlx`.
//!
//! - `audit`: the audit log; `audit_exports`: how far its exports have come
//! - `budgets`: what was used of budgets, and what is granted to which node
//! - `objects`: accounts and virtual keys
//! - `people`: who administers: tokens, people and groups; `sessions`: who is signed in
//! - `data_keys`: the keys of sealed values, wrapped
//! - `usage`: what was used, by the hour; `requests`: requests one by one

mod audit;
mod audit_exports;
mod budgets;
pub(super) mod data_keys;
mod objects;
mod people;
mod requests;
mod sessions;
#[cfg(test)]
mod stub;
mod usage;

pub use audit::AuditQuery;
pub use audit_exports::ExportRow;
pub use budgets::{BudgetState, BudgetWrite, BudgetsWritten, LeaseRow, UsedRow};
pub use objects::{Change, HashRow, ObjectRow};
pub use people::{PersonRow, Put, TokenRow};
pub use requests::{RequestQuery, RequestRow};
pub use sessions::{SessionRow, ToldRow};
pub use usage::{UsageColumn, UsageKey, UsageQuery, UsageSums, UsageTotals};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, ConnectOptions, Connection, Executor};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations");

/// SQLite without a file.
const IN_MEMORY: &str = "sqlite::memory:";
/// Every commit of SQLite is on disk when it has ended; readers do not wait for writers.
const PRAGMAS: [&str; 3] = ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA busy_timeout = 5000"];

/// Where the tables are.
#[derive(Clone, Debug)]
pub struct Database {
    /// For transactions: SQLite has one writer.
    writer: AnyPool,
    /// For looking something up.
    reader: AnyPool,
    /// Other processes may write to it.
    shared: bool,
    /// Nobody waits longer for what requests wait for.
    timeout: Duration,
}

/// How a database is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Connections to PostgreSQL, and connections that read SQLite.
    pub connections: u32,
    /// The longest time for a connection, for a place among the connections, and for a statement.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { connections: 4, timeout: Duration::from_secs(5) }
    }
}

/// Why it cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(String);

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> DatabaseError {
        DatabaseError(error.to_string())
    }
}

/// A connection that is lent. Where it is given back before [`Lent::done`], nobody knows what is still under way on it: it is closed.
struct Lent {
    connection: Option<PoolConnection<Any>>,
    done: bool,
}

impl Lent {
    /// What is lent.
    fn get(&mut self) -> Result<&mut PoolConnection<Any>, DatabaseError> {
        // It is taken when this is dropped, and not before.
        self.connection.as_mut().ok_or_else(|| DatabaseError("its connection is gone".to_owned()))
    }

    /// What was asked for is answered.
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.done {
            // The pool would first wait for what is under way; a server that is gone would never end that.
            drop(self.connection.take().map(PoolConnection::detach));
        }
    }
}

impl Database {
    /// The one in the file at `path`, which is made where there is none, readable by its owner only.
    pub async fn in_file(path: &Path) -> Result<Database, DatabaseError> {
        Database::in_file_with(path, Options::default()).await
    }

    /// The same, spoken to as told.
    pub async fn in_file_with(path: &Path, options: Options) -> Result<Database, DatabaseError> {
        private(path).map_err(|error| DatabaseError(format!("{}: {error}", path.display())))?;
        let path =
            path.to_str().ok_or_else(|| DatabaseError(format!("{}: the path is not Unicode", path.display())))?;
        let escaped: String = path
            .chars()
            .map(|c| if "?#%".contains(c) { format!("%{:02X}", c as u32) } else { c.to_string() })
            .collect();
        Database::open_with(&format!("sqlite://{escaped}?mode=rwc"), options).await
    }

    /// One that is gone with the process.
    pub async fn in_memory() -> Result<Database, DatabaseError> {
        Database::open(IN_MEMORY).await
    }

    /// Lets go of it: what comes later is refused. SQLite's file is whole by itself from then on.
    pub async fn close(&self) {
        let all = async {
            self.writer.close().await;
            self.reader.close().await;
        };
        if tokio::time::timeout(self.timeout, all).await.is_err() {
            tracing::warn!("the database is still in use at the end");
        }
    }

    /// The one at `url`: `postgres://…`, or `sqlite://…`. Its tables are brought up to date; one that a later version has
    /// changed is refused.
    pub async fn open(url: &str) -> Result<Database, DatabaseError> {
        Database::open_with(url, Options::default()).await
    }

    /// The same, spoken to as told.
    pub async fn open_with(url: &str, how: Options) -> Result<Database, DatabaseError> {
        install_default_drivers();
        let sqlite = url.starts_with("sqlite:");
        // An error must not tell the password that is in it.
        let options =
            AnyConnectOptions::from_str(url).map_err(|_| DatabaseError("its URL cannot be read".to_owned()))?;
        let options = options.disable_statement_logging();
        // A pool tries again what fails at once, and then tells that it took too long.
        let first = async {
            let mut first = sqlx::AnyConnection::connect_with(&options).await?;
            for pragma in PRAGMAS.into_iter().filter(|_| sqlite) {
                first.execute(pragma).await?;
            }
            first.close().await
        };
        tokio::time::timeout(how.timeout, first).await.map_err(|_| no_answer(how.timeout))??;
        let each: Vec<String> = match sqlite {
            true => PRAGMAS.map(str::to_owned).into(),
            false => vec![format!("SET statement_timeout = {}", how.timeout.as_millis())],
        };
        let pool = async |connections: u32| {
            let pool = AnyPoolOptions::new().max_connections(connections).acquire_timeout(how.timeout);
            let pool = pool.max_lifetime(None).idle_timeout(None);
            let each = each.clone();
            let pool = pool.after_connect(move |connection, _| {
                let each = each.clone();
                Box::pin(async move {
                    for text in each {
                        connection.execute(sqlx::AssertSqlSafe(text)).await?;
                    }
                    Ok(())
                })
            });
            pool.connect_with(options.clone()).await
        };
        migrate(&options, sqlite).await?;
        let writer = pool(if sqlite { 1 } else { how.connections }).await?;
        if url == IN_MEMORY {
            MIGRATIONS.run(&writer).await.map_err(of_tables)?;
        }
        // What is in memory is there for one connection only.
        let reader = if sqlite && url != IN_MEMORY { pool(how.connections).await? } else { writer.clone() };
        Ok(Database { writer, reader, shared: !sqlite, timeout: how.timeout })
    }

    /// Lends a connection of `pool`.
    async fn lend(&self, pool: &AnyPool) -> Result<Lent, DatabaseError> {
        // SQLite answers as long as its disk does; and what is in memory would be gone with its connection.
        Ok(Lent { connection: Some(pool.acquire().await?), done: !self.shared })
    }

    /// Waits no longer than that.
    async fn within<T>(&self, work: impl Future<Output = Result<T, DatabaseError>>) -> Result<T, DatabaseError> {
        tokio::time::timeout(self.timeout, work).await.map_err(|_| no_answer(self.timeout))?
    }

    /// May other nodes write to it?
    pub fn is_shared(&self) -> bool {
        self.shared
    }
}

/// Brings the tables up to date, by a connection of its own: that may take longer than any statement later on.
async fn migrate(options: &AnyConnectOptions, sqlite: bool) -> Result<(), DatabaseError> {
    let mut connection = sqlx::AnyConnection::connect_with(options).await?;
    for pragma in PRAGMAS.into_iter().filter(|_| sqlite) {
        connection.execute(pragma).await?;
    }
    MIGRATIONS.run(&mut connection).await.map_err(of_tables)?;
    Ok(connection.close().await?)
}

fn of_tables(error: sqlx::migrate::MigrateError) -> DatabaseError {
    use sqlx::migrate::MigrateError::{VersionMismatch, VersionMissing};
    match error {
        VersionMissing(number) | VersionMismatch(number) => DatabaseError(format!(
            "a later version of askonce has changed its tables (change {number}); start that version, or one after it"
        )),
        error => DatabaseError(format!("its tables: {error}")),
    }
}

fn no_answer(timeout: Duration) -> DatabaseError {
    DatabaseError(format!("it did not answer within {} ms (`store.timeout_ms`)", timeout.as_millis()))
}

/// The tables have signed numbers only; nobody spends more than these hold.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Makes the file at `path`, for its owner only, where there is none.
fn private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_readable_by_its_owner_only_and_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a?b#c%d.db");
        let there = Database::in_file(&path).await.unwrap();
        there.join_budgets("node", 5).await.unwrap();
        there.close().await;
        assert!(path.exists());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = Database::in_file(&path).await.unwrap();
        assert!(again.join_budgets("node", 5).await.is_err(), "it is there");
    }

    /// One that a later version has changed.
    async fn refuses_what_is_later(url: &str) {
        let database = Database::open(url).await.unwrap();
        let text = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                    SELECT 999999, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
        sqlx::query(text).execute(&database.writer).await.unwrap();
        database.close().await;
        let error = Database::open(url).await.unwrap_err().to_string();
        assert!(error.contains("a later version of askonce") && error.contains("999999"), "{error}");
    }

    #[tokio::test]
    async fn tables_of_a_later_version_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        refuses_what_is_later(&format!("sqlite://{}?mode=rwc", dir.path().join("x.db").display())).await;
        if let Some(url) = stub::fresh().await {
            refuses_what_is_later(&url).await;
        }
    }

    /// A server that takes connections and says nothing.
    #[tokio::test]
    async fn a_server_that_does_not_answer_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://u:secret@{}/d", listener.local_addr().unwrap());
        let begun = std::time::Instant::now();
        let how = Options { timeout: Duration::from_millis(200), ..Options::default() };
        let error = Database::open_with(&url, how).await.unwrap_err().to_string();
        assert!(error.contains("store.timeout_ms") && !error.contains("secret"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    /// PostgreSQL ends a statement that takes longer.
    #[tokio::test]
    async fn a_statement_that_takes_too_long_is_ended() {
        let Some(url) = stub::fresh().await else { return };
        let how = Options { timeout: Duration::from_millis(300), ..Options::default() };
        let database = Database::open_with(&url, how).await.unwrap();
        let error = sqlx::query("SELECT pg_sleep(20)").execute(&database.writer).await.unwrap_err().to_string();
        assert!(error.contains("statement timeout"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_database_is_refused_without_its_password() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        std::fs::write(&path, "this is no database, and long enough to be read as one".repeat(100)).unwrap();
        let error = Database::in_file(&path).await.unwrap_err().to_string();
        assert!(error.contains("not a database"), "{error}");
        for url in ["mysql://u:secret@h/d", "secret", "postgres://u:secret@127.0.0.1:1/d"] {
            let error = Database::open(url).await.unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
