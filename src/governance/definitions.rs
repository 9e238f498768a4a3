//! `Definitions`: providers, models and prices that are made at the admin surface: tried, written down, then in force beside those of
//! the file.
//!
//! Whether settings with them are right, and what it takes to put them in force, others know: they are asked over a channel
//! ([`Definitions::wishes`]), one wish after the other. A definition that does not fit any more, because the file has changed or
//! another gateway was faster, is left out, told as such, and tried again at each change.

mod import;

use super::objects::{self, Condition, Object};
use crate::config::{self, Definition, Section};
use crate::store::database::{Change, Database, ObjectRow};
use crate::store::sealed::Seal;
use crate::types::error::{Error, ErrorKind};
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot};

/// The most definitions there are.
const MOST: u64 = 5_000;
/// The longest name, in bytes.
const MOST_NAME: usize = 256;
/// What the body of a sealed row begins with; JSON never does.
const SEALED: &str = "sealed:";
/// Wishes that wait.
const WAITING: usize = 64;

/// What a definition is told apart by.
pub type Id = (Section, String);

/// Settings as they should be.
#[derive(Debug)]
pub struct Wish {
    /// All definitions that there should be.
    pub definitions: Vec<Definition>,
    /// Whether that could be is all that is asked.
    pub only_try: bool,
    /// Takes those that had to be left out, or why nothing could be done at all.
    pub answer: oneshot::Sender<Result<Vec<LeftOut>, String>>,
}

/// A definition that does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Which.
    pub id: Id,
    /// Its key that is at fault, if one is.
    pub key: String,
    /// What is wrong.
    pub why: String,
}

/// What is in force.
#[derive(Debug, Default)]
pub struct InForce {
    /// What the file has, masked.
    pub of_file: BTreeMap<Id, Map<String, Value>>,
    /// What should be in force and is not.
    pub left_out: BTreeMap<Id, String>,
}

/// Providers, models and prices of the admin surface, and those of the file beside them.
#[derive(Debug)]
pub struct Definitions {
    database: Database,
    seal: Option<Arc<Seal>>,
    /// Rows are read by others, later.
    persist: bool,
    wishes: mpsc::Sender<Wish>,
    taken: Mutex<Option<mpsc::Receiver<Wish>>>,
    in_force: ArcSwap<InForce>,
    /// Told when other nodes have changed something.
    pub changed: Arc<Notify>,
    /// Held while changes are made, one after the other.
    making: tokio::sync::Mutex<()>,
}

/// A row, and what it says; `None`: it cannot be read.
struct Known {
    row: ObjectRow,
    section: Section,
    settings: Option<Map<String, Value>>,
}

impl Known {
    fn definition(&self) -> Option<Definition> {
        let json = objects::text(self.settings.as_ref()?).ok()?;
        Some(Definition { section: self.section, name: self.row.name.clone(), json })
    }
}

/// A change that is to be made.
pub(super) struct Planned {
    section: Section,
    name: String,
    /// As it is from then on; `None`: it is taken away.
    settings: Option<Map<String, Value>>,
    change: Change,
}

impl Definitions {
    /// Those in `database`; `persist`: others will read it later, so that no secret lies there open. `changed` is told of changes by
    /// others.
    pub fn new(database: Database, seal: Option<Arc<Seal>>, persist: bool, changed: Arc<Notify>) -> Definitions {
        let (wishes, taken) = mpsc::channel(WAITING);
        let (taken, in_force, making) = (Mutex::new(Some(taken)), ArcSwap::default(), tokio::sync::Mutex::default());
        Definitions { database, seal, persist, wishes, taken, in_force, changed, making }
    }

    /// What is to be put in force. There is one who does, so that it is given once.
    pub fn wishes(&self) -> Option<mpsc::Receiver<Wish>> {
        self.taken.lock().take()
    }

    /// That is in force from now on.
    pub fn told(&self, in_force: InForce) {
        for ((section, name), why) in &in_force.left_out {
            if self.in_force.load().left_out.get(&(*section, name.clone())) != Some(why) {
                tracing::error!(kind = section.one(), name, why, "what was made at the admin surface is left out");
            }
        }
        self.in_force.store(Arc::new(in_force));
    }

    /// All that can be read, in order.
    pub async fn all(&self) -> Result<Vec<Definition>, Error> {
        let mut all: Vec<Definition> = self.known().await?.iter().filter_map(Known::definition).collect();
        all.sort_by(|one, other| (one.section, &one.name).cmp(&(other.section, &other.name)));
        Ok(all)
    }

