//! Many definitions at once, as an import has them: each becomes what it is there.

use super::{Definitions, Known, Planned, found, plan_delete};
use crate::config::{Definition, Section, mask};
use crate::governance::objects;
use crate::governance::transfer::{Entry, Outcome, Step, about};
use crate::store::database::Change;
use crate::types::error::Error;
use serde_json::{Map, Value};

/// What an import makes of definitions. Nobody else changes any as long as it is there.
pub(in crate::governance) struct Import<'d> {
    definitions: &'d Definitions,
    _making: tokio::sync::MutexGuard<'d, ()>,
    known: Vec<Known>,
    planned: Vec<Planned>,
    /// All of them as they will be.
    all: Vec<Definition>,
}

impl Definitions {
    /// Nobody else changes anything from here on.
    pub(in crate::governance) async fn import(&self) -> Result<Import<'_>, Error> {
        let making = self.making.lock().await;
        let known = self.known().await?;
        Ok(Import { definitions: self, _making: making, known, planned: Vec::new(), all: Vec::new() })
    }
}

impl Import<'_> {
    /// Plans that the list `section` has `entries`; with `prune`, and no others.
    pub(in crate::governance) fn plan(
        &mut self,
        section: Section,
        entries: Vec<Entry>,
        prune: bool,
        now_ms: u64,
    ) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::with_capacity(entries.len());
        let kind = section.one();
        for Entry { name, settings } in entries {
            let outcome = self.plan_one(section, &name, settings, now_ms).map_err(|error| about(kind, &name, error))?;
            steps.push(Step { kind, name, outcome, secret: None });
        }
        if prune {
            let gone =
                |known: &&Known| known.section == section && !steps.iter().any(|step| step.name == known.row.name);
            let gone: Vec<Planned> = self.known.iter().filter(gone).map(|known| plan_delete(known, now_ms)).collect();
            steps.extend(gone.iter().map(|plan| Step {
                kind,
                name: plan.name.clone(),
                outcome: Outcome::Deleted,
                secret: None,
            }));
            self.planned.extend(gone);
        }
        Ok(steps)
    }

    fn plan_one(
        &mut self,
        section: Section,
        name: &str,
        settings: Map<String, Value>,
        now_ms: u64,
    ) -> Result<Outcome, Error> {
        if let Some(of_file) = self.definitions.in_force.load().of_file.get(&(section, name.to_owned())) {
            let mut masked = settings;
            mask(section, &mut masked);
            return match masked == *of_file {
                true => Ok(Outcome::Unchanged),
                false => Err(objects::owned_by_file(section.one(), name)),
            };
        }
        let Ok(there) = found(&self.known, section, name) else {
            let new = self.planned.iter().filter(|plan| plan.change.before.is_none()).count();
            let planned = self.definitions.plan_new(&self.known, section, settings, (now_ms, new))?;
            self.planned.push(planned);
            return Ok(Outcome::Created);
        };
        let planned = self.definitions.plan_change(there, settings, now_ms)?;
        if planned.settings == there.settings {
            return Ok(Outcome::Unchanged);
        }
        self.planned.push(planned);
        Ok(Outcome::Changed)
    }

    /// Tries it all, and gives what is to be written.
    pub(in crate::governance) async fn changes(&mut self) -> Result<Vec<Change>, Error> {
        if !self.planned.is_empty() {
            self.all = self.definitions.tried(&self.known, &self.planned).await?;
        }
        Ok(self.planned.iter().map(|plan| plan.change.clone()).collect())
    }

    /// It is written: it comes into force.
    pub(in crate::governance) async fn done(self) -> Result<(), Error> {
        if !self.planned.is_empty() {
            let definitions = self.definitions;
            definitions.wish(self.all, false).await.inspect_err(|_| definitions.changed.notify_one())?;
        }
        Ok(())
    }
}
