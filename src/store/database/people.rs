//! Tokens of the admin surface, and people and groups as SCIM tells them.
//!
//! Every change counts one number on, by which other processes on the same database see that there was one.

use super::{Database, DatabaseError, signed, unsigned};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

/// A token of the admin surface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRow {
    /// Its id.
    pub id: String,
    /// A keyed digest of it, in hexadecimal digits.
    pub digest: String,
    /// What it is called.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// Its roles, as a JSON list.
    pub roles: String,
    /// Its accounts, as a JSON list; empty: everything.
    pub scope: String,
    /// By which names the one who made it is known, as a JSON list.
    pub identities: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends; zero: never.
    pub expires_ms: u64,
    /// When it was last used; zero: never.
    pub used_ms: u64,
    /// By whose leave it is.
    pub maker: String,
    /// Tells it from rows that others wrote.
    pub stamp: String,
}

/// A person or a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonRow {
    /// Its id.
    pub id: String,
    /// `user` or `group`.
    pub kind: String,
    /// What may be there once of its kind.
    pub unique_name: String,
    /// The resource, as JSON.
    pub resource: String,
    /// Counts its changes.
    pub version: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed.
    pub changed_ms: u64,
    /// Tells it from rows that others wrote.
    pub stamp: String,
}

/// What became of a person or a group that was to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// It is written.
    Done,
    /// Another has its name.
    Taken,
    /// It has been changed since, or is gone.
    Changed,
}

impl Database {
    /// How often tokens, sessions and people were changed.
    pub async fn people_changes(&self) -> Result<u64, DatabaseError> {
        let row = sqlx::query("SELECT number FROM people_changes WHERE id = 1").fetch_one(&self.reader).await?;
        Ok(unsigned(row.try_get(0)?))
    }

