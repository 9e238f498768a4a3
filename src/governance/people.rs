//! People and groups as an identity provider tells them by SCIM 2.0 (RFC 7643, RFC 7644). They are looked up in memory, and kept in the
//! database where there is one.
//!
//! - `resource`: what a person or a group may say
//! - `filter`: which are asked for
//! - `patch`: changes of parts

pub mod filter;
pub mod patch;
pub mod resource;

use super::access::{identity, unwritten};
use super::stamp::{self, Stamp};
use crate::store::database::{Database, DatabaseError, PersonRow, Put};
use crate::types::error::{Error, ErrorKind};
use arc_swap::ArcSwap;
use rand::Rng;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// So many people and groups there may be together.
const MOST: usize = 100_000;

/// What there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A person.
    User,
    /// A group of people.
    Group,
}

impl Kind {
    /// In the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Group => "group",
        }
    }
}

/// A person or a group.
#[derive(Clone, PartialEq, Debug)]
pub struct Person {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// What is said of it, but for `id`, `meta` and `schemas`.
    pub said: Map<String, Value>,
    /// Counts its changes.
    pub version: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last changed.
    pub changed_ms: u64,
}

impl Person {
    /// `userName` of a person, `displayName` of a group.
    pub fn name(&self) -> &str {
        let name = if self.kind == Kind::User { "userName" } else { "displayName" };
        self.said.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Is it somebody who may still come in?
    pub fn is_active(&self) -> bool {
        self.said.get("active") != Some(&Value::Bool(false))
    }

    /// By which names an identity provider's tokens may know them.
    pub fn identities(&self) -> Vec<String> {
        let outside = self.said.get("externalId").and_then(Value::as_str).map(|id| format!("id:{id}"));
        std::iter::once(format!("name:{}", identity(self.name()))).chain(outside).collect()
    }

    /// Ids of a group's members.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let members = self.said.get("members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        members.iter().filter_map(|one| one["value"].as_str())
    }
}

/// All people and groups, and how they are found.
#[derive(Debug, Default)]
struct Directory {
    all: HashMap<String, Arc<Person>>,
    /// People by each of their names.
    by_identity: HashMap<String, Arc<Person>>,
    /// Groups by the ids of their members.
    groups_of: HashMap<String, Vec<Arc<Person>>>,
}

impl Directory {
    fn of(all: HashMap<String, Arc<Person>>) -> Directory {
        let mut found = Directory::default();
        for one in all.values() {
            if one.kind == Kind::User {
                found.by_identity.extend(one.identities().into_iter().map(|name| (name, one.clone())));
            } else {
                for member in one.members() {
                    found.groups_of.entry(member.to_owned()).or_default().push(one.clone());
                }
            }
        }
        Directory { all, ..found }
    }

    fn known_as<'a>(&'a self, identities: &'a [String]) -> impl Iterator<Item = &'a Arc<Person>> {
        identities.iter().filter_map(|name| self.by_identity.get(name))
    }
}

/// All people and groups.
#[derive(Debug)]
pub struct People {
    now: ArcSwap<Directory>,
    database: Option<Database>,
    stamp: Stamp,
    /// One change at a time.
    changing: Mutex<()>,
}

impl People {
    pub(super) fn new(stamp: Stamp, database: Option<Database>) -> People {
        People { now: ArcSwap::default(), database, stamp, changing: Mutex::default() }
    }

    /// Reads those of the database.
    pub(super) async fn read(&self) -> Result<(), DatabaseError> {
        let Some(database) = &self.database else { return Ok(()) };
        let _changing = self.changing.lock().await;
        let rows = database.people().await?;
        let count = rows.len();
        let all = rows.into_iter().filter_map(|row| of_row(row, &self.stamp));
        let all: HashMap<String, Arc<Person>> = all.map(|one| (one.id.clone(), Arc::new(one))).collect();
        stamp::passed_over("people", count - all.len());
        self.now.store(Arc::new(Directory::of(all)));
        Ok(())
    }

    /// Is one of these names that of somebody who may not come in any more?
    pub fn bars(&self, identities: &[String]) -> bool {
        self.now.load().known_as(identities).any(|one| !one.is_active())
    }

    /// Does SCIM tell of somebody with one of these names?
    pub fn knows(&self, identities: &[String]) -> bool {
        self.now.load().known_as(identities).next().is_some()
    }

