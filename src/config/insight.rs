//! `topics` and `complexity`: what the embedding of a question tells conditions of targets beside the request itself.

use std::path::PathBuf;

use super::env::Env;
use super::error::ConfigError;
use super::fields::{Fields, Item};
use super::kinds::{quoted, shortened};
use super::nearest::nearest;
use super::paths;
use super::resolved::{Condition, Model};
use super::{Uses, Variable};

/// Topics at most.
const MOST_TOPICS: usize = 1000;
/// Examples of one topic at most, and of all of them together: a start embeds them all.
const MOST_EXAMPLES: usize = 1000;
const MOST_EXAMPLES_OF_ALL: usize = 20_000;
/// An example may be this long; longer questions are no examples.
const MOST_EXAMPLE_CHARS: usize = 2000;
/// The cosine to the nearest example from which on a question is of a topic, where nothing is said.
pub const DEFAULT_AT_LEAST: f64 = 0.6;

/// Questions that have something in common, by examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// What conditions call it. Unique.
    pub name: String,
    /// Questions of it, as callers ask them. At least one.
    pub examples: Vec<String>,
    /// The least cosine between a question of it and the nearest example; from 0 to 1.
    pub at_least: f64,
}

/// How it is known which questions need the stronger model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complexity {
    /// What `askonce complexity train` has learned.
    pub file: PathBuf,
}

/// Reads `topics`.
pub(super) fn topics(root: &Fields<'_>) -> Result<Vec<Topic>, ConfigError> {
    let items = root.list("topics")?;
    too_many(root, "topics", items.len(), MOST_TOPICS)?;
    let mut topics: Vec<Topic> = Vec::new();
    for item in &items {
        let topic = topic(item)?;
        if topics.iter().any(|other| other.name == topic.name) {
            let error = item.error(format!("another topic has the name `{}`", shortened(&topic.name)));
            return Err(error.with_suggestion("put all its examples into one entry"));
        }
        topics.push(topic);
    }
    let all = topics.iter().map(|topic| topic.examples.len()).sum();
    too_many(root, "topics", all, MOST_EXAMPLES_OF_ALL)?;
    Ok(topics)
}

fn topic(item: &Item<'_>) -> Result<Topic, ConfigError> {
    let fields = item.fields(&["name", "examples", "at_least"])?;
    let name = fields.require("name")?.text()?;
    let list = fields.require("examples")?;
    let items = list.list()?;
    if items.is_empty() {
        return Err(list
            .error("expected at least one example, found none")
            .with_suggestion("add questions of the topic"));
    }
    too_many(&fields, "examples", items.len(), MOST_EXAMPLES)?;
    let mut examples: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let example = item.text()?;
        let chars = example.chars().count();
        if chars > MOST_EXAMPLE_CHARS || example.trim().is_empty() {
            let expected = format!("expected a question of at most {MOST_EXAMPLE_CHARS} characters");
            return Err(match chars {
                0..=MOST_EXAMPLE_CHARS => item.error(format!("{expected}, found only spaces")),
                _ => item.error(format!("{expected}, found {chars}")),
            });
        }
        if !examples.contains(&example) {
            examples.push(example);
        }
    }
    let at_least = fields.get("at_least").map_or(Ok(DEFAULT_AT_LEAST), |item| item.float(0.0..=1.0))?;
    Ok(Topic { name, examples, at_least })
}

fn too_many(fields: &Fields<'_>, key: &str, found: usize, most: usize) -> Result<(), ConfigError> {
    match fields.get(key) {
        Some(item) if found > most => {
            Err(item.error(format!("expected at most {most} of them together, found {found}")))
        }
        _ => Ok(()),
    }
}

/// Reads `complexity`, if it is there.
pub(super) fn complexity(root: &Fields<'_>, env: &Env<'_>) -> Result<Option<Complexity>, ConfigError> {
    let Some(item) = root.get("complexity") else { return Ok(None) };
    let file = item.fields(&["file"])?.require("file")?;
    let path = paths::folder(&file.text()?, env).map_err(|message| file.error(message))?;
    Ok(Some(Complexity { file: path }))
}

/// Refuses conditions of `models` that ask about a topic that is none, or about what nothing was learned of.
pub(super) fn check(
    root: &Fields<'_>,
    models: &[Model],
    topics: &[Topic],
    complexity: Option<&Complexity>,
) -> Result<(), ConfigError> {
    for (item, model) in root.list("models")?.iter().zip(models) {
        let targets = item.fields(super::model::KEYS)?.list("targets")?;
        for (item, target) in targets.iter().zip(&model.targets) {
            let Some(when) = &target.when else { continue };
            let fault = is_known(when, topics).err().or_else(|| is_learned(when.uses(), complexity).err());
            if let Some((message, suggestion)) = fault {
                let at = item.fields(super::target::KEYS)?.get("when");
                let error = at.as_ref().unwrap_or(item).error(message);
                return Err(error.with_suggestion(suggestion));
            }
        }
    }
    Ok(())
}

/// What is wrong, and what to do.
type Fault = (String, String);

fn is_known(when: &Condition, topics: &[Topic]) -> Result<(), Fault> {
    if !when.uses().has(Variable::Topic) {
        return Ok(());
    }
    if topics.is_empty() {
        return Err((
            "the condition asks about `topic`, and there are no topics".into(),
            "add some to `topics`".into(),
        ));
    }
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    // The empty text is the topic of what is of none.
    match when.topics().find(|name| !name.is_empty() && !names.contains(name)) {
        None => Ok(()),
        Some(name) => Err((
            format!("there is no topic `{}`", shortened(name)),
            match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the topics are {}", quoted(&names)),
            },
        )),
    }
}

fn is_learned(uses: Uses, complexity: Option<&Complexity>) -> Result<(), Fault> {
    let asked = [Variable::Complexity, Variable::Hard].into_iter().find(|variable| uses.has(*variable));
    match asked.filter(|_| complexity.is_none()) {
        None => Ok(()),
        Some(variable) => Err((
            format!("the condition asks about `{}`, of which nothing was learned", variable.as_str()),
            "name the file that `askonce complexity train` wrote in `complexity.file`".into(),
        )),
    }
}
