//! [`Index`]: scopes, files and background worker put together.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::files::LOCK;
use crate::files::disk::RealDisk;
use crate::files::folder::Folder;
use crate::files::record::Change;
use crate::kernels::Kernels;
use crate::lookup;
use crate::quantize::{Query, Row};
use crate::scope::Scopes;
use crate::store::{Restoring, Store, settings};
use crate::top::Top;
use crate::worker::{Job, Worker};
use crate::workshop::Workshop;
use crate::{IndexConfig, IndexError, IndexStats, Neighbor, Recovery, ScopeKey, vector};

/// An index of unit vectors, partitioned by scope. `Send + Sync`: share it as `Arc<Index>`.
///
/// Dropping it waits for the background step at hand, and for the disk to have all changes.
pub struct Index {
    store: Arc<Store>,
    worker: Worker,
    /// Unlocks the folder when it is dropped, after all else.
    _lock: Option<File>,
}

impl Index {
    /// An empty index that is gone when it is dropped.
    ///
    /// # Errors
    /// [`IndexError::Config`] for settings that no index can work with; [`IndexError::Thread`].
    pub fn in_memory(config: IndexConfig) -> Result<Index, IndexError> {
        config.check()?;
        Index::assemble(config, Scopes::new(), None, None)
    }

    /// Opens, or begins, the index whose files lie in the folder `dir` (created if need be), and says what it found there.
    /// Lookups find every vector at once; graphs of large scopes are built in the background.
    ///
    /// # Errors
    /// [`IndexError::Locked`] when another index has the folder open; [`IndexError::Io`] when the disk refuses;
    /// [`IndexError::Config`]; [`IndexError::Thread`]. A damaged file is no error: see [`Recovery`].
    pub fn open(dir: &Path, config: IndexConfig) -> Result<(Index, Recovery), IndexError> {
        config.check()?;
        std::fs::create_dir_all(dir).map_err(IndexError::io("create", dir))?;
        let lock = lock(dir)?;
        let scopes = Scopes::new();
        let sink = Restoring { scopes: &scopes, config: &config };
        let (folder, notes) = Folder::open(dir, settings(&config), Arc::new(RealDisk), &sink)?;
        let index = Index::assemble(config, scopes, Some(folder), Some(lock))?;
        for (_, partition) in index.store.scopes.all() {
            index.worker.tend(&partition);
        }
        index.checkpoint_if_due();
        let live = index.store.live();
        Ok((index, Recovery { live, notes }))
    }

    fn assemble(
        config: IndexConfig,
        scopes: Scopes,
        folder: Option<Folder>,
        lock: Option<File>,
    ) -> Result<Index, IndexError> {
        let shop = Arc::new(Workshop::new(config.clone())?);
        let store = Arc::new(Store::new(config, scopes, folder));
        let its_store = Arc::clone(&store);
        let worker = Worker::start(shop, move |shop, idle| its_store.keep_links(shop, idle))?;
        Ok(Index { store, worker, _lock: lock })
    }

    /// Stores `vector` under `id` in `scope`, replacing what was there. The next lookup sees it. The log has it before
    /// this returns, so that a killed process loses nothing, and the disk within [`IndexConfig::sync_window`].
    ///
    /// # Errors
    /// A vector that is not of the configured width, finite and of length 1 (within 0.001) is refused.
    /// [`IndexError::NotWritten`]: it is stored and found, but a restart would lose it.
    pub fn insert(&self, scope: ScopeKey, id: u64, vector: &[f32]) -> Result<(), IndexError> {
        vector::check(vector, self.store.config.width)?;
        let row = Row::new(vector);
        let _gate = self.store.gate.read();
        let (partition, written) = loop {
            let partition = self.store.scopes.get_or_create(scope, &self.store.config);
            let Some(mut writer) = partition.writer() else { continue };
            let written = self.store.write(Change::Insert { scope, id, row: row.view() });
            if !writer.insert(id, row.view()) {
                self.store.live.fetch_add(1, Ordering::Relaxed);
            }
            drop(writer);
            break (partition, written);
        };
        self.worker.tend(&partition);
        self.checkpoint_if_due();
        written
    }