    async fn known(&self) -> Result<Vec<Known>, Error> {
        let mut all = Vec::new();
        for section in Section::ALL {
            let rows = self.database.objects(section.one(), "", MOST).await.map_err(objects::unavailable)?;
            all.extend(rows.into_iter().map(|row| Known { settings: self.opened(&row), section, row }));
        }
        Ok(all)
    }

    fn opened(&self, row: &ObjectRow) -> Option<Map<String, Value>> {
        let body = match row.body.strip_prefix(SEALED) {
            None => row.body.clone().into_bytes(),
            Some(sealed) => {
                let opened = self.seal.as_ref().ok_or_else(|| "there is no `store.encryption_key`".to_owned());
                let opened = opened.and_then(|seal| {
                    let sealed = STANDARD.decode(sealed).map_err(|error| error.to_string())?;
                    seal.open(&context(row), &sealed).map_err(|error| error.to_string())
                });
                match opened {
                    Ok(body) => body,
                    Err(error) => {
                        tracing::error!(kind = row.kind, name = row.name, error, "what was sealed cannot be opened");
                        return None;
                    }
                }
            }
        };
        serde_json::from_slice(&body).ok()
    }

    /// The body of a row. Secrets are sealed, or they are not kept.
    fn body(&self, row: &ObjectRow, section: Section, settings: &Map<String, Value>) -> Result<String, Error> {
        let text = objects::text(settings)?;
        match &self.seal {
            Some(seal) if section == Section::Providers => {
                let sealed = seal.seal(&context(row), text.as_bytes());
                let sealed = sealed.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
                Ok(format!("{SEALED}{}", STANDARD.encode(sealed)))
            }
            None if self.persist && config::has_secrets(section, settings) => {
                let message = "Secrets are not kept in this database as long as there is no `store.encryption_key`: set one, or \
                               refer to the secret (`admin.secret_stores`).";
                Err(Error::new(ErrorKind::InvalidRequest, message).with_code("no_encryption_key"))
            }
            _ => Ok(text),
        }
    }

    /// Those of a list whose names come after `after`, in order, and whether there are more; the file's among them.
    pub async fn page(&self, section: Section, after: &str, most: usize) -> Result<(Vec<Object>, bool), Error> {
        let in_force = self.in_force.load_full();
        let known = self.known().await?;
        let own = known.iter().filter(|known| known.section == section && known.row.name.as_str() > after);
        let mut all: BTreeMap<(&str, bool), Object> =
            own.map(|known| ((known.row.name.as_str(), false), shown(known, &in_force))).collect();
        let of_file = in_force.of_file.iter().filter(|((of, name), _)| *of == section && name.as_str() > after);
        all.extend(of_file.map(|((_, name), settings)| ((name.as_str(), true), objects::in_file(settings))));
        let more = all.len() > most;
        Ok((all.into_values().take(most).collect(), more))
    }

    /// The one of that name; the file's, where it has one.
    pub async fn get(&self, section: Section, name: &str) -> Result<Object, Error> {
        let in_force = self.in_force.load_full();
        if let Some(settings) = in_force.of_file.get(&(section, name.to_owned())) {
            return Ok(objects::in_file(settings));
        }
        let known = self.known().await?;
        found(&known, section, name).map(|known| shown(known, &in_force))
    }

    /// Makes one.
    pub async fn create(&self, section: Section, json: &[u8], dry_run: bool, now_ms: u64) -> Result<Object, Error> {
        let settings = objects::read(json)?;
        let _making = self.making.lock().await;
        let known = self.known().await?;
        let planned = self.plan_new(&known, section, settings, (now_ms, 0))?;
        self.make(&known, vec![planned], dry_run).await.map(first)?
    }

    /// Changes one: `json` is merged into what it is, and `null` takes a setting away (RFC 7396). Its name stays.
    pub async fn patch(
        &self,
        section: Section,
        name: &str,
        json: &[u8],
        condition: Condition,
        now_ms: u64,
    ) -> Result<Object, Error> {
        let patch = objects::read(json)?;
        let _making = self.making.lock().await;
        let known = self.known().await?;
        let there = self.own(&known, section, name, condition)?;
        let mut settings = there.settings.clone().unwrap_or_default();
        // As the caller sees it: who changes where secrets are sent has to send them again.
        config::mask(section, &mut settings);
        objects::merge(&mut settings, patch);
        if settings.get("name").and_then(Value::as_str) != Some(name) {
            let message = "A name cannot be changed: make another one, and take this one away.";
            return Err(Error::invalid("name", message));
        }
        let planned = self.plan_change(there, settings, now_ms)?;
        self.make(&known, vec![planned], condition.dry_run).await.map(first)?
    }

