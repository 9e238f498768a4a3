//! The stores of this machine: the environment and files.

use super::ask::Failure;
use crate::types::reference::{Reference, Store};
use crate::types::secret::Secret;
use std::io::{ErrorKind, Read};

/// A file with a secret is no larger than this.
const FILE_BYTES: u64 = 64 << 10;

/// Reads what `reference`, of a store of this machine, stands for.
pub(super) fn read(reference: &Reference, variable: &dyn Fn(&str) -> Option<String>) -> Result<Secret, Failure> {
    let text = match reference.store {
        Store::Env => variable(&reference.place).ok_or_else(|| Failure::lasting("the variable is not set"))?,
        _ => file(&reference.place)?,
    };
    if text.is_empty() {
        return Err(Failure::lasting("it is empty"));
    }
    Ok(Secret::new(text))
}

/// What the file holds, without the white space around it. Only the system's word for what is wrong is told.
fn file(path: &str) -> Result<String, Failure> {
    let wrong = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Failure::lasting("there is no such file"),
        ErrorKind::PermissionDenied => Failure::lasting("the file may not be read by this user"),
        kind => Failure::lasting(format!("the file cannot be read: {kind}")),
    };
    // A pipe would keep everybody waiting.
    if !std::fs::metadata(path).map_err(wrong)?.is_file() {
        return Err(Failure::lasting("it is no file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(wrong)?.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(Failure::lasting("the file is larger than 64KiB, which no secret is"));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::lasting("the file is not UTF-8 text"))?;
    Ok(text.trim().to_owned())
}
