//! Reading the settings file, and noticing that it changed.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{ConfigError, Position};

/// Larger than any settings file. What is larger was named by mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The text of the settings file at `path`.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = read_bytes(path)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let position = Position {
            line: before.matches('\n').count() as u64 + 1,
            column: before[line_start..].chars().count() as u64 + 1,
        };
        ConfigError::new("", Some(position), "the file is not UTF-8 text").with_suggestion("save it as UTF-8")
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let new = |message: &str| ConfigError::new("", None, message);
    let unreadable = |error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound => new("there is no such file").with_suggestion("check the path given with `--config`"),
        ErrorKind::PermissionDenied => {
            new("the file may not be read by this user").with_suggestion("check its permissions")
        }
        _ => new(&format!("the file cannot be read: {error}")),
    };
    let about = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if about.is_dir() {
        return Err(new("this is a folder, expected a YAML file").with_suggestion("name the file in it"));
    }
    if !about.is_file() {
        return Err(new("this is a device, pipe or socket, expected a YAML file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(new("the file is larger than 1MiB, which no settings are").with_suggestion("check the path"));
    }
    Ok(bytes)
}

/// Notices that the settings file changed, by its content: an edit in place, a file moved over it, and a symbolic link
/// that points elsewhere all count, and touching it does not. It has no thread of its own; somebody asks it at times.
#[derive(Debug)]
pub struct Watcher {
    path: PathBuf,
    interval: Duration,
    /// What the file held when last asked; `None` before it could ever be read.
    seen: Option<blake3::Hash>,
}

impl Watcher {
    /// A watcher of the file at `path`, to be asked every `interval`.
    ///
    /// Make it before the file is loaded, so that no edit falls between the two.
    pub fn new(path: impl Into<PathBuf>, interval: Duration) -> Self {
        let mut watcher = Self { path: path.into(), interval, seen: None };
        watcher.changed();
        watcher
    }

    /// How often [`Self::changed`] should be asked.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The file that is watched.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file holds something else than when last asked. A file that is gone or cannot be read has not
    /// changed: it may be on its way back. Reads the file, which is at most 1 MiB, on the calling thread.
    pub fn changed(&mut self) -> bool {
        // The modification time would save little and miss two edits within one tick of the clock of the file system.
        let Ok(bytes) = read_bytes(&self.path) else {
            return false;
        };
        let hash = blake3::hash(&bytes);
        self.seen.replace(hash) != Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn sees_content_and_only_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("askonce.yaml");
        fs::write(&path, "a").unwrap();
        let mut watcher = Watcher::new(&path, Duration::from_secs(1));
        assert!(!watcher.changed());
        // Same length, and perhaps the same time.
        fs::write(&path, "b").unwrap();
        assert!(watcher.changed());
        assert!(!watcher.changed());
        fs::write(&path, "b").unwrap();
        assert!(!watcher.changed());
        fs::remove_file(&path).unwrap();
        assert!(!watcher.changed());
        fs::write(&path, "b").unwrap();
        assert!(!watcher.changed());
        let other = folder.path().join("other");
        fs::write(&other, "c").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(watcher.changed());
    }

    #[test]
    fn sees_a_file_that_comes_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("askonce.yaml");
        let mut watcher = Watcher::new(&path, Duration::from_secs(1));
        assert!(!watcher.changed());
        fs::write(&path, "a").unwrap();
        assert!(watcher.changed());
    }

    #[cfg(unix)]
    #[test]
    fn sees_a_symbolic_link_swapped() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [("v1", "a"), ("v2", "b")] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("askonce.yaml"), text).unwrap();
        }
        // As a mounted ConfigMap does it: file -> current/file, current -> version.
        std::os::unix::fs::symlink("v1", at("current")).unwrap();
        std::os::unix::fs::symlink("current/askonce.yaml", at("askonce.yaml")).unwrap();
        let mut watcher = Watcher::new(at("askonce.yaml"), Duration::from_secs(1));
        assert!(!watcher.changed());
        std::os::unix::fs::symlink("v2", at("next")).unwrap();
        fs::rename(at("next"), at("current")).unwrap();
        assert!(watcher.changed());
        assert!(!watcher.changed());
    }
}
