//! `Process`: a child that never outlives the bench, and `Folder`: a temporary folder that does not either.

use super::error::BenchError;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes from the end of a log that are shown when its process has died.
const TAIL_BYTES: u64 = 3000;

/// A running child, killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with standard error (and output, unless it is set to be piped) going to the file `log`.
    pub fn start(name: &str, mut command: Command, pipe_stdout: bool, log: PathBuf) -> Result<Process, BenchError> {
        let program = PathBuf::from(command.get_program());
        let failed = |what: String| BenchError::Start(format!("cannot start {name}: {what}"));
        let stderr = File::create(&log).map_err(|error| failed(format!("{}: {error}", log.display())))?;
        let stdout = stderr.try_clone().map_err(|error| failed(format!("{}: {error}", log.display())))?;
        command.stderr(stderr).stdout(if pipe_stdout { Stdio::piped() } else { stdout.into() });
        match command.spawn() {
            Ok(child) => Ok(Process { name: name.to_owned(), child, log }),
            Err(error) => Err(failed(format!(
                "{}: {error}; build it first (cargo build --release) or name it by --binary",
                program.display()
            ))),
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// An error with the end of the log if the process has ended. `when` completes "askonce ended (…)".
    pub fn check_alive(&mut self, when: &str) -> Result<(), BenchError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(BenchError::Died {
                name: self.name.clone(),
                status: status.to_string(),
                when: format!(" {when}"),
                tail: self.log_tail(),
            }),
            Err(error) => Err(BenchError::Start(format!("{}: {error}", self.name))),
        }
    }

    /// The end of what the process wrote.
    pub fn log_tail(&self) -> String {
        let read = || {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        match read() {
            Ok(text) if text.is_empty() => "it wrote nothing".into(),
            Ok(text) => format!("the end of what it wrote:\n{text}"),
            Err(error) => format!("its log {} cannot be read: {error}", self.log.display()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fresh folder under the system's temporary folder, removed with its contents when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder.
    pub fn create() -> Result<Folder, BenchError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::temp_dir();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("askonce-bench-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Folder(path)),
                // Left behind by a bench that was killed and had the same process id.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(BenchError::Start(format!(
                        "cannot make a temporary folder in {}: {error}; set TMPDIR to a folder with space",
                        base.display()
                    )));
                }
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder; there is nobody left to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let folder = Folder::create().unwrap();
        let command = Command::new("/nowhere/askonce");
        let error = Process::start("askonce", command, false, folder.path().join("log")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/askonce") && error.contains("--binary"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_death_shows_the_end_of_the_log() {
        let folder = Folder::create().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo port 80 is taken >&2; exit 3"]);
        let mut process = Process::start("askonce", command, false, folder.path().join("log")).unwrap();
        process.child().wait().unwrap();
        let error = process.check_alive("while starting").unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("while starting"), "{error}");
        assert!(error.contains("port 80 is taken"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_left() {
        let folder = Folder::create().unwrap();
        let path = folder.path().to_owned();
        let mut command = Command::new("sleep");
        command.arg("600");
        let mut process = Process::start("sleep", command, false, path.join("log")).unwrap();
        process.check_alive("").unwrap();
        let proc = PathBuf::from(format!("/proc/{}", process.id()));
        assert!(proc.exists());
        drop(process);
        drop(folder);
        assert!(!proc.exists() && !path.exists());
    }
}
