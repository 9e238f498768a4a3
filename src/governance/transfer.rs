//! `Transfer`: all that was made at the admin surface, put in at once: each entry becomes what it is in the document, or nothing does.

use super::definitions::Definitions;
use super::objects::{self, Objects};
use crate::config::Section;
use crate::store::database::Database;
use crate::types::error::{Error, ErrorKind};
use crate::types::secret::Secret;
use serde_json::{Map, Value};

/// The lists of accounts and keys, beside those of [`Section`].
pub const ACCOUNTS: &str = "accounts";
/// The same of keys.
pub const KEYS: &str = "keys";
/// The most entries of one document.
const MOST: usize = 20_000;

/// An entry of a document.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) settings: Map<String, Value>,
}

/// What becomes of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There was none of that name.
    Created,
    /// It was another.
    Changed,
    /// It was so.
    Unchanged,
    /// It is not in the document.
    Deleted,
}

impl Outcome {
    /// In answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::Changed => "changed",
            Outcome::Unchanged => "unchanged",
            Outcome::Deleted => "deleted",
        }
    }
}

/// What becomes of one object.
#[derive(Debug)]
pub struct Step {
    /// What it is: `provider`, `model`, `price`, `account` or `key`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Of a key that is made: told once.
    pub secret: Option<Secret>,
}

/// What to put in.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Of each list that the document has, what is not in it goes.
    pub prune: bool,
    /// Only look what would become of it.
    pub dry_run: bool,
}

/// Makes what the admin surface owns as `document` has it. Lists that it does not have stay as they are.
pub async fn import(
    database: &Database,
    definitions: &Definitions,
    objects: &Objects,
    mut document: Map<String, Value>,
    wanted: Wanted,
    now_ms: u64,
) -> Result<Vec<Step>, Error> {
    let mut importing = definitions.import().await?;
    let mut steps = Vec::new();
    let mut count = 0;
    for section in Section::ALL {
        let Some(entries) = entries(&mut document, section.as_str(), &mut count)? else { continue };
        let own = importing.plan(section, entries, wanted.prune, now_ms);
        steps.extend(own?);
    }
    let accounts = entries(&mut document, ACCOUNTS, &mut count)?;
    let keys = entries(&mut document, KEYS, &mut count)?;
    if let Some(key) = document.keys().next() {
        let message = format!("There is no list `{key}`: a document has providers, models, prices, accounts and keys.");
        return Err(Error::invalid(key.clone(), message));
    }
    let mut changes = importing.changes().await?;
    let (own, more) = objects.plan_import(accounts, keys, wanted.prune, now_ms).await?;
    steps.extend(own);
    changes.extend(more);
    if wanted.dry_run {
        steps.iter_mut().for_each(|step| step.secret = None);
        return Ok(steps);
    }
    if !changes.is_empty() && database.changes(&changes).await.map_err(objects::unavailable)?.is_some() {
        let message = "Something that the document changes was changed by somebody else meanwhile: nothing was put in.";
        return Err(Error::new(ErrorKind::PreconditionFailed, message).with_code("version_changed"));
    }
    // All is written down. Where secrets of new keys are told only now they have to be told; else nobody hears that it is done before it is.
    let in_force = match objects.refresh(now_ms).await {
        Ok(()) => importing.done().await,
        Err(error) => Err(objects::unavailable(error)),
    };
    match in_force {
        Err(error) if steps.iter().any(|step| step.secret.is_some()) => {
            tracing::error!(error = %error, "what was put in is not in force yet");
        }
        done => done?,
    }
    Ok(steps)
}

/// The same error, with what it is about: a document has many.
pub(super) fn about(kind: &str, name: &str, error: Error) -> Error {
    Error { message: format!("The {kind} `{name}`: {}", error.message), ..error }
}

/// The entries of a list; `None` where the document has no such list.
fn entries(document: &mut Map<String, Value>, list: &str, count: &mut usize) -> Result<Option<Vec<Entry>>, Error> {
    let wrong = |message: String| Error::invalid(list.to_owned(), message);
    let items = match document.remove(list) {
        None => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(wrong(format!("`{list}` is a list."))),
    };
    *count += items.len();
    if *count > MOST {
        return Err(wrong(format!("A document has at most {MOST} entries.")));
    }
    let mut all: Vec<Entry> = Vec::with_capacity(items.len());
    let mut names = std::collections::HashSet::new();
    for item in items {
        let Value::Object(settings) = item else { return Err(wrong(format!("The entries of `{list}` are objects."))) };
        let Some(name) = settings.get("name").and_then(Value::as_str).map(str::to_owned) else {
            return Err(wrong(format!("Each entry of `{list}` has a `name`.")));
        };
        if !names.insert(name.clone()) {
            return Err(wrong(format!("`{name}` is twice in `{list}`.")));
        }
        all.push(Entry { name, settings });
    }
    Ok(Some(all))
}
