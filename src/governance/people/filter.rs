//! Which people or groups are asked for: filters of RFC 7644, section 3.4.2.2.

use super::resource::spelt;
use super::wrong;
use crate::types::error::Error;
use serde_json::Value;

/// The longest filter, in bytes, and how deep its brackets go.
const LONGEST: usize = 4_000;
const DEEPEST: usize = 16;

/// A filter.
#[derive(Clone, PartialEq, Debug)]
pub enum Filter {
    /// An attribute compared.
    Compare(Vec<String>, Operator, Value),
    /// An attribute is there.
    Present(Vec<String>),
    /// One of several values of an attribute is as the filter says.
    Any(Vec<String>, Box<Filter>),
    /// Each of them.
    And(Box<Filter>, Box<Filter>),
    /// One of them.
    Or(Box<Filter>, Box<Filter>),
    /// Not that.
    Not(Box<Filter>),
}

/// How two values are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    /// The same.
    Eq,
    /// Another.
    Ne,
    /// It is in it.
    Co,
    /// It begins with it.
    Sw,
    /// It ends with it.
    Ew,
    /// Greater, or later.
    Gt,
    /// The same, or greater.
    Ge,
    /// Less, or earlier.
    Lt,
    /// The same, or less.
    Le,
}

impl Filter {
    /// Reads a filter.
    pub fn read(text: &str) -> Result<Filter, Error> {
        if text.len() > LONGEST {
            return Err(unclear(&format!("it is longer than {LONGEST} bytes")));
        }
        let mut parser = Parser { rest: text, depth: 0 };
        let filter = parser.either()?;
        match parser.rest.trim_start() {
            "" => Ok(filter),
            rest => Err(unclear(&format!("`{}` is too much", shortened(rest)))),
        }
    }

    /// Does `value` fit?
    pub fn fits(&self, value: &Value) -> bool {
        match self {
            Filter::Compare(path, operator, other) => {
                let exact = path.last().is_some_and(|name| name == "id" || name == "externalId");
                let found = compared(value, path);
                match operator {
                    Operator::Ne => !found.iter().any(|one| compare(one, Operator::Eq, other, exact)),
                    _ => found.iter().any(|one| compare(one, *operator, other, exact)),
                }
            }
            Filter::Present(path) => values(value, path).iter().any(|one| match one {
                Value::Null => false,
                Value::String(text) => !text.is_empty(),
                Value::Array(all) => !all.is_empty(),
                _ => true,
            }),
            Filter::Any(path, filter) => values(value, path).iter().any(|one| filter.fits(one)),
            Filter::And(one, other) => one.fits(value) && other.fits(value),
            Filter::Or(one, other) => one.fits(value) || other.fits(value),
            Filter::Not(filter) => !filter.fits(value),
        }
    }
}

/// What stands at a path; each of several values.
fn values<'v>(value: &'v Value, path: &[String]) -> Vec<&'v Value> {
    let all: Vec<&Value> = match value {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    let Some((name, rest)) = path.split_first() else { return all };
    let next = all.into_iter().filter_map(|one| {
        let fields = one.as_object()?;
        fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    });
    next.flat_map(|one| values(one, rest)).collect()
}

/// What is compared: of a value that has a `value`, that.
fn compared<'v>(value: &'v Value, path: &[String]) -> Vec<&'v Value> {
    values(value, path).into_iter().map(|one| one.get("value").unwrap_or(one)).collect()
}

fn compare(one: &Value, operator: Operator, other: &Value, exact: bool) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => {
            let fold = |text: &str| if exact { text.to_owned() } else { text.to_lowercase() };
            let (one, other) = (fold(one), fold(other));
            match operator {
                Operator::Eq => one == other,
                Operator::Ne => one != other,
                Operator::Co => one.contains(&other),
                Operator::Sw => one.starts_with(&other),
                Operator::Ew => one.ends_with(&other),
                Operator::Gt => one > other,
                Operator::Ge => one >= other,
                Operator::Lt => one < other,
                Operator::Le => one <= other,
            }
        }
        (Value::Number(one), Value::Number(other)) => {
            let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) else { return false };
            match operator {
                Operator::Eq => one == other,
                Operator::Gt => one > other,
                Operator::Ge => one >= other,
                Operator::Lt => one < other,
                Operator::Le => one <= other,
                _ => false,
            }
        }
        // Some providers compare with `"true"`.
        (Value::Bool(one), Value::String(other)) => operator == Operator::Eq && one.to_string() == other.to_lowercase(),
        (one, other) => operator == Operator::Eq && one == other,
    }
}

