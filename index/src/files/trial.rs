//! [`TrialDisk`]: a real disk that can be told to fail, to be full, to die at any step, and to lose what was not synced, as in a power cut.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::files::disk::{Disk, Medium, RealDisk};

/// Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct TrialDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    steps: u64,
    /// The step at which the process dies; from then on nothing happens.
    dies_at: Option<u64>,
    /// Bytes that still fit, and whether cutting fails too.
    room: Option<(u64, bool)>,
    syncs_fail: bool,
    syncs: u64,
    sync_takes: Duration,
    files: Vec<Arc<Mutex<TrialFile>>>,
    /// What was done to names since the folder was synced.
    names: Vec<Naming>,
}

struct TrialFile {
    path: PathBuf,
    synced: u64,
    /// Removed: a file may come under its name again.
    gone: bool,
}

enum Naming {
    Created(PathBuf),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf, Vec<u8>),
}

fn died() -> io::Error {
    io::Error::other("the process is dead")
}

impl TrialDisk {
    /// Lets `steps` more steps happen.
    pub(crate) fn die_after(&self, steps: u64) {
        let mut state = self.0.lock();
        state.dies_at = Some(state.steps + steps);
    }

    pub(crate) fn is_dead(&self) -> bool {
        let state = self.0.lock();
        state.dies_at.is_some_and(|at| state.steps >= at)
    }

    pub(crate) fn set_room(&self, bytes: Option<u64>, cut_fails: bool) {
        self.0.lock().room = bytes.map(|bytes| (bytes, cut_fails));
    }

    pub(crate) fn set_sync(&self, takes: Duration, fails: bool) {
        let mut state = self.0.lock();
        (state.sync_takes, state.syncs_fail) = (takes, fails);
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Takes back what was not synced.
    pub(crate) fn cut_power(&self) {
        let mut state = self.0.lock();
        for file in &state.files {
            let file = file.lock();
            if !file.gone && file.path.exists() {
                let real = std::fs::File::options().write(true).open(&file.path).unwrap();
                let len = real.metadata().unwrap().len();
                real.set_len(file.synced.min(len)).unwrap();
            }
        }
        for naming in std::mem::take(&mut state.names).into_iter().rev() {
            match naming {
                Naming::Created(path) => drop(std::fs::remove_file(path)),
                Naming::Renamed(from, to) => drop(std::fs::rename(to, from)),
                Naming::Removed(path, bytes) => drop(std::fs::write(path, bytes)),
            }
        }
    }

    fn step(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.dies_at.is_some_and(|at| state.steps >= at) {
            return Err(died());
        }
        state.steps += 1;
        if state.dies_at.is_some_and(|at| state.steps >= at) { Err(died()) } else { Ok(()) }
    }

    fn medium(&self, path: &Path, real: Arc<dyn Medium>, synced: u64) -> Arc<dyn Medium> {
        let file = Arc::new(Mutex::new(TrialFile { path: path.to_owned(), synced, gone: false }));
        self.0.lock().files.push(Arc::clone(&file));
        Arc::new(TrialMedium { disk: self.clone(), file, real })
    }
}

impl Disk for TrialDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Medium>> {
        self.step()?;
        let real = RealDisk.create(path)?;
        self.0.lock().names.push(Naming::Created(path.to_owned()));
        Ok(self.medium(path, real, 0))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn Medium>> {
        self.step()?;
        Ok(self.medium(path, RealDisk.open(path)?, std::fs::metadata(path)?.len()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.rename(from, to)?;
        let mut state = self.0.lock();
        for file in &state.files {
            let mut file = file.lock();
            if file.path == from && !file.gone {
                file.path = to.to_owned();
            }
        }
        state.names.push(Naming::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let bytes = std::fs::read(path)?;
        RealDisk.remove(path)?;
        let mut state = self.0.lock();
        for file in state.files.iter().filter(|file| file.lock().path == path) {
            file.lock().gone = true;
        }
        state.names.push(Naming::Removed(path.to_owned(), bytes));
        Ok(())
    }

    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.sync_folder(dir)?;
        self.0.lock().names.clear();
        Ok(())
    }
}

struct TrialMedium {
    disk: TrialDisk,
    file: Arc<Mutex<TrialFile>>,
    real: Arc<dyn Medium>,
}

impl Medium for TrialMedium {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let already = self.disk.is_dead();
        if let Err(error) = self.disk.step() {
            // It died in the middle of it.
            if !already {
                self.real.append(&bytes[..bytes.len() / 2])?;
            }
            return Err(error);
        }
        let mut state = self.disk.0.lock();
        let Some((left, _)) = state.room.as_mut() else {
            drop(state);
            return self.real.append(bytes);
        };
        let fits = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= fits as u64;
        self.real.append(&bytes[..fits])?;
        if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.step()?;
        match self.disk.0.lock().room {
            Some((_, true)) => Err(io::ErrorKind::StorageFull.into()),
            _ => self.real.truncate(len),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step()?;
        let len = std::fs::metadata(&self.file.lock().path).map_or(0, |meta| meta.len());
        let (takes, fails) = {
            let mut state = self.disk.0.lock();
            state.syncs += 1;
            (state.sync_takes, state.syncs_fail)
        };
        std::thread::sleep(takes);
        if fails {
            return Err(io::Error::other("input/output error"));
        }
        self.real.sync()?;
        let mut file = self.file.lock();
        file.synced = file.synced.max(len);
        Ok(())
    }
}
