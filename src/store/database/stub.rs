//! A database of PostgreSQL for each test, where `ASKONCE_POSTGRES` names a server.

use sqlx::Connection;
use sqlx::any::install_default_drivers;
use std::sync::atomic::{AtomicU64, Ordering};

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The URL of an empty database; `None`, and a word, where no server is named.
pub(super) async fn fresh() -> Option<String> {
    let Ok(server) = std::env::var("ASKONCE_POSTGRES") else {
        eprintln!("skipped: ASKONCE_POSTGRES names no server of PostgreSQL");
        return None;
    };
    install_default_drivers();
    let name = format!("askonce_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut connection = sqlx::AnyConnection::connect(&server).await.unwrap();
    for text in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let (address, _) = server.rsplit_once('/').unwrap();
    Some(format!("{address}/{name}"))
}
