//! Many accounts and keys at once, as an import has them: each becomes what it is there.

use super::{ACCOUNT, Change, KEY, Kind, ObjectRow, Objects, invalid, new_row, owned_by_file, text, unavailable};
use crate::config::{self, AccountKind};
use crate::governance::transfer::{Entry, Outcome, Step, about};
use crate::governance::virtual_key;
use crate::types::error::Error;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What becomes of the objects, and what is to be written for that.
pub(in crate::governance) type Plan = (Vec<Step>, Vec<Change>);

/// Rows that are read.
const ALL: u64 = 1_000_000;

impl Objects {
    /// Plans that there are these accounts and keys; with `prune`, and no others. `None`: they stay as they are. Everybody has to be
    /// where they may be when all of it is done.
    pub(in crate::governance) async fn plan_import(
        &self,
        accounts: Option<Vec<Entry>>,
        keys: Option<Vec<Entry>>,
        prune: bool,
        now_ms: u64,
    ) -> Result<Plan, Error> {
        let (mut steps, mut changes) = (Vec::new(), Vec::new());
        if accounts.is_none() && keys.is_none() {
            return Ok((steps, changes));
        }
        for (kind, entries) in [(Kind::Account, accounts), (Kind::Key, keys)] {
            let Some(entries) = entries else { continue };
            let (own, of_kind) = self.plan_kind(kind, entries, prune, now_ms).await?;
            steps.extend(own);
            changes.extend(of_kind);
        }
        self.all_belong(&changes).await?;
        Ok((steps, changes))
    }

    async fn plan_kind(&self, kind: Kind, entries: Vec<Entry>, prune: bool, now_ms: u64) -> Result<Plan, Error> {
        let rows = self.database.objects(kind.as_str(), "", ALL).await.map_err(unavailable)?;
        let mut there: HashMap<String, ObjectRow> = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
        let (mut steps, mut changes) = (Vec::new(), Vec::new());
        for Entry { name, settings } in entries {
            let body = checked(kind, &settings).map_err(|error| about(kind.as_str(), &name, error))?;
            let (outcome, secret) = match (self.is_in_file(kind, &name, &settings)?, there.remove(&name)) {
                (true, _) => (Outcome::Unchanged, None),
                (false, Some(row)) if same(&row.body, &settings) => (Outcome::Unchanged, None),
                (false, Some(row)) => {
                    stays_what_it_is(kind, &row.body, &body)?;
                    let (before, version) = (Some(row.version), row.version + 1);
                    let row = ObjectRow { body, version, changed_ms: now_ms, ..row };
                    changes.push(Change { row, before, hashes: Vec::new(), only_these: false });
                    (Outcome::Changed, None)
                }
                (false, None) => {
                    let secret = (kind == Kind::Key).then(virtual_key::new);
                    let hint = secret.as_ref().map(virtual_key::hint).unwrap_or_default();
                    let hashes = secret.iter().map(|secret| self.hashed(secret, &name, None)).collect();
                    let row = new_row(kind.as_str(), &name, body, hint, now_ms);
                    changes.push(Change { row, before: None, hashes, only_these: kind == Kind::Key });
                    (Outcome::Created, secret)
                }
            };
            steps.push(Step { kind: kind.as_str(), name, outcome, secret });
        }
        if prune {
            for row in there.into_values() {
                let (name, before) = (row.name.clone(), row.version);
                let row = ObjectRow { body: String::new(), version: before + 1, changed_ms: now_ms, ..row };
                changes.push(Change { row, before: Some(before), hashes: Vec::new(), only_these: true });
                steps.push(Step { kind: kind.as_str(), name, outcome: Outcome::Deleted, secret: None });
            }
        }
        Ok((steps, changes))
    }

    /// The file has one of that name; an error where it is another.
    fn is_in_file(&self, kind: Kind, name: &str, settings: &Map<String, Value>) -> Result<bool, Error> {
        let file = self.file.load();
        let Some(of_file) = file.of(kind).get(name) else { return Ok(false) };
        let mut shown = of_file.clone();
        shown.remove("key");
        match shown == *settings {
            true => Ok(true),
            false => Err(owned_by_file(kind.as_str(), name)),
        }
    }

