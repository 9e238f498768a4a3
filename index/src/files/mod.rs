//! What lies in the index's folder: a log of changes and checkpoints of all that it holds, in *generations*.
//!
//! `checkpoint-<n>.bin` holds all that came before `log-<n>.log` began, and maybe some of what that log says: reading a
//! change twice ends in the same state.
//!
//! | file | job |
//! |---|---|
//! | `image` | what a checkpoint holds of a scope, lent from the mapped file |

#![allow(dead_code)] // until the index calls it

pub(crate) mod image;
