//! Which database stories run on. With `ASKONCE_TEST_STORE=postgres` it is PostgreSQL, at the server that `ASKONCE_POSTGRES` names: each
//! gateway gets a database of its own, and one that is started again on the same folder the same one.

use sqlx::{Connection, Executor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

static NUMBER: AtomicU64 = AtomicU64::new(0);
static OF_DIRS: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Mutex::default);

/// Do stories run on PostgreSQL?
pub fn is_postgres() -> bool {
    std::env::var("ASKONCE_TEST_STORE").is_ok_and(|store| store == "postgres")
}

/// Says so, where a story is about PostgreSQL and does not run on it.
pub fn is_not_postgres() -> bool {
    if !is_postgres() {
        eprintln!("skipped: ASKONCE_TEST_STORE is not `postgres`");
    }
    !is_postgres()
}

/// The end of a configuration: the database of the gateway in that folder, where it is not the folder's own.
pub fn yaml(dir: Option<&Path>) -> String {
    if !is_postgres() {
        return String::new();
    }
    let url = match dir {
        Some(dir) => OF_DIRS.lock().unwrap().entry(dir.to_owned()).or_insert_with(made).clone(),
        None => made(),
    };
    format!("\nstore: {{url: \"{url}\", hashing_key: {}}}\n", "ab".repeat(32))
}

/// The same, where secrets are kept in it: PostgreSQL needs a key for that.
pub fn sealed(dir: &Path) -> String {
    yaml(Some(dir)).replace("hashing_key:", &format!("encryption_key: {}, hashing_key:", "cd".repeat(32)))
}

/// The database of the gateway in that folder: its URL, or its file.
pub fn of(dir: &Path) -> String {
    match is_postgres() {
        true => OF_DIRS.lock().unwrap()[dir].clone(),
        false => dir.join("askonce.db").to_str().unwrap().to_owned(),
    }
}

/// The folder `new` is a copy of `old`, and its gateway has the same database.
pub fn copied(old: &Path, new: &Path) {
    let mut all = OF_DIRS.lock().unwrap();
    if let Some(url) = all.get(old).cloned() {
        all.insert(new.to_owned(), url);
    }
}

/// Does no gateway use that folder's database any more?
pub async fn is_let_go(dir: &Path) -> bool {
    if !is_postgres() {
        // That changes only where nobody else has it open.
        let mut connection = sqlx::SqliteConnection::connect(&of(dir)).await.unwrap();
        let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await;
        connection.close().await.unwrap();
        return mode.is_ok_and(|mode| mode == "delete");
    }
    let mut connection = sqlx::PgConnection::connect(&of(dir)).await.unwrap();
    let text = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()";
    let all: i64 = sqlx::query_scalar(text).fetch_one(&mut connection).await.unwrap();
    all == 1
}

/// Edits that folder's database as somebody would who has it.
pub async fn edit(dir: &Path, sql: &str) {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    if is_postgres() {
        let mut connection = sqlx::PgConnection::connect(&of(dir)).await.unwrap();
        connection.execute(sqlx::raw_sql(sql)).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = sqlx::SqliteConnection::connect(&of(dir)).await.unwrap();
        connection.execute(sqlx::raw_sql(sql)).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// An empty database, by its URL.
pub fn made() -> String {
    let server = std::env::var("ASKONCE_POSTGRES").expect("ASKONCE_POSTGRES names a server of PostgreSQL");
    let name = format!("story_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let (address, _) = server.rsplit_once('/').expect("a database in the URL");
    let url = format!("{address}/{name}");
    // A story's own runtime may be the one that calls.
    let making = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
            connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
            connection.close().await.unwrap();
        });
    });
    making.join().unwrap();
    url
}
