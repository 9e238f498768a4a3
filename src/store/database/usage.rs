//! What was used, by the hour: added to, summed up, and forgotten in time.

use super::{Database, DatabaseError, signed, unsigned};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row};
use std::sync::Arc;

/// What a row of usage is told by. All but the hour may be empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct UsageKey {
    /// The first millisecond of the hour, since 1970.
    pub hour_ms: u64,
    /// The name of the caller's key.
    pub key: String,
    /// The account nearest to the key.
    pub account: String,
    /// The team above the key.
    pub team: String,
    /// The customer above it.
    pub customer: String,
    /// The organisation above it.
    pub organisation: String,
    /// The model, as callers name it.
    pub model: String,
    /// Who answered.
    pub provider: String,
    /// How the cache took part.
    pub cache: String,
    /// Empty: all requests. Else those that carry this tag.
    pub tag: String,
}

/// Sums over requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UsageSums {
    /// How many.
    pub requests: u64,
    /// Of which failed.
    pub errors: u64,
    /// Tokens of prompts that were sent.
    pub input_tokens: u64,
    /// Tokens of answers that were fetched.
    pub output_tokens: u64,
    /// Of the prompts, what providers read from their own caches.
    pub cached_tokens: u64,
    /// Of the answers, what is reasoning.
    pub reasoning_tokens: u64,
    /// Tokens that were not fetched, because the answer was there.
    pub saved_tokens: u64,
    /// Micro-dollars.
    pub cost: u64,
    /// Micro-dollars that were not spent, because the answer was there.
    pub saved: u64,
    /// Milliseconds, of all requests together.
    pub took_ms: u64,
    /// How often providers were asked.
    pub attempts: u64,
}

impl UsageSums {
    /// With those of `other` as well.
    pub fn add(&mut self, other: &UsageSums) {
        for (one, more) in self.numbers_mut().into_iter().zip(other.numbers()) {
            *one = one.saturating_add(more);
        }
    }

    fn numbers(&self) -> [u64; 11] {
        let UsageSums { requests, errors, input_tokens, output_tokens, cached_tokens, reasoning_tokens, .. } = *self;
        let UsageSums { saved_tokens, cost, saved, took_ms, attempts, .. } = *self;
        [
            requests,
            errors,
            input_tokens,
            output_tokens,
            cached_tokens,
            reasoning_tokens,
            saved_tokens,
            cost,
            saved,
            took_ms,
            attempts,
        ]
    }

    fn numbers_mut(&mut self) -> [&mut u64; 11] {
        [
            &mut self.requests,
            &mut self.errors,
            &mut self.input_tokens,
            &mut self.output_tokens,
            &mut self.cached_tokens,
            &mut self.reasoning_tokens,
            &mut self.saved_tokens,
            &mut self.cost,
            &mut self.saved,
            &mut self.took_ms,
            &mut self.attempts,
        ]
    }
}

/// The columns of numbers, in the order of `UsageSums::numbers`.
const NUMBERS: [&str; 11] = [
    "requests",
    "errors",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "saved_tokens",
    "cost",
    "saved",
    "took_ms",
    "attempts",
];

/// Sums over requests that have something in common.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UsageTotals {
    /// What they have in common: values of the columns that were asked for.
    pub values: Vec<String>,
    /// All of them.
    pub sums: UsageSums,
    /// Those that were answered from the cache.
    pub hits: u64,
    /// Those for which the cache was asked.
    pub looked_up: u64,
}

/// Requests by how the cache took part.
const LOOKUPS: &str = "CAST(SUM(CASE WHEN cache IN ('hit', 'stale') THEN requests ELSE 0 END) AS BIGINT), \
                       CAST(SUM(CASE WHEN cache IN ('hit', 'stale', 'miss') THEN requests ELSE 0 END) AS BIGINT)";

/// What usage can be told by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UsageColumn {
    /// The name of the caller's key.
    Key,
    /// The account nearest to it.
    Account,
    /// The team above it.
    Team,
    /// The customer above it.
    Customer,
    /// The organisation above it.
    Organisation,
    /// The model, as callers name it.
    Model,
    /// Who answered.
    Provider,
    /// How the cache took part.
    Cache,
    /// A tag; requests without any are in no row of these.
    Tag,
}

