//! `${VAR}` and `${VAR:-default}` in text: replaced once, after the YAML is read, so that no variable can add keys.

use super::error::ConfigError;
use super::file::{Node, Text, Value};

/// Looks up one environment variable.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Replaces the variables in every text below `node`, which stands at `path`. Keys are left alone.
pub(super) fn expand_tree(node: &mut Node, path: &str, env: &Env<'_>) -> Result<(), ConfigError> {
    match &mut node.value {
        Value::Text(Text { text, written, .. }) => {
            if text.contains('$') {
                let expanded = expand(text, env).map_err(|problem| problem.at(path, node.at))?;
                *written = Some(std::mem::replace(text, expanded));
            }
        }
        Value::List(nodes) => {
            for (index, node) in nodes.iter_mut().enumerate() {
                expand_tree(node, &format!("{path}[{index}]"), env)?;
            }
        }
        Value::Map(entries) => {
            for (key, node) in entries {
                expand_tree(node, &join(path, &key.text), env)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
    }
    Ok(())
}

/// The path of `key` in the map at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What is wrong with a text that holds variables.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// What was expected, and what came.
    pub message: String,
    suggestion: String,
}

impl Problem {
    fn new(message: impl Into<String>, suggestion: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: suggestion.into() }
    }

    fn at(self, path: &str, at: Option<super::Position>) -> ConfigError {
        ConfigError::new(path, at, self.message).with_suggestion(self.suggestion)
    }
}

/// Replaces the variables in `text`; `$$` becomes `$`. What a variable holds is not looked at again.
pub(super) fn expand(text: &str, env: &Env<'_>) -> Result<String, Problem> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (inside, after) = after.split_once('}').ok_or_else(|| {
                Problem::new("a `${` without its `}`", "write `${NAME}`, or `$$` where a dollar sign is meant")
            })?;
            expanded.push_str(&variable(inside, env)?);
            rest = after;
        } else if after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(Problem::new(
                "a `$` before a name",
                "write `${NAME}` for a variable, or `$$` where a dollar sign is meant",
            ));
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The value of `NAME` or `NAME:-default`.
fn variable(inside: &str, env: &Env<'_>) -> Result<String, Problem> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let first = name.chars().next();
    let is_name =
        first.is_some_and(|c| !c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name || default.is_some_and(|default| default.contains("${")) {
        return Err(Problem::new(
            "what stands between `${` and `}` is neither `NAME` nor `NAME:-default`",
            "a name is made of letters, digits and `_`, and a default holds no other variable",
        ));
    }
    match (env(name), default) {
        // As in a shell, `:-` stands in for an empty variable too.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Problem::new(
            format!("the environment variable `{name}` is not set"),
            format!("set it, or write `${{{name}:-default}}`"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".into()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${A} $A $$".into()),
            _ => None,
        }
    }

    #[test]
    fn replaces_each_variable_once() {
        let cases = [
            ("${A}", "one"),
            ("-${A}-${A}-", "-one-one-"),
            ("${EMPTY}", ""),
            ("${EMPTY:-two}", "two"),
            ("${NONE:-two}", "two"),
            ("${NONE:-}", ""),
            ("${A:-two}", "one"),
            ("${NONE:-~/.local/share}/askonce", "~/.local/share/askonce"),
            ("$${A}", "${A}"),
            ("$$$${A}", "$${A}"),
            ("$$${A}", "$one"),
            ("costs 5$", "costs 5$"),
            ("$5 and $ 6", "$5 and $ 6"),
            ("${TRICKY}", "${A} $A $$"),
            ("}{", "}{"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_replace() {
        let cases = [
            ("${NONE}", "the environment variable `NONE` is not set"),
            ("${A", "a `${` without its `}`"),
            ("$A", "a `$` before a name"),
            ("${}", "what stands between `${` and `}` is neither `NAME` nor `NAME:-default`"),
            ("${1A}", "what stands between `${` and `}` is neither `NAME` nor `NAME:-default`"),
            ("${A B}", "what stands between `${` and `}` is neither `NAME` nor `NAME:-default`"),
            ("${A-x}", "what stands between `${` and `}` is neither `NAME` nor `NAME:-default`"),
            ("${NONE:-${A}}", "what stands between `${` and `}` is neither `NAME` nor `NAME:-default`"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env).map_err(|problem| problem.message), Err(expected.to_owned()), "{text}");
        }
    }
}
