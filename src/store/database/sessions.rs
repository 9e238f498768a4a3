//! People who are signed in, and what an identity provider last told of them.

use super::people::ended;
use super::{Database, DatabaseError, signed, unsigned};
use sqlx::Row;
use sqlx::any::AnyRow;

/// Somebody who is signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRow {
    /// A keyed digest of the cookie, in hexadecimal digits.
    pub digest: String,
    /// Who it is.
    pub name: String,
    /// By which names they are known, as a JSON list.
    pub identities: String,
    /// Their groups, as a JSON list.
    pub groups: String,
    /// When they signed in, in milliseconds since 1970.
    pub created_ms: u64,
    /// When the session was last used.
    pub used_ms: u64,
    /// When the identity provider last told of them.
    pub told_ms: u64,
    /// What it gave, sealed; empty where nothing is sealed.
    pub kept: String,
    /// Tells it from rows that others wrote.
    pub stamp: String,
}

/// What an identity provider last told of somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToldRow {
    /// Who it is.
    pub person: String,
    /// By which names they are known, as a JSON list.
    pub identities: String,
    /// Their groups, as a JSON list.
    pub groups: String,
    /// When that was, in milliseconds since 1970.
    pub told_ms: u64,
    /// Tells it from rows that others wrote.
    pub stamp: String,
}

const SESSION: &str =
    "SELECT digest, name, identities, member_of, created_ms, used_ms, told_ms, kept, stamp FROM admin_sessions";

impl Database {
    /// All sessions.
    pub async fn sessions(&self) -> Result<Vec<SessionRow>, DatabaseError> {
        let rows = sqlx::query(SESSION).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(session).collect::<Result<_, _>>()?)
    }

    /// The session of that digest.
    pub async fn session(&self, digest: &str) -> Result<Option<SessionRow>, DatabaseError> {
        let text = format!("{SESSION} WHERE digest = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).bind(digest).fetch_optional(&self.writer).await?;
        Ok(row.as_ref().map(session).transpose()?)
    }

    /// Writes a new session.
    pub async fn add_session(&self, session: &SessionRow) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        let text = "INSERT INTO admin_sessions \
                    (digest, name, identities, member_of, kept, stamp, created_ms, used_ms, told_ms) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let mut query = sqlx::query(text);
        let SessionRow { digest, name, identities, groups, kept, stamp, .. } = session;
        for one in [digest, name, identities, groups, kept, stamp] {
            query = query.bind(one.as_str());
        }
        for number in [session.created_ms, session.used_ms, session.told_ms] {
            query = query.bind(signed(number));
        }
        query.execute(&mut *transaction).await?;
        ended(transaction).await
    }

    /// Writes what was told anew of a session, and lets others ask again. False: there is none any more.
    pub async fn renew_session(&self, session: &SessionRow) -> Result<bool, DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        let text = "UPDATE admin_sessions SET member_of = $2, kept = $3, stamp = $4, told_ms = $5, renewing_ms = 0 \
                    WHERE digest = $1";
        let mut query = sqlx::query(text);
        for one in [&session.digest, &session.groups, &session.kept, &session.stamp] {
            query = query.bind(one.as_str());
        }
        let done = query.bind(signed(session.told_ms)).execute(&mut *transaction).await?;
        ended(transaction).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps others from asking the identity provider about a session, until `until_ms`. False: somebody else does, or there is none.
    pub async fn claim_session(&self, digest: &str, now_ms: u64, until_ms: u64) -> Result<bool, DatabaseError> {
        let text = "UPDATE admin_sessions SET renewing_ms = $3 WHERE digest = $1 AND renewing_ms <= $2";
        let query = sqlx::query(text).bind(digest).bind(signed(now_ms)).bind(signed(until_ms));
        Ok(query.execute(&self.writer).await?.rows_affected() > 0)
    }

    /// Takes sessions away, by their digests.
    pub async fn delete_sessions(&self, digests: &[String]) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        for digest in digests {
            let query = sqlx::query("DELETE FROM admin_sessions WHERE digest = $1").bind(digest.as_str());
            query.execute(&mut *transaction).await?;
        }
        ended(transaction).await
    }

    /// What was last told of everybody.
    pub async fn told(&self) -> Result<Vec<ToldRow>, DatabaseError> {
        let text = "SELECT person, identities, member_of, told_ms, stamp FROM people_told";
        let rows = sqlx::query(text).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(told).collect::<Result<_, _>>()?)
    }

    /// Writes what was last told of somebody.
    pub async fn put_told(&self, row: &ToldRow) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        let text = "INSERT INTO people_told (person, identities, member_of, stamp, told_ms) VALUES ($1, $2, $3, $4, $5) \
                    ON CONFLICT (person) DO UPDATE SET identities = excluded.identities, \
                    member_of = excluded.member_of, stamp = excluded.stamp, told_ms = excluded.told_ms";
        let mut query = sqlx::query(text);
        for one in [&row.person, &row.identities, &row.groups, &row.stamp] {
            query = query.bind(one.as_str());
        }
        query.bind(signed(row.told_ms)).execute(&mut *transaction).await?;
        ended(transaction).await
    }

    /// Forgets what was told of these.
    pub async fn forget_told(&self, people: &[String]) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        for person in people {
            let query = sqlx::query("DELETE FROM people_told WHERE person = $1").bind(person.as_str());
            query.execute(&mut *transaction).await?;
        }
        ended(transaction).await
    }
}

