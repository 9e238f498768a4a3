//! Requests one by one: written together, found by what they were, and forgotten in time.

use super::{Database, DatabaseError, signed, unsigned};
use sqlx::Row;
use sqlx::any::AnyRow;

/// One request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestRow {
    /// Its own; in the order of time.
    pub id: String,
    /// When it arrived, in milliseconds since 1970.
    pub at_ms: u64,
    /// As its caller was told it.
    pub request_id: String,
    /// The name of the caller's key.
    pub key: String,
    /// Names of the accounts above the key, the nearest first, with commas around and between them.
    pub accounts: String,
    /// Within which its answers are shared.
    pub tenant: String,
    /// Its tags, with commas around and between them.
    pub tags: String,
    /// The door that it came by.
    pub surface: String,
    /// The model, as the caller named it.
    pub model: String,
    /// Who answered.
    pub provider: String,
    /// The model, as the provider calls it.
    pub provider_model: String,
    /// How the cache took part.
    pub cache: String,
    /// What went wrong.
    pub error: String,
    /// What was asked, where it is kept.
    pub request: String,
    /// What was answered, where it is kept.
    pub answer: String,
    /// The status that the caller was told.
    pub status: u64,
    /// Tokens of the prompt that was sent.
    pub input_tokens: u64,
    /// Tokens of the answer that was fetched.
    pub output_tokens: u64,
    /// Of the prompt, what the provider read from its own cache.
    pub cached_tokens: u64,
    /// Of the answer, what is reasoning.
    pub reasoning_tokens: u64,
    /// Tokens that were not fetched, because the answer was there.
    pub saved_tokens: u64,
    /// Micro-dollars.
    pub cost: u64,
    /// Micro-dollars that were not spent, because the answer was there.
    pub saved: u64,
    /// Milliseconds.
    pub took_ms: u64,
    /// How often providers were asked.
    pub attempts: u64,
}

