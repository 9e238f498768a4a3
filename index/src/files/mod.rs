//! What lies in the index's folder: a log of changes and checkpoints of all that it holds, in *generations*.
//!
//! `checkpoint-<n>.bin` holds all that came before `log-<n>.log` began, and maybe some of what that log says: reading a
//! change twice ends in the same state.
//!
//! | file | job |
//! |---|---|
//! | `folder` | [`folder::Folder`]: log and checkpoints put together; when a checkpoint is due, and its steps |
//! | `open` | what a start finds: which generation counts, what is read, what is set aside |
//! | `inspect` | which files may count; what is told and kept of the others |
//! | `replay` | reading a log back, whatever has happened to it |
//! | `log` | appending to the log; group commit |
//! | `record`, `header`, `section` | the bytes of a record, of a file's beginning, of a part of a checkpoint |
//! | `writer`, `reader`, `map` | writing a checkpoint; reading one; a file as memory |
//! | `image` | what a checkpoint holds of a scope, lent from the mapped file |
//! | `old` | the header of format version 1 |
//! | `names`, `disk` | file names and what is set aside; the file system below, as far as it can fail |
//! | `check` | looking through a folder without changing it |

pub(crate) mod check;
pub(crate) mod disk;
pub(crate) mod folder;
pub(crate) mod header;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod log;
pub(crate) mod map;
pub(crate) mod names;
pub(crate) mod old;
pub(crate) mod open;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod section;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod trial;
pub(crate) mod writer;

/// Name of the file whose lock says that the folder is in use.
pub(crate) const LOCK: &str = "vectors.lock";