impl UsageColumn {
    /// All of them.
    pub const ALL: [UsageColumn; 9] = [
        UsageColumn::Key,
        UsageColumn::Account,
        UsageColumn::Team,
        UsageColumn::Customer,
        UsageColumn::Organisation,
        UsageColumn::Model,
        UsageColumn::Provider,
        UsageColumn::Cache,
        UsageColumn::Tag,
    ];

    /// In paths and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            UsageColumn::Key => "key",
            UsageColumn::Account => "account",
            UsageColumn::Team => "team",
            UsageColumn::Customer => "customer",
            UsageColumn::Organisation => "organisation",
            UsageColumn::Model => "model",
            UsageColumn::Provider => "provider",
            UsageColumn::Cache => "cache",
            UsageColumn::Tag => "tag",
        }
    }

    /// In the table.
    fn name(self) -> &'static str {
        match self {
            UsageColumn::Key => "key_name",
            other => other.as_str(),
        }
    }
}

/// Of which rows the sums are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UsageQuery {
    /// Of hours that begin then or later, in milliseconds since 1970.
    pub from_ms: u64,
    /// And before this.
    pub to_ms: u64,
    /// A row of sums for each set of values of these.
    pub by: Vec<UsageColumn>,
    /// Of rows with these values only.
    pub only: Vec<(UsageColumn, String)>,
    /// Of rows of these accounts, and of those below them, only; `None`: of all.
    pub within: Option<Arc<[String]>>,
    /// Sets of values that come after these, in the order of `by`.
    pub after: Option<Vec<String>>,
    /// So many rows at most.
    pub most: u64,
}

impl UsageQuery {
    /// Tags are counted in rows of their own.
    fn is_of_tags(&self) -> bool {
        self.by.contains(&UsageColumn::Tag) || self.only.iter().any(|(column, _)| *column == UsageColumn::Tag)
    }

    /// The condition, whose places are filled by [`UsageQuery::fill`].
    fn condition(&self) -> String {
        let mut text = "hour_ms >= $1 AND hour_ms < $2".to_owned();
        text.push_str(if self.is_of_tags() { " AND tag <> ''" } else { " AND tag = ''" });
        for (at, (column, _)) in self.only.iter().enumerate() {
            text.push_str(&format!(" AND {} = ${}", column.name(), at + 3));
        }
        if let Some(accounts) = &self.within {
            let places: Vec<String> = (0..accounts.len()).map(|at| format!("${}", self.only.len() + 3 + at)).collect();
            let places = places.join(", ");
            text.push_str(&match accounts.is_empty() {
                true => " AND 1 = 0".to_owned(),
                // An account is in the column of what it is, and the nearest one in its own as well.
                false => format!(
                    " AND (account IN ({places}) OR team IN ({places}) OR customer IN ({places}) OR organisation IN ({places}))"
                ),
            });
        }
        text
    }

    /// The first place that the condition leaves free.
    fn free(&self) -> usize {
        3 + self.only.len() + self.within.as_ref().map_or(0, |accounts| accounts.len())
    }

    fn fill<'q>(&'q self, query: Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments> {
        let query = query.bind(signed(self.from_ms)).bind(signed(self.to_ms));
        let query = self.only.iter().fold(query, |query, (_, value)| query.bind(value.as_str()));
        self.within.iter().flat_map(|accounts| accounts.iter()).fold(query, |query, name| query.bind(name.as_str()))
    }

    fn columns(&self) -> String {
        self.by.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ")
    }
}