    /// Takes one away that nothing else needs.
    pub async fn delete(&self, section: Section, name: &str, condition: Condition, now_ms: u64) -> Result<(), Error> {
        let _making = self.making.lock().await;
        let known = self.known().await?;
        let planned = plan_delete(self.own(&known, section, name, condition)?, now_ms);
        self.make(&known, vec![planned], condition.dry_run).await.map(drop)
    }

    fn plan_new(
        &self,
        known: &[Known],
        section: Section,
        mut settings: Map<String, Value>,
        (now_ms, planned): (u64, usize),
    ) -> Result<Planned, Error> {
        let name = settings.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if name.is_empty() || name.len() > MOST_NAME {
            let message = format!("`name` is a text of 1 to {MOST_NAME} bytes; it was not.");
            return Err(Error::invalid("name", message));
        }
        let in_file = self.in_force.load().of_file.contains_key(&(section, name.clone()));
        if in_file || found(known, section, &name).is_ok() {
            return Err(objects::name_taken(section.one(), &name));
        }
        if (known.len() + planned) as u64 >= MOST {
            let message = format!("There are {MOST} providers, models and prices, and no more are taken.");
            return Err(Error::new(ErrorKind::Conflict, message).with_code("too_many_objects"));
        }
        config::unmask(&mut settings, &Map::new()).map_err(|key| masked(&key))?;
        let row = objects::new_row(section.one(), &name, String::new(), String::new(), now_ms);
        let row = ObjectRow { body: self.body(&row, section, &settings)?, ..row };
        let change = Change { row, before: None, hashes: Vec::new(), only_these: false };
        Ok(Planned { section, name, settings: Some(settings), change })
    }

    fn plan_change(&self, there: &Known, mut settings: Map<String, Value>, now_ms: u64) -> Result<Planned, Error> {
        let old = there.settings.clone().unwrap_or_default();
        config::unmask(&mut settings, &old).map_err(|key| masked(&key))?;
        let before = there.row.version;
        let row = ObjectRow { version: before + 1, changed_ms: now_ms, ..there.row.clone() };
        let row = ObjectRow { body: self.body(&row, there.section, &settings)?, ..row };
        let change = Change { row, before: Some(before), hashes: Vec::new(), only_these: false };
        Ok(Planned { section: there.section, name: there.row.name.clone(), settings: Some(settings), change })
    }