    /// Forgets `id` in `scope`; says whether it was there.
    ///
    /// # Errors
    /// [`IndexError::NotWritten`]: it is forgotten, but a restart would bring it back.
    pub fn remove(&self, scope: ScopeKey, id: u64) -> Result<bool, IndexError> {
        let _gate = self.store.gate.read();
        let Some(partition) = self.store.scopes.get(scope) else {
            return Ok(false);
        };
        let (written, empty) = {
            let Some(mut writer) = partition.writer() else { return Ok(false) };
            if !writer.remove(id) {
                return Ok(false);
            }
            self.store.live.fetch_sub(1, Ordering::Relaxed);
            (self.store.write(Change::Remove { scope, id }), partition.live() == 0)
        };
        if empty && self.store.scopes.retire_empty(scope, &partition) {
            self.worker.push(Job::Free(vec![partition]));
        } else {
            self.worker.tend(&partition);
        }
        self.checkpoint_if_due();
        written.map(|()| true)
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// [`IndexError::NotWritten`]: all is forgotten, but a restart would bring it back.
    pub fn clear(&self) -> Result<(), IndexError> {
        let _gate = self.store.gate.write();
        // Memory first: a checkpoint that begins in between is thrown away, and one that begins later finds nothing.
        let retired = self.store.scopes.retire_all();
        self.store.live.store(0, Ordering::Relaxed);
        let written = self.store.folder.as_ref().map_or(Ok(()), Folder::clear);
        self.worker.push(Job::Free(retired));
        written
    }

    /// Whether `scope` holds a vector under `id`.
    pub fn contains(&self, scope: ScopeKey, id: u64) -> bool {
        self.store.scopes.get(scope).is_some_and(|partition| partition.contains(id))
    }

    /// Every stored (scope, id), in no order. For reconciling with what the caller keeps beside the index.
    pub fn ids(&self) -> Vec<(ScopeKey, u64)> {
        let mut ids = Vec::with_capacity(self.store.live());
        for (scope, partition) in self.store.scopes.all() {
            ids.extend(partition.ids().into_iter().map(|id| (scope, id)));
        }
        ids
    }

    /// The `k` stored vectors of `scope` most similar to `vector`, of those with at least `min_similarity`: best first,
    /// equals by id. A stored vector is always found by itself. In a scope without a graph the answer is exact when
    /// `min_similarity` is -1 or less, and as good as exact otherwise (rows whose signs differ far too much are passed over);
    /// in one with a graph, the nearest may rarely be missed. Waits for no insert and no background work.
    ///
    /// # Errors
    /// A vector of the wrong shape (as for [`Index::insert`]), or a `min_similarity` that is NaN.
    pub fn nearest(
        &self,
        scope: ScopeKey,
        vector: &[f32],
        k: usize,
        min_similarity: f32,
    ) -> Result<Vec<Neighbor>, IndexError> {
        vector::check(vector, self.store.config.width)?;
        if min_similarity.is_nan() {
            return Err(IndexError::BadBound);
        }
        let Some(partition) = self.store.scopes.get(scope) else {
            return Ok(Vec::new());
        };
        let top = Top::new(k, min_similarity);
        Ok(lookup::nearest(&partition, &Query::new(vector), top, self.store.config.ef_search))
    }

    /// What the index holds now. Visits every scope: milliseconds when there are many.
    pub fn stats(&self) -> IndexStats {
        let mut stats = IndexStats {
            file_bytes: self.store.folder.as_ref().map_or(0, Folder::bytes),
            write_errors: self.store.folder.as_ref().map_or(0, Folder::write_errors),
            kernels: Kernels::get().name,
            pending: self.worker.pending(),
            ..IndexStats::default()
        };
        for (_, partition) in self.store.scopes.all() {
            partition.count(&mut stats);
        }
        stats
    }

    /// Has the system write all changes to the disk now, rather than within [`IndexConfig::sync_window`], so that they survive a
    /// power cut too. Takes milliseconds; inserts and lookups go on meanwhile.
    ///
    /// # Errors
    /// [`IndexError::Io`] when the disk refuses.
    pub fn flush(&self) -> Result<(), IndexError> {
        self.store.folder.as_ref().map_or(Ok(()), Folder::sync)
    }

    /// Waits until the background work is done. For tests, benchmarks and replay.
    pub fn settle(&self) {
        self.worker.settle();
    }

    fn checkpoint_if_due(&self) {
        if self.store.claim_checkpoint() {
            let store = Arc::clone(&self.store);
            self.worker.push(Job::Run(Box::new(move |shop| store.checkpoint(shop))));
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // The thread first: a checkpoint under way writes down the scopes it finds.
        self.worker.stop();
        self.worker.free(&self.store.scopes.retire_all());
    }
}

/// Locks the folder against other indexes, in this process or another, until the file is dropped.
fn lock(dir: &Path) -> Result<File, IndexError> {
    let path = dir.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(IndexError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(IndexError::Locked { dir: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(IndexError::io("lock", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::trial::TrialDisk;

    const SCOPE: ScopeKey = ScopeKey([1; 16]);

    #[test]
    fn on_a_full_disk_vectors_are_found_and_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let config = IndexConfig::new(2, "v");
        let (scopes, disk) = (Scopes::new(), TrialDisk::default());
        let sink = Restoring { scopes: &scopes, config: &config };
        let (folder, _) = Folder::open(dir.path(), settings(&config), Arc::new(disk.clone()), &sink).unwrap();
        let lock = lock(dir.path()).unwrap();
        let index = Index::assemble(config.clone(), scopes, Some(folder), Some(lock)).unwrap();

        index.insert(SCOPE, 1, &[1.0, 0.0]).unwrap();
        disk.set_room(Some(10), true);
        assert!(matches!(index.insert(SCOPE, 2, &[0.0, 1.0]), Err(IndexError::NotWritten { .. })));
        assert!(matches!(index.remove(SCOPE, 1), Err(IndexError::NotWritten { .. })));
        assert_eq!(index.nearest(SCOPE, &[0.0, 1.0], 5, 0.5).unwrap()[0].id, 2);
        assert_eq!((index.stats().write_errors, index.stats().live), (2, 1));

        // Once a write succeeds again, a checkpoint holds what the log lacks.
        disk.set_room(None, false);
        index.insert(SCOPE, 3, &[-1.0, 0.0]).unwrap();
        index.settle();
        drop(index);
        let (index, recovery) = Index::open(dir.path(), config).unwrap();
        let mut ids: Vec<u64> = index.ids().iter().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        assert_eq!((ids, recovery.notes), (vec![2, 3], vec![]));
    }
}
