//! `Database`: what has to be found again exactly: what was used of budgets. SQLite in the data directory, or PostgreSQL by its URL.
//!
//! The SQL is written once, in words that both understand. A change is one transaction, and it is on disk when that has ended. Only these
//! files know the crate `sqlx`.
//!
//! - `audit`: the audit log
//! - `budgets`: what was used of budgets, and what may have been
//! - `objects`: accounts and virtual keys
//! - `people`: who administers: tokens, people and groups; `sessions`: who is signed in
//! - `data_keys`: the keys of sealed values, wrapped
//! - `usage`: what was used, by the hour; `requests`: requests one by one

mod audit;
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
pub use budgets::{CoverRow, UsedRow};
pub use objects::{Change, HashRow, ObjectRow};
pub use people::{PersonRow, Put, TokenRow};
pub use requests::{RequestQuery, RequestRow};
pub use sessions::{SessionRow, ToldRow};
pub use usage::{UsageColumn, UsageKey, UsageQuery, UsageSums, UsageTotals};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{AnyPool, ConnectOptions, Connection, Executor};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations");

/// Connections to PostgreSQL, and connections that read SQLite.
const CONNECTIONS: u32 = 4;
/// SQLite without a file.
const IN_MEMORY: &str = "sqlite::memory:";
/// Nobody waits longer for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
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

impl Database {
    /// The one in the file at `path`, which is made where there is none, readable by its owner only.
    pub async fn in_file(path: &Path) -> Result<Database, DatabaseError> {
        private(path).map_err(|error| DatabaseError(format!("{}: {error}", path.display())))?;
        let path =
            path.to_str().ok_or_else(|| DatabaseError(format!("{}: the path is not Unicode", path.display())))?;
        let escaped: String = path
            .chars()
            .map(|c| if "?#%".contains(c) { format!("%{:02X}", c as u32) } else { c.to_string() })
            .collect();
        Database::open(&format!("sqlite://{escaped}?mode=rwc")).await
    }

    /// One that is gone with the process.
    pub async fn in_memory() -> Result<Database, DatabaseError> {
        Database::open(IN_MEMORY).await
    }

    /// The one at `url`: `postgres://…`, or `sqlite://…`. Its tables are brought up to date; one that a later version has
    /// changed is refused.
    pub async fn open(url: &str) -> Result<Database, DatabaseError> {
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
        tokio::time::timeout(PATIENCE, first).await.map_err(|_| no_answer())??;
        let pool = async |connections: u32| {
            let pool = AnyPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
            let pool = pool.max_lifetime(None).idle_timeout(None);
            let pool = pool.after_connect(move |connection, _| {
                Box::pin(async move {
                    for pragma in PRAGMAS.into_iter().filter(|_| sqlite) {
                        connection.execute(pragma).await?;
                    }
                    Ok(())
                })
            });
            pool.connect_with(options.clone()).await
        };
        let writer = pool(if sqlite { 1 } else { CONNECTIONS }).await?;
        MIGRATIONS.run(&writer).await.map_err(of_tables)?;
        // What is in memory is there for one connection only.
        let reader = if sqlite && url != IN_MEMORY { pool(CONNECTIONS).await? } else { writer.clone() };
        Ok(Database { writer, reader, shared: !sqlite })
    }

    /// May other nodes write to it?
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

fn no_answer() -> DatabaseError {
    DatabaseError(format!("it did not answer within {} s", PATIENCE.as_secs()))
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

    fn used(meter: &str, at_ms: u64, amount: u64) -> UsedRow {
        UsedRow { meter: meter.to_owned(), at_ms, amount }
    }

    /// The story that every database has to live through.
    async fn adds_up(url: &str) {
        let first = Database::open(url).await.unwrap();
        let cover = |amount: u64| [CoverRow { meter: "a".to_owned(), amount }];
        first.add_to_budgets(&[used("a", 1, 5), used("a", 2, 7), used("b", 1, 1)], &cover(100)).await.unwrap();
        first.add_to_budgets(&[used("a", 1, 5)], &cover(40)).await.unwrap();
        first.close().await;
        let again = Database::open(url).await.unwrap();
        let (mut all, beside) = again.budgets().await.unwrap();
        all.sort_by(|one, other| (&one.meter, one.at_ms).cmp(&(&other.meter, other.at_ms)));
        assert_eq!(all, [used("a", 1, 10), used("a", 2, 7), used("b", 1, 1)]);
        assert_eq!(beside, cover(40));
        again.add_to_budgets(&[], &cover(0)).await.unwrap();
        assert_eq!(again.budgets().await.unwrap().1, []);
    }

    #[tokio::test]
    async fn what_is_added_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a?b#c%d.db");
        let there = Database::in_file(&path).await.unwrap();
        there.add_to_budgets(&[used("a", 1, 5)], &[]).await.unwrap();
        there.close().await;
        assert!(path.exists());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(Database::in_file(&path).await.unwrap().budgets().await.unwrap().0, [used("a", 1, 5)]);
        adds_up(&format!("sqlite://{}?mode=rwc", dir.path().join("plain.db").display())).await;
    }

    /// With `ASKONCE_POSTGRES=postgres://…`, a server.
    #[tokio::test]
    async fn the_same_on_postgresql() {
        if let Some(url) = stub::fresh().await {
            adds_up(&url).await;
        }
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
    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://u:secret@{}/d", listener.local_addr().unwrap());
        let error = Database::open(&url).await.unwrap_err().to_string();
        assert!(error.contains("did not answer") && !error.contains("secret"), "{error}");
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
