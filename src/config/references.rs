//! The references of a settings file: which there are, and what they stand for put in their places.
//!
//! A text is a reference where a secret is wanted, and nowhere else: so the tree is read once, which marks them, and once more with
//! what they stand for.

use super::definitions::{self, Definition, Section, Unfit};
use super::env::join;
use super::error::{ConfigError, Position};
use super::file::{Node, Text, Value};
use super::reload;
use super::resolved::{Overrides, Resolved};
use crate::types::reference::Reference;
use crate::types::secret::Secret;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// A reference, and where the settings have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referred {
    /// The reference.
    pub reference: Reference,
    /// The path of the key, as in `providers[0].api_key`.
    pub key: String,
    /// Where that stands in the file.
    pub at: Option<Position>,
    /// What it stands for is known.
    pub read: bool,
}

/// Looks up a variable on any thread.
pub type SharedEnv = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Settings whose references are not read yet, and the text they are of.
#[derive(Clone)]
pub struct Draft {
    text: String,
    name: String,
    overrides: Overrides,
    env: SharedEnv,
    definitions: Vec<Definition>,
    settings: Box<Resolved>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Draft {
    /// Reads the settings file at `path`, with the variables of this process.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Draft, ConfigError> {
        let name = path.display().to_string();
        let text = reload::read(path).map_err(|error| error.named(&name))?;
        Draft::parse(text, &name, overrides, Arc::new(super::process_env))
    }

    /// The settings where there is no file.
    pub fn defaults(overrides: &Overrides) -> Result<Draft, ConfigError> {
        Draft::parse(String::new(), "default settings", overrides, Arc::new(super::process_env))
    }

    /// Reads settings from `text`, which errors call `name`, with the variables that `env` knows.
    pub fn parse(text: String, name: &str, overrides: &Overrides, env: SharedEnv) -> Result<Draft, ConfigError> {
        let settings = Box::new(super::parse(&text, name, overrides, &*env)?);
        let (name, overrides) = (name.to_owned(), overrides.clone());
        Ok(Draft { text, name, overrides, env, definitions: Vec::new(), settings })
    }

    /// The same file with other definitions beside its own entries.
    pub fn with(&self, definitions: Vec<Definition>) -> Result<Draft, Unfit> {
        let settings = super::resolve(&self.text, &definitions, &self.overrides, &HashMap::new(), &*self.env)?;
        Ok(Draft { definitions, settings: Box::new(settings), ..self.clone() })
    }

    /// What stands beside the entries of the file.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// The file's own entries of a list, by name, their secrets masked.
    pub fn of_file(&self, section: Section) -> Vec<(String, serde_json::Map<String, serde_json::Value>)> {
        super::tree(&self.text, &*self.env).map_or_else(|_| Vec::new(), |node| definitions::entries(&node, section))
    }

    /// The place among the definitions of what stands at a key path, as in [`Referred::key`].
    pub fn place(&self, key: &str) -> Option<usize> {
        let mut node = super::tree(&self.text, &*self.env).ok()?;
        definitions::add(&mut node, &[]).ok()?.place(key, &self.definitions).map(|(at, _)| at)
    }

    /// The settings, their references unread.
    pub fn settings(&self) -> &Resolved {
        &self.settings
    }

    /// A variable of the environment that the settings were read with.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// The settings with what their references stand for, by the texts of these, as far as `values` has it.
    pub fn filled(&self, values: &HashMap<String, Secret>) -> Result<Resolved, ConfigError> {
        if self.settings.secrets.references.is_empty() {
            return Ok(self.settings().clone());
        }
        let settings = super::resolve(&self.text, &self.definitions, &self.overrides, values, &*self.env);
        settings.map_err(|unfit| unfit.into_error().named(&self.name))
    }
}

/// Gives the texts of the tree that may be references what these stand for.
pub(super) fn fill(node: &mut Node, values: &HashMap<String, Secret>) {
    match &mut node.value {
        Value::Text(Text { text, value, .. }) => {
            *value = values.get(text).map(|secret| Secret::referred(text, secret.expose()));
        }
        Value::List(nodes) => nodes.iter_mut().for_each(|node| fill(node, values)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, node)| fill(node, values)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}

/// The texts below `node`, which stands at `path`, that were read as references.
pub(super) fn collect(node: &Node, path: &str, found: &mut Vec<Referred>) {
    match &node.value {
        Value::Text(Text { read_as, value, .. }) => {
            found.extend(read_as.borrow().iter().map(|reference| Referred {
                reference: reference.clone(),
                key: path.to_owned(),
                at: node.at,
                read: value.is_some(),
            }));
        }
        Value::List(nodes) => {
            nodes.iter().enumerate().for_each(|(index, node)| collect(node, &format!("{path}[{index}]"), found));
        }
        Value::Map(entries) => entries.iter().for_each(|(key, node)| collect(node, &join(path, &key.text), found)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}