/// Reads from the front of what is left.
struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl Parser<'_> {
    fn either(&mut self) -> Result<Filter, Error> {
        let mut all = self.both()?;
        while self.word("or") {
            all = Filter::Or(Box::new(all), Box::new(self.both()?));
        }
        Ok(all)
    }

    fn both(&mut self) -> Result<Filter, Error> {
        let mut all = self.one()?;
        while self.word("and") {
            all = Filter::And(Box::new(all), Box::new(self.one()?));
        }
        Ok(all)
    }

    fn one(&mut self) -> Result<Filter, Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(unclear(&format!("its brackets are more than {DEEPEST} deep")));
        }
        let not = self.word("not");
        let filter = if self.sign('(') {
            let inside = self.either()?;
            self.expect(')')?;
            inside
        } else {
            self.attribute()?
        };
        self.depth -= 1;
        Ok(if not { Filter::Not(Box::new(filter)) } else { filter })
    }

    fn attribute(&mut self) -> Result<Filter, Error> {
        let path = self.path()?;
        if self.sign('[') {
            let inside = self.either()?;
            self.expect(']')?;
            return Ok(Filter::Any(path, Box::new(inside)));
        }
        if self.word("pr") {
            return Ok(Filter::Present(path));
        }
        let operators = [
            ("eq", Operator::Eq),
            ("ne", Operator::Ne),
            ("co", Operator::Co),
            ("sw", Operator::Sw),
            ("ew", Operator::Ew),
            ("gt", Operator::Gt),
            ("ge", Operator::Ge),
            ("lt", Operator::Lt),
            ("le", Operator::Le),
        ];
        match operators.into_iter().find(|(word, _)| self.word(word)) {
            Some((_, operator)) => Ok(Filter::Compare(path, operator, self.value()?)),
            None => Err(unclear(&format!("expected `eq`, `sw`, `co`, … at `{}`", shortened(self.rest)))),
        }
    }

    /// A name, perhaps behind a schema, and a name in it.
    fn path(&mut self) -> Result<Vec<String>, Error> {
        self.rest = self.rest.trim_start();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_$.:".contains(c);
        let end = self.rest.find(|c: char| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            return Err(unclear(&format!("expected the name of an attribute at `{}`", shortened(self.rest))));
        }
        self.rest = rest;
        Ok(parts(name))
    }

    fn value(&mut self) -> Result<Value, Error> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) if !value.is_object() && !value.is_array() => {
                self.rest = &self.rest[values.byte_offset()..];
                Ok(value)
            }
            _ => Err(unclear(&format!(
                "expected a text in quotes, a number, `true`, `false` or `null` at `{}`",
                shortened(self.rest)
            ))),
        }
    }

    /// Takes `word`, if it is next.
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        let Some((head, tail)) = rest.split_at_checked(word.len()) else { return false };
        if head.eq_ignore_ascii_case(word) && !tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.') {
            self.rest = tail;
            return true;
        }
        false
    }

    fn sign(&mut self, sign: char) -> bool {
        match self.rest.trim_start().strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, sign: char) -> Result<(), Error> {
        if self.sign(sign) { Ok(()) } else { Err(unclear(&format!("expected `{sign}` at `{}`", shortened(self.rest)))) }
    }
}

/// The names that lead to an attribute: a dot in a schema's name (`…:2.0:User`) leads nowhere.
pub(super) fn parts(name: &str) -> Vec<String> {
    let (schema, rest) = match name.rfind(':') {
        Some(at) => name.split_at(at),
        None => ("", name),
    };
    let rest = rest.trim_start_matches(':');
    let (first, inside) = rest.split_once('.').unwrap_or((rest, ""));
    let whole = if schema.is_empty() { first.to_owned() } else { format!("{schema}:{first}") };
    let mut all = match spelt(&whole) {
        // An attribute of an extension is in the object of that name.
        extension if extension.contains(':') && !schema.is_empty() && extension != *super::resource::ENTERPRISE => {
            vec![spelt(schema), first.to_owned()]
        }
        own => vec![own],
    };
    all.extend(inside.split('.').filter(|part| !part.is_empty()).map(str::to_owned));
    all
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(40).collect()
}

fn unclear(why: &str) -> Error {
    Error { code: Some("invalidFilter"), ..wrong(&format!("the filter cannot be read: {why}")) }
}
