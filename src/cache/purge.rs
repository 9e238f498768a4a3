//! Purge: the ways to forget on demand.

use super::Cache;
use crate::types::entry::Entry;
use crate::types::ids::EntryId;
use std::sync::atomic::Ordering;

/// What to forget.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purge {
    /// One entry.
    Entry(EntryId),
    /// All entries that carry this tag.
    Tag(String),
    /// All entries of a tenant.
    Tenant(String),
    /// All entries of a model, by the name callers use.
    Model(String),
    /// Everything.
    All,
}

impl Purge {
    fn matches(&self, entry: &Entry) -> bool {
        match self {
            Purge::Entry(id) => entry.id == *id,
            Purge::Tag(tag) => entry.tags.contains(tag),
            Purge::Tenant(tenant) => entry.tenant.name() == *tenant,
            Purge::Model(model) => entry.model == *model,
            Purge::All => true,
        }
    }
}

/// What a purge did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Purged {
    /// Entries that are gone from memory.
    pub entries: usize,
    /// They are gone from the disk too; if not, a restart brings them back.
    pub on_disk: bool,
}

impl Cache {
    /// Forgets what `purge` names, in memory and on disk, and answers to requests that are under way.
    pub async fn purge(&self, purge: &Purge) -> Purged {
        let errors = self.writer.errors();
        // Before the entries go, so that none comes in after them.
        self.purges.fetch_add(1, Ordering::SeqCst);
        let gone = match purge {
            Purge::Entry(id) => self.entries.remove(*id).into_iter().collect(),
            other => self.entries.remove_where(|entry| other.matches(entry)),
        };
        if *purge == Purge::All && self.entries.len() == 0 {
            self.writer.clear();
        } else {
            self.forget(&gone);
            self.writer.compact();
        }
        self.writer.flush().await;
        Purged { entries: gone.len(), on_disk: self.writer.errors() == errors }
    }
}
