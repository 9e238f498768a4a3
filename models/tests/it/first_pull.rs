//! Models whose manifest has no checksums: what the hub says on the first pull is kept, and binding from then on.

use std::collections::HashMap;
use std::time::Duration;

use askonce_models::{
    Embedder, EmbedderSettings, LOCK_FILE, ModelError, ModelManifest, ModelStore, Pin, PullSources, Pulled, Quiet,
};
use tempfile::TempDir;

use crate::support::hub::{COMMIT, Hub, Manner};
use crate::support::tiny::Tiny;

struct Setting {
    source: TempDir,
    root: TempDir,
    manifest: ModelManifest,
}

/// A model in a folder, and a manifest of it that knows a revision only.
fn setting(revision: &str) -> Setting {
    let source = tempfile::tempdir().unwrap();
    let mut manifest = Tiny::new().write(source.path());
    manifest.source.pin = Pin::OnFirstPull;
    manifest.source.revision = revision.into();
    for entry in &mut manifest.source.files {
        (entry.bytes, entry.sha256) = (0, String::new());
    }
    Setting { source, root: tempfile::tempdir().unwrap(), manifest }
}

impl Setting {
    fn store(&self) -> ModelStore {
        ModelStore::new(self.root.path().to_owned())
    }

    fn hub(&self, manner: Manner) -> Hub {
        let files = self.manifest.source.files.iter();
        let read = |path: &str| std::fs::read(self.source.path().join(path)).unwrap();
        Hub::start(files.map(|entry| (entry.path.clone(), read(&entry.path))).collect::<HashMap<_, _>>(), manner)
    }

    fn pull_with(&self, hub: Option<&Hub>, folder: bool) -> Result<Pulled, ModelError> {
        let sources = PullSources {
            hub: hub.map(|hub| hub.endpoint.clone()),
            folders: if folder { vec![self.source.path().to_owned()] } else { Vec::new() },
            python: None,
            connect_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_millis(300),
            package_timeout: Duration::from_secs(60),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.store().pull_from(&self.manifest, None, &Quiet, &sources))
    }

    fn pull(&self, manner: Manner) -> Result<Pulled, ModelError> {
        self.pull_with(Some(&self.hub(manner)), false)
    }
}

#[test]
fn a_branch_is_pinned_to_its_commit() {
    let setting = setting("main");
    assert!(setting.store().locate(&setting.manifest).is_none());
    let hub = setting.hub(Manner::Good);
    let pulled = setting.pull_with(Some(&hub), false).unwrap();
    assert_eq!(setting.store().locate(&setting.manifest), Some(pulled.dir.clone()));
    let lock = std::fs::read_to_string(pulled.dir.join(LOCK_FILE)).unwrap();
    assert!(lock.contains(&format!("commit: {COMMIT}")), "{lock}");
    let asked = hub.requests();
    assert_eq!(asked[0], "HEAD /test/tiny/resolve/main/config.json");
    assert!(asked[1..].iter().all(|line| line.contains(COMMIT)), "{asked:?}");
    let verified = setting.store().verify(&setting.manifest).unwrap();
    assert!(verified.bytes > 10_000 && verified.files == 3);
    let embedder = Embedder::load(&pulled.dir, &setting.manifest, &EmbedderSettings::default()).unwrap();
    assert_eq!(embedder.spec().revision, COMMIT);
    assert!(embedder.spec().variant.starts_with("tiny@c0ffee0/"), "{}", embedder.spec().variant);
    let count = asked.len();
    assert!(setting.pull_with(Some(&hub), false).unwrap().already);
    assert_eq!(hub.requests().len(), count, "a model that is here was asked for again");
}

#[test]
fn what_the_first_pull_pinned_is_binding() {
    let setting = setting("main");
    let dir = setting.pull(Manner::Good).unwrap().dir;
    let config = dir.join("config.json");
    let good = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, good.replace("gelu", "relu")).unwrap();
    let error = setting.store().verify(&setting.manifest).unwrap_err().to_string();
    assert!(error.contains("config.json") && error.contains("expected sha256"), "{error}");
    let error = Embedder::load(&dir, &setting.manifest, &EmbedderSettings::default()).err().unwrap();
    assert!(matches!(error, ModelError::Checksum { .. }), "{error}");
    // The branch has moved on meanwhile: the damaged file is not replaced by what is there now.
    std::fs::write(setting.source.path().join("config.json"), good.replace("gelu", "silu")).unwrap();
    let error = setting.pull(Manner::Good).unwrap_err().to_string();
    assert!(error.contains("config.json has sha256"), "{error}");
    std::fs::write(setting.source.path().join("config.json"), &good).unwrap();
    assert!(!setting.pull(Manner::Good).unwrap().already);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), good);
}

#[test]
fn without_its_lock_a_model_counts_as_missing() {
    let setting = setting(COMMIT);
    let dir = setting.pull(Manner::Good).unwrap().dir;
    std::fs::remove_file(dir.join(LOCK_FILE)).unwrap();
    assert!(setting.store().locate(&setting.manifest).is_none());
    let error = Embedder::load(&dir, &setting.manifest, &EmbedderSettings::default()).err().unwrap().to_string();
    assert!(error.contains(LOCK_FILE) && error.contains("model pull tiny"), "{error}");
}

#[test]
fn hubs_that_cannot_be_believed_are_refused() {
    for (manner, word) in [
        (Manner::Lies, "model.safetensors has sha256"),
        (Manner::Changed, "model.safetensors has sha256"),
        (Manner::NamesNoCommit, "X-Repo-Commit"),
    ] {
        let setting = setting("main");
        let error = setting.pull(manner).unwrap_err().to_string();
        assert!(error.contains(word), "{manner:?}: {error}");
        assert!(setting.store().locate(&setting.manifest).is_none());
    }
}

#[test]
fn a_renamed_repository_is_followed() {
    let setting = setting("main");
    let hub = setting.hub(Manner::Renamed);
    let pulled = setting.pull_with(Some(&hub), false).unwrap();
    assert!(!pulled.already && hub.requests()[1].starts_with("HEAD /renamed/tiny/"), "{:?}", hub.requests());
}

#[test]
fn a_folder_is_pinned_as_it_is() {
    let setting = setting("main");
    let pulled = setting.pull_with(None, true).unwrap();
    let lock = std::fs::read_to_string(pulled.dir.join(LOCK_FILE)).unwrap();
    assert!(lock.contains("commit: null"), "{lock}");
    setting.store().verify(&setting.manifest).unwrap();
    let embedder = Embedder::load(&pulled.dir, &setting.manifest, &EmbedderSettings::default()).unwrap();
    assert!(embedder.spec().variant.starts_with("tiny@main"), "{}", embedder.spec().variant);
}