fn session(row: &AnyRow) -> Result<SessionRow, sqlx::Error> {
    Ok(SessionRow {
        digest: row.try_get(0)?,
        name: row.try_get(1)?,
        identities: row.try_get(2)?,
        groups: row.try_get(3)?,
        created_ms: unsigned(row.try_get(4)?),
        used_ms: unsigned(row.try_get(5)?),
        told_ms: unsigned(row.try_get(6)?),
        kept: row.try_get(7)?,
        stamp: row.try_get(8)?,
    })
}

fn told(row: &AnyRow) -> Result<ToldRow, sqlx::Error> {
    Ok(ToldRow {
        person: row.try_get(0)?,
        identities: row.try_get(1)?,
        groups: row.try_get(2)?,
        told_ms: unsigned(row.try_get(3)?),
        stamp: row.try_get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The story that every database has to live through.
    async fn lives(url: &str) {
        let first = Database::open(url).await.unwrap();
        let ada = SessionRow {
            digest: "s1".into(),
            name: "ada".into(),
            identities: "[]".into(),
            groups: "[\"ops\"]".into(),
            created_ms: 5,
            used_ms: 5,
            told_ms: 5,
            kept: "sealed".into(),
            stamp: "stamp".into(),
        };
        first.add_session(&ada).await.unwrap();
        assert!(first.add_session(&ada).await.is_err(), "one digest, one session");
        assert!(first.claim_session("s1", 10, 20).await.unwrap());
        assert!(!first.claim_session("s1", 19, 30).await.unwrap(), "one at a time");
        assert!(first.claim_session("s1", 20, 30).await.unwrap(), "who does not come back holds nobody up");
        let renewed = SessionRow { groups: "[]".into(), kept: "anew".into(), told_ms: 9, ..ada };
        assert!(first.renew_session(&renewed).await.unwrap());
        assert!(first.claim_session("s1", 21, 22).await.unwrap(), "it is over when it was renewed");
        let gone = SessionRow { digest: "s2".into(), ..renewed.clone() };
        assert!(!first.renew_session(&gone).await.unwrap() && !first.claim_session("s2", 1, 2).await.unwrap());
        first.touch(&[], &[("s1".into(), 8)]).await.unwrap();
        let told = ToldRow {
            person: "id:u1".into(),
            identities: "[\"id:u1\"]".into(),
            groups: "[]".into(),
            told_ms: 5,
            stamp: "x".into(),
        };
        first.put_told(&told).await.unwrap();
        let anew = ToldRow { groups: "[\"ops\"]".into(), told_ms: 6, ..told };
        first.put_told(&anew).await.unwrap();
        first.close().await;

        let again = Database::open(url).await.unwrap();
        let found = SessionRow { used_ms: 8, ..renewed };
        assert_eq!(again.sessions().await.unwrap(), [found.clone()]);
        assert_eq!((again.session("s1").await.unwrap(), again.session("s2").await.unwrap()), (Some(found), None));
        assert_eq!(again.told().await.unwrap(), [anew]);
        again.delete_sessions(&["s1".into(), "none".into()]).await.unwrap();
        again.forget_told(&["id:u1".into(), "none".into()]).await.unwrap();
        assert!(again.sessions().await.unwrap().is_empty() && again.told().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn sessions_are_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        lives(&format!("sqlite://{}?mode=rwc", dir.path().join("sessions.db").display())).await;
    }

    /// With `ASKONCE_POSTGRES=postgres://…`, a server.
    #[tokio::test]
    async fn the_same_on_postgresql() {
        if let Some(url) = crate::store::database::stub::fresh().await {
            lives(&url).await;
        }
    }
}