    /// The row of one that the admin surface owns, if it is as it has to be.
    fn own<'k>(
        &self,
        known: &'k [Known],
        section: Section,
        name: &str,
        condition: Condition,
    ) -> Result<&'k Known, Error> {
        if self.in_force.load().of_file.contains_key(&(section, name.to_owned())) {
            return Err(objects::owned_by_file(section.one(), name));
        }
        let known = found(known, section, name)?;
        match condition.version {
            Some(version) if version != known.row.version => Err(objects::changed(section.one(), name)),
            _ => Ok(known),
        }
    }

    /// All definitions as they are with the changes, which were tried.
    async fn tried(&self, known: &[Known], planned: &[Planned]) -> Result<Vec<Definition>, Error> {
        let ids: HashSet<(Section, &str)> = planned.iter().map(|plan| (plan.section, plan.name.as_str())).collect();
        let is_planned = |one: &Definition| ids.contains(&(one.section, one.name.as_str()));
        let mut all: Vec<Definition> =
            known.iter().filter_map(Known::definition).filter(|one| !is_planned(one)).collect();
        for plan in planned {
            let Some(settings) = &plan.settings else { continue };
            all.push(Definition { section: plan.section, name: plan.name.clone(), json: objects::text(settings)? });
        }
        let left_out = self.wish(all.clone(), true).await?;
        self.refuse_loss(&left_out, planned)?;
        Ok(all)
    }

    /// Tries the changes, writes them down and has them put in force: all of them, or none.
    async fn make(&self, known: &[Known], planned: Vec<Planned>, dry_run: bool) -> Result<Vec<Object>, Error> {
        let all = self.tried(known, &planned).await?;
        if !dry_run {
            let changes: Vec<Change> = planned.iter().map(|plan| plan.change.clone()).collect();
            if let Some(at) = self.database.changes(&changes).await.map_err(objects::unavailable)? {
                let plan = planned.get(at).or(planned.first());
                return Err(objects::changed("object", plan.map_or("", |plan| &plan.name)));
            }
            // It is written down: what comes of it is told with each of them, and looked at again.
            if let Err(error) = self.wish(all, false).await {
                tracing::error!(error = %error, "what was made at the admin surface is not in force yet");
                self.changed.notify_one();
            }
        }
        let in_force = self.in_force.load_full();
        let shown = |plan: Planned| {
            let Planned { section, settings, change, .. } = plan;
            shown(&Known { row: change.row, section, settings }, &in_force)
        };
        Ok(planned.into_iter().map(shown).collect())
    }

    /// Nobody loses what is in force because of what somebody else changes.
    fn refuse_loss(&self, left_out: &[LeftOut], planned: &[Planned]) -> Result<(), Error> {
        let before = self.in_force.load_full();
        let planned_here = |id: &Id| planned.iter().any(|plan| (plan.section, &plan.name) == (id.0, &id.1));
        if let Some(own) = left_out.iter().find(|one| planned_here(&one.id)) {
            return Err(Error::invalid(own.key.clone(), own.why.clone()).with_code("invalid_object"));
        }
        match left_out.iter().find(|one| !before.left_out.contains_key(&one.id)) {
            None => Ok(()),
            Some(LeftOut { id: (section, name), why, .. }) => {
                let message = format!("The {} `{name}` needs it as it is: {why}", section.one());
                Err(Error::new(ErrorKind::Conflict, message).with_code("in_use"))
            }
        }
    }

    async fn wish(&self, definitions: Vec<Definition>, only_try: bool) -> Result<Vec<LeftOut>, Error> {
        let (answer, answered) = oneshot::channel();
        let gone = || {
            let message = "This gateway does not take new settings just now: it starts or stops.";
            Error::new(ErrorKind::Overloaded, message).with_code("settings_unavailable")
        };
        self.wishes.send(Wish { definitions, only_try, answer }).await.map_err(|_| gone())?;
        let left_out = answered.await.map_err(|_| gone())?;
        left_out.map_err(|why| {
            Error::new(ErrorKind::Conflict, format!("The settings cannot be put in force: {why}"))
                .with_code("unfit_settings")
        })
    }
}

fn plan_delete(there: &Known, now_ms: u64) -> Planned {
    let before = there.row.version;
    let row = ObjectRow { body: String::new(), version: before + 1, changed_ms: now_ms, ..there.row.clone() };
    let change = Change { row, before: Some(before), hashes: Vec::new(), only_these: false };
    Planned { section: there.section, name: there.row.name.clone(), settings: None, change }
}

fn found<'k>(known: &'k [Known], section: Section, name: &str) -> Result<&'k Known, Error> {
    let found = known.iter().find(|known| known.section == section && known.row.name == name);
    found.ok_or_else(|| objects::not_found(section.one(), name))
}

fn first(made: Vec<Object>) -> Result<Object, Error> {
    made.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Internal, "Nothing was made."))
}

/// What a sealed row is bound to.
fn context(row: &ObjectRow) -> String {
    format!("objects/{}/{}", row.kind, row.name)
}

fn masked(key: &str) -> Error {
    let message = format!(
        "`{key}`: `{}` stands for the secret that is there, and there is none, or it would be sent elsewhere: send the secret itself.",
        config::MASK
    );
    Error::invalid(key.to_owned(), message).with_code("secret_wanted")
}

fn shown(known: &Known, in_force: &InForce) -> Object {
    let id = (known.section, known.row.name.clone());
    let unread = || format!("what is written of the {} `{}` cannot be read", id.0.one(), id.1);
    let mut settings = known.settings.clone().unwrap_or_default();
    config::mask(known.section, &mut settings);
    settings.entry("name").or_insert_with(|| id.1.clone().into());
    let problem = match &known.settings {
        None if !known.row.body.is_empty() => unread(),
        _ => in_force.left_out.get(&id).cloned().unwrap_or_default(),
    };
    let row = &known.row;
    Object {
        shadowed: in_force.of_file.contains_key(&id),
        problem,
        source: super::level::Source::Api,
        version: row.version,
        id: row.id.clone(),
        created_ms: row.created_ms,
        changed_ms: row.changed_ms,
        ..objects::in_file(&settings)
    }
}
