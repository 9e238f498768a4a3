//! Changes of parts of a person or a group: PATCH of RFC 7644, section 3.5.2, as identity providers really send it.

use super::filter::{Filter, parts};
use super::resource::{is_not_taken, spelt};
use super::{Kind, resource, wrong};
use crate::types::error::Error;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Operations of one request.
const MOST: usize = 1_000;
/// More values of one attribute than anybody has, beside members.
const MOST_VALUES: usize = 25_000;

/// The body of a PATCH.
#[derive(Debug, Deserialize)]
pub struct Patch {
    #[serde(alias = "operations", rename = "Operations")]
    operations: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    op: String,
    path: Option<String>,
    value: Option<Value>,
}

/// Where an operation does something.
struct Place {
    attribute: String,
    /// Which of several values.
    which: Option<Filter>,
    /// An attribute in it.
    inside: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

/// What is said after the changes.
pub fn apply(kind: Kind, said: &Map<String, Value>, patch: Patch) -> Result<Map<String, Value>, Error> {
    if patch.operations.len() > MOST {
        return Err(wrong(&format!("at most {MOST} operations are done at a time")));
    }
    let mut said = said.clone();
    for Operation { op, path, value } in patch.operations {
        let op = match op.to_ascii_lowercase().as_str() {
            "add" => Op::Add,
            "replace" => Op::Replace,
            "remove" => Op::Remove,
            _ => return Err(Error { code: Some("invalidSyntax"), ..wrong("`op` is `add`, `replace` or `remove`") }),
        };
        match (path, value) {
            (Some(path), value) => one(&mut said, op, place(&path)?, value)?,
            (None, _) if op == Op::Remove => return Err(no_target("`remove` needs a `path`")),
            (None, Some(Value::Object(all))) => {
                for (path, value) in all {
                    // What is written here alone is told by some providers even so.
                    if !is_not_taken(&spelt(&path)) {
                        one(&mut said, op, place(&path)?, Some(value))?;
                    }
                }
            }
            (None, _) => return Err(wrong("an operation without a `path` has an object as its `value`")),
        }
    }
    resource::checked(kind, said)
}

/// Nobody writes longer paths, and what is nested deeper than any schema is an attack.
const MOST_PATH_BYTES: usize = 4_000;
const MOST_PARTS: usize = 8;

fn place(path: &str) -> Result<Place, Error> {
    if path.len() > MOST_PATH_BYTES {
        return Err(invalid_path(&format!("it is longer than {MOST_PATH_BYTES} bytes")));
    }
    let Some((attribute, rest)) = path.split_once('[') else {
        let mut parts = parts(path.trim());
        if parts.len() > MOST_PARTS {
            return Err(invalid_path(&format!("it has more than {MOST_PARTS} parts")));
        }
        let attribute = parts.remove(0);
        return Ok(Place { attribute, which: None, inside: parts });
    };
    let (which, inside) = rest.rsplit_once(']').ok_or_else(|| invalid_path("a `]` is missing"))?;
    let mut names = parts(attribute.trim());
    if names.len() != 1 {
        return Err(invalid_path("only an attribute has several values"));
    }
    let inside = inside.trim().trim_start_matches('.');
    let inside = if inside.is_empty() { Vec::new() } else { vec![inside.to_owned()] };
    Ok(Place { attribute: names.remove(0), which: Some(Filter::read(which)?), inside })
}

fn one(said: &mut Map<String, Value>, op: Op, place: Place, value: Option<Value>) -> Result<(), Error> {
    let Place { attribute, which, inside } = place;
    if is_not_taken(&attribute) {
        let error = wrong(&format!("`{attribute}` cannot be set"));
        return Err(Error { code: Some("mutability"), ..error });
    }
    let value = match (op, value) {
        (Op::Remove, value) => value.unwrap_or(Value::Null),
        (_, Some(value)) => value,
        (_, None) => return Err(wrong("`value` is missing")),
    };
    match which {
        Some(which) => some_values(said, op, &attribute, &which, &inside, value),
        None if inside.is_empty() => whole(said, op, &attribute, value),
        None => within(said, op, &attribute, &inside, value),
    }
}

/// The attribute as a whole.
fn whole(said: &mut Map<String, Value>, op: Op, attribute: &str, value: Value) -> Result<(), Error> {
    match (op, said.get_mut(attribute), value) {
        // Some providers name those that are to go.
        (Op::Remove, Some(Value::Array(there)), Value::Array(gone)) if !gone.is_empty() => {
            let is_gone = |one: &Value| {
                gone.iter().any(|other| one == other || (one["value"] == other["value"] && one["value"].is_string()))
            };
            there.retain(|one| !is_gone(one));
        }
        (Op::Remove, _, _) | (Op::Replace, _, Value::Null) => drop(said.remove(attribute)),
        (Op::Add, Some(Value::Array(there)), Value::Array(more)) => {
            for one in more {
                add(there, one)?;
            }
        }
        (Op::Add, Some(Value::Array(there)), one) => add(there, one)?,
        (Op::Add | Op::Replace, Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
        (_, _, value) => drop(said.insert(attribute.to_owned(), value)),
    }
    Ok(())
}

fn add(there: &mut Vec<Value>, one: Value) -> Result<(), Error> {
    if there.len() >= MOST_VALUES {
        return Err(wrong("an attribute has too many values"));
    }
    if !there.contains(&one) {
        there.push(one);
    }
    Ok(())
}

/// An attribute in the attribute.
fn within(
    said: &mut Map<String, Value>,
    op: Op,
    attribute: &str,
    inside: &[String],
    value: Value,
) -> Result<(), Error> {
    let Some((last, way)) = inside.split_last() else { return Ok(()) };
    let mut at = said;
    for name in std::iter::once(attribute).chain(way.iter().map(String::as_str)) {
        if op == Op::Remove && !at.contains_key(name) {
            return Ok(());
        }
        let next = at.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
        at = next.as_object_mut().ok_or_else(|| invalid_path("it leads into what has no attributes"))?;
    }
    set(at, op, last, value);
    Ok(())
}

fn set(fields: &mut Map<String, Value>, op: Op, name: &str, value: Value) {
    let name = fields.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned().unwrap_or_else(|| name.to_owned());
    if op == Op::Remove || value.is_null() { drop(fields.remove(&name)) } else { drop(fields.insert(name, value)) }
}

/// Those of several values that a filter names.
fn some_values(
    said: &mut Map<String, Value>,
    op: Op,
    attribute: &str,
    which: &Filter,
    inside: &[String],
    value: Value,
) -> Result<(), Error> {
    let empty = || Value::Array(Vec::new());
    let there = said.entry(attribute.to_owned()).or_insert_with(empty);
    let there = there.as_array_mut().ok_or_else(|| invalid_path("it chooses among what is one value"))?;
    if op == Op::Remove && inside.is_empty() {
        there.retain(|one| !which.fits(one));
        if there.is_empty() {
            said.remove(attribute);
        }
        return Ok(());
    }
    let mut found = false;
    for one in there.iter_mut().filter(|one| which.fits(one)) {
        found = true;
        match (inside.first(), one) {
            (Some(name), Value::Object(fields)) => set(fields, op, name, value.clone()),
            (None, one) => one.clone_from(&value),
            _ => return Err(invalid_path("it leads into what has no attributes")),
        }
    }
    match (found, op, which, inside.first()) {
        (true, ..) | (false, Op::Remove, ..) => Ok(()),
        // `emails[type eq "work"].value` of somebody who has none yet: it is made, as such providers expect.
        (false, _, Filter::Compare(path, super::filter::Operator::Eq, is), Some(name)) if path.len() == 1 => {
            let mut fields = Map::new();
            fields.insert(path[0].clone(), is.clone());
            fields.insert(name.clone(), value);
            add(there, Value::Object(fields))
        }
        (false, ..) => Err(no_target("no value is as the path says")),
    }
}

fn invalid_path(why: &str) -> Error {
    Error { code: Some("invalidPath"), ..wrong(&format!("the path cannot be followed: {why}")) }
}

fn no_target(why: &str) -> Error {
    Error { code: Some("noTarget"), ..wrong(why) }
}