    /// Names of the groups of whoever has one of these names.
    pub fn groups_of(&self, identities: &[String]) -> BTreeSet<String> {
        let now = self.now.load();
        let groups = now.known_as(identities).filter_map(|one| now.groups_of.get(&one.id)).flatten();
        groups.map(|group| group.name().to_owned()).collect()
    }

    /// The person or group of that id.
    pub fn get(&self, kind: Kind, id: &str) -> Option<Arc<Person>> {
        self.now.load().all.get(id).filter(|one| one.kind == kind).cloned()
    }

    /// All of one kind, in the order in which they came.
    pub fn all(&self, kind: Kind) -> Vec<Arc<Person>> {
        let mut all: Vec<_> = self.now.load().all.values().filter(|one| one.kind == kind).cloned().collect();
        all.sort_by(|one, other| (one.created_ms, &one.id).cmp(&(other.created_ms, &other.id)));
        all
    }

    /// Groups that the person of that id is in: ids and names.
    pub fn groups_with(&self, id: &str) -> Vec<(String, String)> {
        let now = self.now.load();
        let groups = now.groups_of.get(id).into_iter().flatten();
        groups.map(|group| (group.id.clone(), group.name().to_owned())).collect()
    }

    /// Adds a person or a group.
    pub async fn add(&self, kind: Kind, said: Map<String, Value>, now_ms: u64) -> Result<Arc<Person>, Error> {
        let changing = self.changing.lock().await;
        if self.now.load().all.len() >= MOST {
            return Err(wrong(&format!("there are {MOST} people and groups already, the most that are kept")));
        }
        let id = format!("{:016x}{:016x}", rand::rng().random::<u64>(), rand::rng().random::<u64>());
        let one = Person { id, kind, said, version: 1, created_ms: now_ms, changed_ms: now_ms };
        self.put(one, None, &changing).await
    }

    /// Changes a person or a group as `change` says; `versions` are those that it may have now, all where that is `None`.
    pub async fn change(
        &self,
        (kind, id): (Kind, &str),
        versions: Option<&[u64]>,
        now_ms: u64,
        change: impl FnOnce(&Person) -> Result<Map<String, Value>, Error>,
    ) -> Result<Arc<Person>, Error> {
        let changing = self.changing.lock().await;
        let before = self.get(kind, id).ok_or_else(|| not_found(kind, id))?;
        is_expected(&before, versions)?;
        let said = change(&before)?;
        if said == before.said {
            return Ok(before);
        }
        let after = Person { said, version: before.version + 1, changed_ms: now_ms, ..Person::clone(&before) };
        self.put(after, Some(before.version), &changing).await
    }

    /// Takes a person or a group away, if `may` says so; a person out of all groups, too.
    pub async fn remove(
        &self,
        (kind, id): (Kind, &str),
        versions: Option<&[u64]>,
        now_ms: u64,
        may: impl FnOnce(&Person) -> Result<(), Error>,
    ) -> Result<Arc<Person>, Error> {
        let changing = self.changing.lock().await;
        let before = self.get(kind, id).ok_or_else(|| not_found(kind, id))?;
        is_expected(&before, versions)?;
        may(&before)?;
        let groups = self.now.load().groups_of.get(id).cloned().unwrap_or_default();
        for group in groups {
            let mut said = group.said.clone();
            if let Some(Value::Array(members)) = said.get_mut("members") {
                members.retain(|one| one["value"] != id);
            }
            let after = Person { said, version: group.version + 1, changed_ms: now_ms, ..Person::clone(&group) };
            self.put(after, Some(group.version), &changing).await?;
        }
        if let Some(database) = &self.database {
            database.delete_person(id).await.map_err(unwritten)?;
        }
        let mut all = self.now.load().all.clone();
        all.remove(id);
        self.now.store(Arc::new(Directory::of(all)));
        Ok(before)
    }

    /// Writes one that was checked.
    async fn put(&self, one: Person, before: Option<u64>, _: &MutexGuard<'_, ()>) -> Result<Arc<Person>, Error> {
        self.is_sound(&one)?;
        if let Some(database) = &self.database {
            match database.put_person(&row_of(&one, &self.stamp), before).await.map_err(unwritten)? {
                Put::Done => {}
                Put::Taken => return Err(taken(&one)),
                Put::Changed => return Err(changed()),
            }
        }
        let one = Arc::new(one);
        let mut all = self.now.load().all.clone();
        all.insert(one.id.clone(), one.clone());
        self.now.store(Arc::new(Directory::of(all)));
        Ok(one)
    }