    /// Is everybody whom `changes` touch where they may be?
    async fn all_belong(&self, changes: &[Change]) -> Result<(), Error> {
        let mut accounts: HashMap<String, (AccountKind, Option<String>)> = HashMap::new();
        let mut keys: HashMap<String, Option<String>> = HashMap::new();
        let mut bodies: HashMap<(String, String), String> = HashMap::new();
        for kind in [Kind::Account, Kind::Key] {
            let rows = self.database.objects(kind.as_str(), "", ALL).await.map_err(unavailable)?;
            bodies.extend(rows.into_iter().map(|row| ((row.kind, row.name), row.body)));
            let file = self.file.load();
            for (name, settings) in file.of(kind) {
                let mut shown = settings.clone();
                shown.remove("key");
                bodies.insert((kind.as_str().to_owned(), name.clone()), text(&shown)?);
            }
        }
        for Change { row, .. } in changes {
            bodies.insert((row.kind.clone(), row.name.clone()), row.body.clone());
        }
        for ((kind, name), body) in bodies.into_iter().filter(|(_, body)| !body.is_empty()) {
            let settings: Map<String, Value> = serde_json::from_str(&body).unwrap_or_default();
            let text = |key: &str| settings.get(key).and_then(Value::as_str).map(str::to_owned);
            if kind == ACCOUNT {
                let Ok(account) = config::read_account(&body) else { continue };
                accounts.insert(name, (account.kind, account.parent));
            } else {
                keys.insert(name, text("account"));
            }
        }
        // Who was nowhere before is no reason to refuse what has nothing to do with it.
        let touched = |kind: &str, name: &str| changes.iter().any(|one| one.row.kind == kind && one.row.name == name);
        for (name, (kind, parent)) in &accounts {
            let Some(parent) = parent else { continue };
            if !touched(ACCOUNT, name) && !touched(ACCOUNT, parent) {
                continue;
            }
            match accounts.get(parent) {
                None => return Err(nowhere(ACCOUNT, name, parent)),
                Some((above, _)) if above >= kind => {
                    let message =
                        format!("The {} `{name}` cannot be in the {} `{parent}`.", kind.as_str(), above.as_str());
                    return Err(Error::invalid("accounts", message));
                }
                Some(_) => {}
            }
        }
        let lost = keys.iter().find_map(|(name, account)| {
            let account = account.as_ref().filter(|account| !accounts.contains_key(*account))?;
            (touched(KEY, name) || touched(ACCOUNT, account)).then_some(())?;
            Some(nowhere(KEY, name, account))
        });
        lost.map_or(Ok(()), Err)
    }
}

fn nowhere(kind: &str, name: &str, account: &str) -> Error {
    let list = if kind == ACCOUNT { "accounts" } else { "keys" };
    Error::invalid(list, format!("The {kind} `{name}` would be in the account `{account}`, and there would be none."))
}

/// The body of a row, if it says what one of that kind may say.
fn checked(kind: Kind, settings: &Map<String, Value>) -> Result<String, Error> {
    let body = text(settings)?;
    match kind {
        Kind::Account => config::read_account(&body).map(drop),
        Kind::Key => config::read_virtual_key(&body).map(drop),
    }
    .map_err(invalid)?;
    Ok(body)
}

fn same(body: &str, settings: &Map<String, Value>) -> bool {
    serde_json::from_str::<Map<String, Value>>(body).is_ok_and(|there| there == *settings)
}

fn stays_what_it_is(kind: Kind, before: &str, after: &str) -> Result<(), Error> {
    if kind == Kind::Key {
        return Ok(());
    }
    let read = |body: &str| config::read_account(body).map_err(invalid);
    match read(before)?.kind == read(after)?.kind {
        true => Ok(()),
        false => Err(Error::invalid("kind", "The kind of an account cannot be changed.")),
    }
}
