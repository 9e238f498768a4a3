//! What an identity provider said last of somebody who signed in: their groups. The tokens that they made go by it when they are not
//! signed in themselves.

use super::access::{known_as, list, unwritten};
use super::stamp::{self, Stamp};
use crate::store::database::{Database, DatabaseError, ToldRow};
use crate::types::error::Error;
use arc_swap::ArcSwap;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::Mutex;

/// What was said longer ago is not gone by, unless SCIM tells of the person: a provider does not say by itself who has left.
pub(super) const BELIEVED_MS: u64 = 30 * 86_400_000;
/// That the same was said again is written once in so long.
const WRITTEN_MS: u64 = 86_400_000;
/// Of so many people it is remembered.
const MOST: usize = 100_000;

/// What was said last of somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    identities: Arc<[String]>,
    groups: BTreeSet<String>,
    told_ms: u64,
}

type ByPerson = HashMap<String, Arc<Told>>;

/// What was said last of everybody who signed in. It is looked up in memory, and kept in the database where there is one.
#[derive(Debug)]
pub struct LastTold {
    all: ArcSwap<ByPerson>,
    database: Option<Database>,
    stamp: Stamp,
    /// One change at a time.
    changing: Mutex<()>,
}

impl LastTold {
    pub(super) fn new(stamp: Stamp, database: Option<Database>) -> LastTold {
        LastTold { all: ArcSwap::default(), database, stamp, changing: Mutex::default() }
    }

    /// Reads what the database has.
    pub(super) async fn read(&self) -> Result<(), DatabaseError> {
        let Some(database) = &self.database else { return Ok(()) };
        let _changing = self.changing.lock().await;
        let rows = database.told().await?;
        let all: ByPerson = rows.iter().filter_map(|row| self.of_row(row)).collect();
        stamp::passed_over("people_told", rows.len() - all.len());
        self.all.store(Arc::new(all));
        Ok(())
    }

    /// The provider says that somebody is in these groups now. The first of the identities is what it calls them itself.
    pub(super) async fn tell(
        &self,
        identities: &Arc<[String]>,
        groups: &BTreeSet<String>,
        now_ms: u64,
    ) -> Result<(), Error> {
        let Some(person) = identities.first() else { return Ok(()) };
        let _changing = self.changing.lock().await;
        let before = self.all.load().get(person).cloned();
        let told = Told { identities: identities.clone(), groups: groups.clone(), told_ms: now_ms };
        let is_old = |before: &Arc<Told>| {
            before.groups == told.groups
                && before.identities == told.identities
                && now_ms.saturating_sub(before.told_ms) < WRITTEN_MS
        };
        if before.as_ref().is_some_and(is_old) {
            return Ok(());
        }
        let row = self.row_of(person, &told);
        let mut all = ByPerson::clone(&self.all.load());
        let oldest = all.iter().min_by_key(|(_, told)| told.told_ms).map(|(person, _)| person.clone());
        let gone: Vec<String> = oldest.filter(|_| before.is_none() && all.len() >= MOST).into_iter().collect();
        gone.iter().for_each(|person| drop(all.remove(person)));
        all.insert(person.clone(), Arc::new(told));
        self.all.store(Arc::new(all));
        let Some(database) = &self.database else { return Ok(()) };
        if !gone.is_empty() {
            database.forget_told(&gone).await.map_err(unwritten)?;
        }
        database.put_told(&row).await.map_err(unwritten)
    }

    /// The groups of whom a provider calls by the first of `identities`; those that were told since `since_ms`.
    pub(super) fn groups_of(&self, identities: &[String], since_ms: u64) -> BTreeSet<String> {
        let all = self.all.load();
        let told = identities.first().and_then(|person| all.get(person)).filter(|told| told.told_ms >= since_ms);
        told.map(|told| told.groups.clone()).unwrap_or_default()
    }

    /// The groups of all who are known by one of these names, whenever that was told.
    pub(super) fn groups_of_any(&self, identities: &[String]) -> BTreeSet<String> {
        let all = self.all.load();
        let those = all.values().filter(|told| told.identities.iter().any(|one| identities.contains(one)));
        those.flat_map(|told| told.groups.iter().cloned()).collect()
    }

    /// Forgets what was told of who is known by one of these names.
    pub(super) async fn forget(&self, identities: &[String]) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let mut all = ByPerson::clone(&self.all.load());
        let is_theirs = |told: &Told| told.identities.iter().any(|one| identities.contains(one));
        let gone: Vec<String> =
            all.iter().filter(|(_, told)| is_theirs(told)).map(|(person, _)| person.clone()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        gone.iter().for_each(|person| drop(all.remove(person)));
        self.all.store(Arc::new(all));
        let Some(database) = &self.database else { return Ok(()) };
        database.forget_told(&gone).await.map_err(unwritten)
    }

    fn row_of(&self, person: &str, told: &Told) -> ToldRow {
        let mut row = ToldRow {
            person: person.to_owned(),
            identities: list(&told.identities),
            groups: serde_json::json!(told.groups).to_string(),
            told_ms: told.told_ms,
            stamp: String::new(),
        };
        row.stamp = self.stamp.of("people_told", &parts(&row, &row.told_ms.to_string()));
        row
    }

    /// A row that cannot be read, or that somebody else wrote, says nothing.
    fn of_row(&self, row: &ToldRow) -> Option<(String, Arc<Told>)> {
        if !self.stamp.fits(&row.stamp, "people_told", &parts(row, &row.told_ms.to_string())) {
            return None;
        }
        let (identities, groups) = (known_as(&row.identities)?, serde_json::from_str(&row.groups).ok()?);
        Some((row.person.clone(), Arc::new(Told { identities, groups, told_ms: row.told_ms })))
    }
}

fn parts<'r>(row: &'r ToldRow, told_ms: &'r str) -> [&'r str; 4] {
    [&row.person, &row.identities, &row.groups, told_ms]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_word_is_kept_and_nobody_else_says_one() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::in_file(&dir.path().join("t.db")).await.unwrap();
        let open = || LastTold::new(Stamp::new(&[1; 32]), Some(database.clone()));
        let first = open();
        let ada: Arc<[String]> = Arc::from(["id:u1", "name:ada"].map(str::to_owned));
        let groups = |name: &str| BTreeSet::from([name.to_owned()]);
        first.tell(&ada, &groups("ops"), 5).await.unwrap();
        first.tell(&ada, &groups("red"), 6).await.unwrap();
        first.tell(&ada, &groups("red"), 7).await.unwrap();
        assert_eq!(database.told().await.unwrap()[0].told_ms, 6, "the same once more is not written at once");
        let again = open();
        again.read().await.unwrap();
        assert_eq!((again.groups_of(&ada, 6), again.groups_of(&ada, 7)), (groups("red"), BTreeSet::new()));
        assert_eq!(again.groups_of_any(&["name:ada".to_owned()]), groups("red"));
        assert!(again.groups_of(&["name:ada".to_owned()], 0).is_empty(), "a name may be somebody else's by now");
        let row = database.told().await.unwrap().remove(0);
        database.put_told(&ToldRow { groups: "[\"lords\"]".into(), ..row }).await.unwrap();
        again.read().await.unwrap();
        assert!(again.groups_of(&ada, 0).is_empty(), "a forged row says nothing");
        first.tell(&ada, &groups("red"), 6 + WRITTEN_MS).await.unwrap();
        again.read().await.unwrap();
        again.forget(&["name:ada".to_owned()]).await.unwrap();
        assert!(again.groups_of(&ada, 0).is_empty() && database.told().await.unwrap().is_empty());
    }
}