const TEXTS: [&str; 14] = [
    "id",
    "request_id",
    "key_name",
    "accounts",
    "tenant",
    "tags",
    "surface",
    "model",
    "provider",
    "provider_model",
    "cache",
    "error",
    "request_body",
    "answer_body",
];
const NUMBERS: [&str; 11] = [
    "at_ms",
    "status",
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

impl RequestRow {
    fn texts_mut(&mut self) -> [&mut String; 14] {
        [
            &mut self.id,
            &mut self.request_id,
            &mut self.key,
            &mut self.accounts,
            &mut self.tenant,
            &mut self.tags,
            &mut self.surface,
            &mut self.model,
            &mut self.provider,
            &mut self.provider_model,
            &mut self.cache,
            &mut self.error,
            &mut self.request,
            &mut self.answer,
        ]
    }

    fn numbers_mut(&mut self) -> [&mut u64; 11] {
        [
            &mut self.at_ms,
            &mut self.status,
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

/// Which requests are asked for. What is empty or `None` asks for nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestQuery {
    /// That arrived then or later, in milliseconds since 1970.
    pub from_ms: u64,
    /// And before this.
    pub to_ms: u64,
    /// Of this key.
    pub key: Option<String>,
    /// Of this account, or one in it.
    pub account: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// For this model.
    pub model: Option<String>,
    /// Answered by this provider.
    pub provider: Option<String>,
    /// In which the cache took part like this.
    pub cache: Option<String>,
    /// With this id.
    pub request_id: Option<String>,
    /// With a status from the first to the second.
    pub status: Option<(u64, u64)>,
    /// In whose question, answer or error this text stands.
    pub text: Option<String>,
    /// Those before the one of this id.
    pub before: Option<String>,
    /// So many at most.
    pub most: u64,
}

impl RequestQuery {
    /// The conditions on texts: each with what stands in its place.
    fn texts(&self) -> Vec<(&'static str, String)> {
        let inside = |text: &String| format!("%,{},%", escaped(text));
        let equal = [
            ("key_name = ?", &self.key),
            ("tenant = ?", &self.tenant),
            ("model = ?", &self.model),
            ("provider = ?", &self.provider),
            ("cache = ?", &self.cache),
            ("request_id = ?", &self.request_id),
            ("id < ?", &self.before),
        ];
        let equal = equal.into_iter().filter_map(|(text, value)| Some((text, value.clone()?)));
        let like = [("accounts LIKE ? ESCAPE '\\'", &self.account), ("tags LIKE ? ESCAPE '\\'", &self.tag)];
        let like = like.into_iter().filter_map(|(text, value)| Some((text, inside(value.as_ref()?))));
        let said = "(LOWER(request_body) LIKE ? ESCAPE '\\' OR LOWER(answer_body) LIKE ? ESCAPE '\\' \
                    OR LOWER(error) LIKE ? ESCAPE '\\')";
        let said = self.text.as_ref().map(|text| (said, format!("%{}%", escaped(&text.to_lowercase()))));
        equal.chain(like).chain(said).collect()
    }
}

/// `text` as a pattern of LIKE has it that stands for nothing but itself.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

impl Database {
    /// Writes requests: all of them, or none.
    pub async fn add_requests(&self, rows: &[RequestRow]) -> Result<(), DatabaseError> {
        let places: Vec<String> = (1..=TEXTS.len() + NUMBERS.len()).map(|at| format!("${at}")).collect();
        let text = format!("INSERT INTO requests ({}) VALUES ({})", columns(), places.join(", "));
        let mut transaction = self.writer.begin().await?;
        for row in rows {
            let mut row = row.clone();
            let query = sqlx::query(sqlx::AssertSqlSafe(text.as_str()));
            let query = row.texts_mut().into_iter().fold(query, |query, text| query.bind(std::mem::take(text)));
            let query = row.numbers_mut().into_iter().fold(query, |query, number| query.bind(signed(*number)));
            query.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Requests, the latest first.
    pub async fn requests(&self, query: &RequestQuery) -> Result<Vec<RequestRow>, DatabaseError> {
        let (mut text, mut place) = (String::from("at_ms >= $1 AND at_ms < $2 AND status >= $3 AND status <= $4"), 4);
        let texts = query.texts();
        for (condition, _) in &texts {
            place += 1;
            // One text may stand in several places.
            text.push_str(&format!(" AND {}", condition.replace('?', &format!("${place}"))));
        }
        let text = format!("SELECT {} FROM requests WHERE {text} ORDER BY id DESC LIMIT ${}", columns(), place + 1);
        let (least, most) = query.status.unwrap_or((0, 1_000));
        let asked = sqlx::query(sqlx::AssertSqlSafe(text)).bind(signed(query.from_ms)).bind(signed(query.to_ms));
        let asked = asked.bind(signed(least)).bind(signed(most));
        let asked = texts.into_iter().fold(asked, |asked, (_, value)| asked.bind(value));
        let rows = asked.bind(signed(query.most)).fetch_all(&self.reader).await?;
        Ok(rows.iter().map(request).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The request of this id, its own or the one that its caller was told; of several, the latest.
    pub async fn request(&self, id: &str) -> Result<Option<RequestRow>, DatabaseError> {
        let text =
            format!("SELECT {} FROM requests WHERE id = $1 OR request_id = $2 ORDER BY id DESC LIMIT 1", columns());
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).bind(id).bind(id).fetch_optional(&self.reader).await?;
        Ok(row.as_ref().map(request).transpose()?)
    }

    /// Forgets requests that arrived before then, `most` at a time; how many those were.
    pub async fn forget_requests(&self, before_ms: u64, most: u64) -> Result<u64, DatabaseError> {
        let text =
            "DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)";
        let query = sqlx::query(text).bind(signed(before_ms)).bind(signed(most));
        Ok(query.execute(&self.writer).await?.rows_affected())
    }
}

fn columns() -> String {
    TEXTS.into_iter().chain(NUMBERS).collect::<Vec<_>>().join(", ")
}

fn request(row: &AnyRow) -> Result<RequestRow, sqlx::Error> {
    let mut read = RequestRow::default();
    for (at, text) in read.texts_mut().into_iter().enumerate() {
        *text = row.try_get(at)?;
    }
    for (at, number) in read.numbers_mut().into_iter().enumerate() {
        *number = unsigned(row.try_get(TEXTS.len() + at)?);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64, model: &str, said: &str) -> RequestRow {
        RequestRow {
            id: format!("{number:04}"),
            at_ms: number,
            request_id: format!("r{number}"),
            model: model.to_owned(),
            tags: ",a_b,c,".to_owned(),
            accounts: ",team,house,".to_owned(),
            request: said.to_owned(),
            status: 200 + number,
            cost: number,
            ..RequestRow::default()
        }
    }

    /// The story that every database has to live through.
    async fn finds(database: &Database) {
        let rows = [row(1, "m", "What is 50% of X_Y?"), row(2, "n", "Größe"), row(3, "m", "what is 50 of XZY?")];
        database.add_requests(&rows).await.unwrap();
        let all = RequestQuery { to_ms: u64::MAX, most: 10, ..RequestQuery::default() };
        let found = async |query: RequestQuery| {
            let rows = database.requests(&query).await.unwrap();
            rows.into_iter().map(|row| row.at_ms).collect::<Vec<_>>()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(database.requests(&all).await.unwrap(), [rows[2].clone(), rows[1].clone(), rows[0].clone()]);
        assert_eq!(found(RequestQuery { most: 2, before: some("0003"), ..all.clone() }).await, [2, 1]);
        assert_eq!(found(RequestQuery { model: some("m"), ..all.clone() }).await, [3, 1]);
        assert_eq!(found(RequestQuery { status: Some((202, 202)), ..all.clone() }).await, [2]);
        assert_eq!(found(RequestQuery { text: some("WHAT IS"), ..all.clone() }).await, [3, 1]);
        assert_eq!(found(RequestQuery { text: some("50% of x_y"), ..all.clone() }).await, [1], "no pattern of theirs");
        assert_eq!(found(RequestQuery { tag: some("a_b"), account: some("house"), ..all.clone() }).await, [3, 2, 1]);
        for tag in ["axb", "a", "c,", "%"] {
            assert!(found(RequestQuery { tag: some(tag), ..all.clone() }).await.is_empty(), "{tag}");
        }
        assert_eq!(database.request("r2").await.unwrap().unwrap(), rows[1]);
        assert_eq!(database.request("0001").await.unwrap().unwrap(), rows[0]);
        assert_eq!(database.request("r9").await.unwrap(), None);
        assert_eq!(database.forget_requests(3, 1).await.unwrap(), 1);
        assert_eq!(found(all.clone()).await, [3, 2], "the oldest first");
        assert_eq!(database.forget_requests(3, 10).await.unwrap(), 1);
        assert_eq!(found(all).await, [3]);
        assert_eq!(database.forget_requests(u64::MAX, 10).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn requests_are_found_by_what_they_were() {
        finds(&Database::in_memory().await.unwrap()).await;
    }

    /// With `ASKONCE_POSTGRES=postgres://…`, a server.
    #[tokio::test]
    async fn requests_are_found_on_postgresql() {
        if let Some(url) = crate::store::database::stub::fresh().await {
            finds(&Database::open(&url).await.unwrap()).await;
        }
    }
}
