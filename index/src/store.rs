//! [`Store`]: what the background work shares with the index: scopes and files, and what goes from one to the other.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::files::folder::{Folder, Settings};
use crate::files::image::Restored;
use crate::files::open::Sink;
use crate::files::record::Change;
use crate::files::writer::Writer;
use crate::scope::Scopes;
use crate::workshop::{Workshop, restore_graph};
use crate::{IndexConfig, IndexError};

/// Rows whose links are worth a checkpoint: to link them again would take about half a second.
const LINKS_FROM: usize = 4096;

/// Scopes and files.
pub(crate) struct Store {
    pub(crate) config: IndexConfig,
    pub(crate) scopes: Scopes,
    /// None for an index in memory.
    pub(crate) folder: Option<Folder>,
    /// Held for reading by every change, for writing by the one that forgets everything.
    pub(crate) gate: RwLock<()>,
    /// Live vectors in all scopes.
    pub(crate) live: AtomicUsize,
}

impl Store {
    pub(crate) fn new(config: IndexConfig, scopes: Scopes, folder: Option<Folder>) -> Store {
        let live = scopes.all().iter().map(|(_, p)| p.live()).sum();
        Store { config, scopes, folder, gate: RwLock::new(()), live: AtomicUsize::new(live) }
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Writes a change to the log, if there is one.
    pub(crate) fn write(&self, change: Change<'_>) -> Result<(), IndexError> {
        self.folder.as_ref().map_or(Ok(()), |folder| folder.append(change))
    }

    /// Whether a checkpoint should be written. Says so to one caller, who then has to call [`Store::checkpoint`].
    pub(crate) fn claim_checkpoint(&self) -> bool {
        self.folder.as_ref().is_some_and(Folder::claim_checkpoint)
    }

    /// Writes a checkpoint, and another while one is due: no later change may come to ask for it. For the background thread:
    /// no graph may be changed meanwhile.
    pub(crate) fn checkpoint(&self, shop: &Workshop) {
        let Some(folder) = &self.folder else { return };
        let stop = &shop.stop;
        loop {
            shop.linked.store(0, Ordering::Relaxed);
            let written = folder.checkpoint(stop, |writer| self.write_down(writer));
            if let Err(error) = written
                && !stop.load(Ordering::Relaxed)
            {
                tracing::warn!(%error, "a checkpoint of the vector index could not be written; its log goes on");
            }
            if stop.load(Ordering::Relaxed) || !folder.claim_checkpoint() {
                return;
            }
        }
    }

    /// Writes a checkpoint when enough rows have gone into graphs since the last one that a restart should not have to link
    /// them again. For the background thread, between jobs; `idle` says that it has nothing else to do.
    pub(crate) fn keep_links(&self, shop: &Workshop, idle: bool) {
        let (linked, live) = (shop.linked.load(Ordering::Relaxed), self.live());
        let share = if idle { live / 4 } else { live / 2 };
        let due = linked >= LINKS_FROM && linked >= share;
        if due && self.folder.as_ref().is_some_and(Folder::claim_for_links) {
            self.checkpoint(shop);
        }
    }

    fn write_down(&self, writer: &mut Writer<'_>) -> io::Result<()> {
        for (scope, partition) in self.scopes.all() {
            writer.begin(scope);
            partition.each_flat(&mut |id, row| writer.row(id, row));
            writer.spill()?;
            if let Some(graph) = partition.graph() {
                writer.graph(scope, &*graph)?;
            }
        }
        Ok(())
    }
}

/// What the files of an index with this configuration are for.
pub(crate) fn settings(config: &IndexConfig) -> Settings {
    Settings {
        width: config.width,
        variant: config.variant.clone(),
        sync_window: config.sync_window,
        checkpoint_from_bytes: config.checkpoint_from_bytes,
    }
}

/// Puts what the files hold into scopes.
pub(crate) struct Restoring<'a> {
    pub(crate) scopes: &'a Scopes,
    pub(crate) config: &'a IndexConfig,
}

impl Sink for Restoring<'_> {
    fn restore(&self, restored: Restored<'_>) {
        let mut flat = restored.flat;
        let graph = restored.graph.and_then(|image| {
            let graph = restore_graph(self.config, &image);
            if graph.is_none() {
                // They are drained into a new one.
                flat.extend(image.entries());
            }
            graph
        });
        self.scopes.get_or_create(restored.scope, self.config).restore(&flat, graph);
    }

    fn apply(&self, change: Change<'_>) {
        match change {
            Change::Insert { scope, id, row } => {
                if let Some(mut writer) = self.scopes.get_or_create(scope, self.config).writer() {
                    writer.insert(id, row);
                }
            }
            Change::Remove { scope, id } => {
                if let Some(partition) = self.scopes.get(scope) {
                    partition.writer().map(|mut writer| writer.remove(id));
                    self.scopes.retire_empty(scope, &partition);
                }
            }
        }
    }
}
