//! Purge: the ways to forget on demand.

use super::Cache;
use crate::types::entry::Entry;
use crate::types::ids::EntryId;

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

impl Cache {
    /// Forgets what `purge` names, in memory at once and on disk before the next flush. Gives how many entries.
    pub async fn purge(&self, purge: &Purge) -> usize {
        let gone = match purge {
            Purge::Entry(id) => self.entries.remove(*id).into_iter().collect(),
            other => self.entries.remove_where(|entry| other.matches(entry)),
        };
        if *purge == Purge::All && self.entries.len() == 0 {
            self.writer.clear();
        } else {
            self.forget(&gone);
        }
        self.writer.flush().await;
        gone.len()
    }
}