    /// All tokens.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, DatabaseError> {
        let text = "SELECT id, digest, name, prefix, roles, scope, identities, created_by, created_ms, expires_ms, used_ms, \
                    maker, stamp FROM admin_tokens";
        let rows = sqlx::query(text).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(token).collect::<Result<_, _>>()?)
    }

    /// Writes a new token.
    pub async fn add_token(&self, token: &TokenRow) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        let text = "INSERT INTO admin_tokens \
                    (id, digest, name, prefix, roles, scope, identities, created_by, maker, stamp, created_ms, expires_ms, used_ms) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let mut query = sqlx::query(text);
        let TokenRow { id, digest, name, prefix, roles, scope, identities, created_by, maker, stamp, .. } = token;
        for one in [id, digest, name, prefix, roles, scope, identities, created_by, maker, stamp] {
            query = query.bind(one.as_str());
        }
        for number in [token.created_ms, token.expires_ms, token.used_ms] {
            query = query.bind(signed(number));
        }
        query.execute(&mut *transaction).await?;
        ended(transaction).await
    }

    /// Takes a token away.
    pub async fn delete_token(&self, id: &str) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        sqlx::query("DELETE FROM admin_tokens WHERE id = $1").bind(id).execute(&mut *transaction).await?;
        ended(transaction).await
    }

    /// Writes when tokens and sessions were last used: ids and digests, each with its time. That is no change.
    pub async fn touch(&self, tokens: &[(String, u64)], sessions: &[(String, u64)]) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        let later = [
            ("UPDATE admin_tokens SET used_ms = $2 WHERE id = $1 AND used_ms < $2", tokens),
            ("UPDATE admin_sessions SET used_ms = $2 WHERE digest = $1 AND used_ms < $2", sessions),
        ];
        for (text, rows) in later {
            for (id, at_ms) in rows {
                sqlx::query(text).bind(id.as_str()).bind(signed(*at_ms)).execute(&mut *transaction).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// All people and groups.
    pub async fn people(&self) -> Result<Vec<PersonRow>, DatabaseError> {
        let text = "SELECT id, kind, unique_name, resource, version, created_ms, changed_ms, stamp FROM people";
        let rows = sqlx::query(text).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(person).collect::<Result<_, _>>()?)
    }

    /// Writes a person or a group: a new one, where `before` is `None`, or the next version of that one.
    pub async fn put_person(&self, person: &PersonRow, before: Option<u64>) -> Result<Put, DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        let query = match before {
            None => sqlx::query(
                "INSERT INTO people (id, kind, unique_name, resource, version, created_ms, changed_ms, stamp) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(person.id.as_str())
            .bind(person.kind.as_str())
            .bind(person.unique_name.as_str())
            .bind(person.resource.as_str())
            .bind(signed(person.version))
            .bind(signed(person.created_ms))
            .bind(signed(person.changed_ms))
            .bind(person.stamp.as_str()),
            Some(before) => sqlx::query(
                "UPDATE people SET unique_name = $2, resource = $3, version = $4, changed_ms = $5, stamp = $7 \
                 WHERE id = $1 AND version = $6",
            )
            .bind(person.id.as_str())
            .bind(person.unique_name.as_str())
            .bind(person.resource.as_str())
            .bind(signed(person.version))
            .bind(signed(person.changed_ms))
            .bind(signed(before))
            .bind(person.stamp.as_str()),
        };
        match query.execute(&mut *transaction).await {
            Ok(done) if done.rows_affected() == 0 => Ok(Put::Changed),
            Ok(_) => ended(transaction).await.map(|()| Put::Done),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(Put::Taken),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a person or a group away.
    pub async fn delete_person(&self, id: &str) -> Result<(), DatabaseError> {
        let mut transaction = self.writer.begin().await?;
        sqlx::query("DELETE FROM people WHERE id = $1").bind(id).execute(&mut *transaction).await?;
        ended(transaction).await
    }
}

/// Counts the change, and ends the transaction.
pub(super) async fn ended(mut transaction: Transaction<'_, Any>) -> Result<(), DatabaseError> {
    let count = sqlx::query("UPDATE people_changes SET number = number + 1 WHERE id = 1");
    count.execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

fn token(row: &AnyRow) -> Result<TokenRow, sqlx::Error> {
    Ok(TokenRow {
        id: row.try_get(0)?,
        digest: row.try_get(1)?,
        name: row.try_get(2)?,
        prefix: row.try_get(3)?,
        roles: row.try_get(4)?,
        scope: row.try_get(5)?,
        identities: row.try_get(6)?,
        created_by: row.try_get(7)?,
        created_ms: unsigned(row.try_get(8)?),
        expires_ms: unsigned(row.try_get(9)?),
        used_ms: unsigned(row.try_get(10)?),
        maker: row.try_get(11)?,
        stamp: row.try_get(12)?,
    })
}

fn person(row: &AnyRow) -> Result<PersonRow, sqlx::Error> {
    Ok(PersonRow {
        id: row.try_get(0)?,
        kind: row.try_get(1)?,
        unique_name: row.try_get(2)?,
        resource: row.try_get(3)?,
        version: unsigned(row.try_get(4)?),
        created_ms: unsigned(row.try_get(5)?),
        changed_ms: unsigned(row.try_get(6)?),
        stamp: row.try_get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The story that every database has to live through.
    async fn lives(url: &str) {
        let first = Database::open(url).await.unwrap();
        let begun = first.people_changes().await.unwrap();
        let token = TokenRow {
            id: "t1".into(),
            digest: "d1".into(),
            name: "ci".into(),
            prefix: "aoa-abcd".into(),
            roles: "[\"viewer\"]".into(),
            scope: String::new(),
            identities: "[]".into(),
            created_by: "admin key".into(),
            created_ms: 1,
            expires_ms: 0,
            used_ms: 0,
            maker: "key".into(),
            stamp: "x".into(),
        };
        first.add_token(&token).await.unwrap();
        assert!(
            first.add_token(&TokenRow { id: "t2".into(), ..token.clone() }).await.is_err(),
            "one digest, one token"
        );
        first.touch(&[("t1".into(), 9)], &[]).await.unwrap();
        first.touch(&[("t1".into(), 3)], &[]).await.unwrap();
        let ada = PersonRow {
            id: "p1".into(),
            kind: "user".into(),
            unique_name: "ada".into(),
            resource: "{}".into(),
            version: 1,
            created_ms: 1,
            changed_ms: 1,
            stamp: "x".into(),
        };
        assert_eq!(first.put_person(&ada, None).await.unwrap(), Put::Done);
        assert_eq!(first.put_person(&PersonRow { id: "p2".into(), ..ada.clone() }, None).await.unwrap(), Put::Taken);
        let next = PersonRow { version: 2, resource: "{\"a\":1}".into(), stamp: "y".into(), ..ada.clone() };
        assert_eq!(first.put_person(&next, Some(1)).await.unwrap(), Put::Done);
        assert_eq!(first.put_person(&next, Some(1)).await.unwrap(), Put::Changed);
        first.close().await;

        let again = Database::open(url).await.unwrap();
        assert_eq!(again.people_changes().await.unwrap(), begun + 3, "what fails or only touches is no change");
        assert_eq!(again.tokens().await.unwrap(), [TokenRow { used_ms: 9, ..token }]);
        assert_eq!(again.people().await.unwrap(), [next]);
        again.delete_token("t1").await.unwrap();
        again.delete_person("p1").await.unwrap();
        assert!(again.tokens().await.unwrap().is_empty() && again.people().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn people_and_tokens_are_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        lives(&format!("sqlite://{}?mode=rwc", dir.path().join("people.db").display())).await;
    }

    /// With `ASKONCE_POSTGRES=postgres://…`, a server.
    #[tokio::test]
    async fn the_same_on_postgresql() {
        if let Some(url) = crate::store::database::stub::fresh().await {
            lives(&url).await;
        }
    }
}