    /// Is its name its own, and is each member there?
    fn is_sound(&self, one: &Person) -> Result<(), Error> {
        let now = self.now.load();
        if one.kind == Kind::User {
            let twin =
                one.identities().iter().any(|name| now.by_identity.get(name).is_some_and(|other| other.id != one.id));
            return if twin { Err(taken(one)) } else { Ok(()) };
        }
        match one.members().find(|id| !now.all.contains_key(*id)) {
            Some(id) => {
                let id: String = id.chars().take(64).collect();
                Err(wrong(&format!("there is nobody with the id `{id}`, who is to be a member")))
            }
            None => Ok(()),
        }
    }
}

fn is_expected(one: &Person, versions: Option<&[u64]>) -> Result<(), Error> {
    if versions.is_none_or(|versions| versions.contains(&one.version)) { Ok(()) } else { Err(changed()) }
}

/// A value that is not taken.
pub(super) fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("This is not taken: {why}.")).with_code("invalidValue")
}

fn taken(one: &Person) -> Error {
    let name: String = one.name().chars().take(64).collect();
    let message = format!("Another person has the `userName` `{name}`, or this `externalId`.");
    Error::new(ErrorKind::InvalidRequest, message).with_code("uniqueness")
}

fn changed() -> Error {
    Error::new(ErrorKind::InvalidRequest, "It has been changed since that version.").with_code("precondition")
}

/// No such person or group.
pub fn not_found(kind: Kind, id: &str) -> Error {
    let id: String = id.chars().take(64).collect();
    Error::new(ErrorKind::NotFound, format!("There is no {} with the id `{id}`.", kind.as_str())).with_code("not_found")
}

fn row_of(one: &Person, stamp: &Stamp) -> PersonRow {
    let mut row = PersonRow {
        id: one.id.clone(),
        kind: one.kind.as_str().to_owned(),
        unique_name: if one.kind == Kind::User { identity(one.name()) } else { one.id.clone() },
        resource: Value::Object(one.said.clone()).to_string(),
        version: one.version,
        created_ms: one.created_ms,
        changed_ms: one.changed_ms,
        stamp: String::new(),
    };
    row.stamp = stamp.of("people", &parts(&row, &times(&row)));
    row
}

fn times(row: &PersonRow) -> [String; 3] {
    [row.version, row.created_ms, row.changed_ms].map(|number| number.to_string())
}

fn parts<'r>(row: &'r PersonRow, times: &'r [String; 3]) -> [&'r str; 7] {
    [&row.id, &row.kind, &row.unique_name, &row.resource, &times[0], &times[1], &times[2]]
}

/// A row that cannot be read, or that somebody else wrote, is nobody.
fn of_row(row: PersonRow, stamp: &Stamp) -> Option<Person> {
    if !stamp.fits(&row.stamp, "people", &parts(&row, &times(&row))) {
        return None;
    }
    let kind = [Kind::User, Kind::Group].into_iter().find(|kind| kind.as_str() == row.kind)?;
    let said = serde_json::from_str(&row.resource).ok()?;
    Some(Person {
        id: row.id,
        kind,
        said,
        version: row.version,
        created_ms: row.created_ms,
        changed_ms: row.changed_ms,
    })
}

/// The resource as SCIM writes it, but for `meta.location` and what is read of others.
pub fn written(one: &Person) -> Map<String, Value> {
    let (schema, name) = match one.kind {
        Kind::User => (resource::USER, "User"),
        Kind::Group => (resource::GROUP, "Group"),
    };
    let extensions = one.said.keys().filter(|key| key.starts_with("urn:")).map(|key| json!(key));
    let mut all = Map::new();
    all.insert("schemas".to_owned(), std::iter::once(json!(schema)).chain(extensions).collect());
    all.insert("id".to_owned(), json!(one.id));
    all.extend(one.said.clone());
    let meta = json!({
        "resourceType": name,
        "created": resource::time(one.created_ms),
        "lastModified": resource::time(one.changed_ms),
        "version": format!("W/\"{}\"", one.version),
    });
    all.insert("meta".to_owned(), meta);
    all
}

#[cfg(test)]
mod tests;
