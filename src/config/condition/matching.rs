//! `matches` of conditions, in place of the crate's own, which compiles a regular expression anew in each evaluation. Those that
//! conditions hold as they are written are compiled with them, and known here for as long as a condition has them.

use cel::common::types::{CelBool, CelString};
use cel::{Env, ExecutionError};
use parking_lot::RwLock;
use regex::Regex;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

/// By what is written. A function of the crate is a plain one, so there is no place nearer to the condition.
static KNOWN: LazyLock<RwLock<HashMap<String, Weak<Regex>>>> = LazyLock::new(RwLock::default);

/// A regular expression that is written in a condition, and known to `matches` as long as this is held.
pub(super) fn pattern(written: &str) -> Result<Arc<Regex>, String> {
    let mut known = KNOWN.write();
    if let Some(pattern) = known.get(written).and_then(Weak::upgrade) {
        return Ok(pattern);
    }
    let pattern = Arc::new(Regex::new(written).map_err(|_| format!("`{written}` is no regular expression"))?);
    // Those of conditions that are no more go when others come.
    known.retain(|_, pattern| pattern.strong_count() > 0);
    known.insert(written.to_owned(), Arc::downgrade(&pattern));
    Ok(pattern)
}

/// Gives `env` the function `matches`, in both of its forms.
pub(super) fn add_to(env: &mut Env) -> Result<(), cel::DeclarationError> {
    cel::add_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>, id = "matches")?;
    cel::add_member_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>)
}

fn matches(text: &CelString<'_>, written: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    let known = KNOWN.read().get(written.inner()).and_then(Weak::upgrade);
    if let Some(pattern) = known {
        return Ok(CelBool::from(pattern.is_match(text.inner())));
    }
    match Regex::new(written.inner()) {
        Ok(pattern) => Ok(CelBool::from(pattern.is_match(text.inner()))),
        Err(error) => Err(ExecutionError::FunctionError {
            function: "matches".to_owned(),
            message: format!("`{}` is not a valid regex: {error}", written.inner()),
        }),
    }
}