impl Database {
    /// Adds to what was used: all of it, or nothing.
    pub async fn add_to_usage(&self, rows: &[(UsageKey, UsageSums)]) -> Result<(), DatabaseError> {
        let text = added();
        let mut transaction = self.writer.begin().await?;
        for (key, sums) in rows {
            let UsageKey { hour_ms, key, account, team, customer, organisation, model, provider, cache, tag } = key;
            let query = sqlx::query(sqlx::AssertSqlSafe(text.as_str())).bind(signed(*hour_ms));
            let texts = [key, account, team, customer, organisation, model, provider, cache, tag];
            let query = texts.into_iter().fold(query, |query, text| query.bind(text.as_str()));
            let query = sums.numbers().into_iter().fold(query, |query, number| query.bind(signed(number)));
            query.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Sums, each with its values of `query.by`, in the order of these.
    pub async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageTotals>, DatabaseError> {
        let (columns, values) = (query.columns(), query.by.len());
        let mut text = String::from("SELECT ");
        if values > 0 {
            text.push_str(&format!("{columns}, "));
        }
        // What PostgreSQL sums up is wider than what it sums.
        text.push_str(&NUMBERS.map(|name| format!("CAST(SUM({name}) AS BIGINT)")).join(", "));
        text.push_str(&format!(", {LOOKUPS} FROM usage_hours WHERE {}", query.condition()));
        let mut place = query.free();
        let after = query.after.as_ref().filter(|after| values > 0 && after.len() == values);
        if after.is_some() {
            let places: Vec<String> = (place..place + values).map(|at| format!("${at}")).collect();
            text.push_str(&format!(" AND ({columns}) > ({})", places.join(", ")));
            place += values;
        }
        text.push_str(&match values {
            0 => " HAVING COUNT(*) > 0".to_owned(),
            _ => format!(" GROUP BY {columns} ORDER BY {columns}"),
        });
        text.push_str(&format!(" LIMIT ${place}"));
        let mut asked = query.fill(sqlx::query(sqlx::AssertSqlSafe(text)));
        for value in after.into_iter().flatten() {
            asked = asked.bind(value.as_str());
        }
        let rows = asked.bind(signed(query.most)).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(|row| summed(row, values)).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The first hour of those that `query` asks about in which something was used.
    pub async fn first_hour_of_usage(&self, query: &UsageQuery) -> Result<Option<u64>, DatabaseError> {
        let text = format!("SELECT hour_ms FROM usage_hours WHERE {} ORDER BY hour_ms LIMIT 1", query.condition());
        let row = query.fill(sqlx::query(sqlx::AssertSqlSafe(text))).fetch_optional(&self.reader).await?;
        Ok(row.map(|row| row.try_get(0).map(unsigned)).transpose()?)
    }

    /// Forgets what was used in hours before this one, `most` rows at a time; how many rows those were.
    pub async fn forget_usage(&self, before_ms: u64, most: u64) -> Result<u64, DatabaseError> {
        let text = format!(
            "DELETE FROM usage_hours WHERE ({TOLD_BY}) IN \
             (SELECT {TOLD_BY} FROM usage_hours WHERE hour_ms < $1 ORDER BY hour_ms LIMIT $2)"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(signed(before_ms)).bind(signed(most));
        Ok(query.execute(&self.writer).await?.rows_affected())
    }
}

/// The columns that no two rows have alike.
const TOLD_BY: &str = "hour_ms, key_name, account, team, customer, organisation, model, provider, cache, tag";

/// The text that adds one row.
fn added() -> String {
    let places: Vec<String> = (1..=10 + NUMBERS.len()).map(|at| format!("${at}")).collect();
    let sums = NUMBERS.map(|name| format!("{name} = usage_hours.{name} + excluded.{name}"));
    format!(
        "INSERT INTO usage_hours ({TOLD_BY}, {}) VALUES ({}) ON CONFLICT ({TOLD_BY}) DO UPDATE SET {}",
        NUMBERS.join(", "),
        places.join(", "),
        sums.join(", ")
    )
}

fn summed(row: &AnyRow, values: usize) -> Result<UsageTotals, sqlx::Error> {
    let texts = (0..values).map(|at| row.try_get(at)).collect::<Result<_, _>>()?;
    let mut sums = UsageSums::default();
    for (at, number) in sums.numbers_mut().into_iter().enumerate() {
        *number = unsigned(row.try_get(values + at)?);
    }
    let at = values + NUMBERS.len();
    let (hits, looked_up) = (unsigned(row.try_get(at)?), unsigned(row.try_get(at + 1)?));
    Ok(UsageTotals { values: texts, sums, hits, looked_up })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hour_ms: u64, key: &str, cache: &str, tag: &str) -> UsageKey {
        let text = str::to_owned;
        let (account, team) = if key == "a" { ("ada", "lab") } else { ("house", "") };
        UsageKey {
            hour_ms,
            key: text(key),
            account: text(account),
            team: text(team),
            organisation: text("house"),
            cache: text(cache),
            tag: text(tag),
            ..UsageKey::default()
        }
    }

    fn sums(requests: u64, cost: u64) -> UsageSums {
        UsageSums { requests, cost, attempts: requests, ..UsageSums::default() }
    }

    /// The story that every database has to live through.
    async fn sums_up(database: &Database) {
        let rows = [
            (key(0, "a", "miss", ""), sums(1, 5)),
            (key(0, "a", "miss", "t"), sums(1, 5)),
            (key(0, "b", "hit", ""), sums(2, 0)),
            (key(3_600_000, "a", "miss", ""), sums(1, 7)),
        ];
        database.add_to_usage(&rows).await.unwrap();
        database.add_to_usage(&rows[..1]).await.unwrap();
        let told = async |query: &UsageQuery| {
            let rows = database.usage(query).await.unwrap();
            rows.into_iter().map(|row| (row.values, row.sums)).collect::<Vec<_>>()
        };
        let all = UsageQuery { to_ms: u64::MAX, most: 10, ..UsageQuery::default() };
        assert_eq!(told(&all).await, [(vec![], sums(5, 17))]);
        let totals = &database.usage(&all).await.unwrap()[0];
        assert_eq!((totals.hits, totals.looked_up), (2, 5));
        let by = UsageQuery { by: vec![UsageColumn::Key, UsageColumn::Cache], ..all.clone() };
        let one = |names: [&str; 2], sums| (names.map(str::to_owned).to_vec(), sums);
        let both = [one(["a", "miss"], sums(3, 17)), one(["b", "hit"], sums(2, 0))];
        assert_eq!(told(&by).await, both);
        let after = UsageQuery { after: Some(both[0].0.clone()), ..by.clone() };
        assert_eq!(told(&after).await, both[1..]);
        assert_eq!(told(&UsageQuery { most: 1, ..by.clone() }).await, both[..1]);
        let of_b = UsageQuery { only: vec![(UsageColumn::Key, "b".to_owned())], ..all.clone() };
        assert_eq!(told(&of_b).await, [(vec![], sums(2, 0))]);
        let tagged = UsageQuery { only: vec![(UsageColumn::Tag, "t".to_owned())], ..all.clone() };
        assert_eq!(told(&tagged).await, [(vec![], sums(1, 5))]);
        let within = |names: &[&str]| {
            let names: Arc<[String]> = names.iter().map(|name| (*name).to_owned()).collect();
            UsageQuery { within: Some(names), ..all.clone() }
        };
        assert_eq!(told(&within(&["lab"])).await, [(vec![], sums(3, 17))]);
        assert_eq!(told(&within(&["ada", "house"])).await, [(vec![], sums(5, 17))], "each row once");
        assert_eq!((told(&within(&["far"])).await, told(&within(&[])).await), (vec![], vec![]));
        let only_b = UsageQuery { only: vec![(UsageColumn::Key, "b".to_owned())], ..within(&["lab"]) };
        assert_eq!(told(&only_b).await, []);
        let paged = UsageQuery { by: by.by.clone(), after: Some(both[0].0.clone()), ..within(&["house"]) };
        assert_eq!(told(&paged).await, both[1..]);
        assert_eq!(database.first_hour_of_usage(&within(&["far"])).await.unwrap(), None);
        let late = UsageQuery { from_ms: 1, ..all.clone() };
        assert_eq!(told(&late).await, [(vec![], sums(1, 7))]);
        assert_eq!(database.first_hour_of_usage(&late).await.unwrap(), Some(3_600_000));
        let none = UsageQuery { from_ms: 3_600_001, ..all.clone() };
        assert_eq!(told(&none).await, []);
        assert_eq!(database.first_hour_of_usage(&none).await.unwrap(), None);
        assert_eq!(database.forget_usage(3_600_000, 2).await.unwrap(), 2);
        assert_eq!(database.forget_usage(3_600_000, 2).await.unwrap(), 1);
        assert_eq!(told(&all).await, [(vec![], sums(1, 7))]);
        assert_eq!(database.forget_usage(u64::MAX, 9).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn usage_adds_up_and_is_told_by_what_is_asked() {
        sums_up(&Database::in_memory().await.unwrap()).await;
    }

    /// With `ASKONCE_POSTGRES=postgres://…`, a server.
    #[tokio::test]
    async fn usage_adds_up_on_postgresql() {
        if let Some(url) = crate::store::database::stub::fresh().await {
            sums_up(&Database::open(&url).await.unwrap()).await;
        }
    }
}
