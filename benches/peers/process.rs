//! A gateway that runs: started on its own processor, seen by the kernel's figures of all its processes, ended with all of them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ticks a second in `/proc/PID/stat`: fixed in the kernel's interface.
const TICKS_PER_S: f64 = 100.0;

/// A process and what it started.
pub struct Running {
    child: Child,
    log: PathBuf,
    /// When it was started.
    pub started: Instant,
}

impl Running {
    /// Starts `command` on processor `cpu`; what it says goes to `log`.
    pub fn start(command: &Command, cpu: usize, log: &Path) -> io::Result<Running> {
        let file = File::create(log)?;
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &cpu.to_string()]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            pinned.current_dir(folder);
        }
        let started = Instant::now();
        let child = pinned.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Running { child, log: log.to_owned(), started })
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines that it said.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// It, and all that it and its children started.
    fn all(&self) -> Vec<u32> {
        let mut parents: Vec<(u32, u32)> = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = after_name(&stat).nth(1).and_then(|field| field.parse().ok());
            parents.extend(parent.map(|parent| (pid, parent)));
        }
        let mut all = vec![self.child.id()];
        let mut at = 0;
        while at < all.len() {
            let of = all[at];
            all.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
            at += 1;
        }
        all
    }

    /// Processor time so far, in seconds.
    pub fn cpu_s(&self) -> f64 {
        let of = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let ticks: f64 = after_name(&stat).skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
            ticks / TICKS_PER_S
        };
        self.all().into_iter().map(of).sum()
    }

    /// Memory in use, in MB of 10⁶ bytes: what several of its processes share counts once for each.
    pub fn rss_mb(&self) -> f64 {
        self.all().into_iter().map(|pid| status_mb(pid, "VmRSS")).sum()
    }

    /// The most memory that each of its processes had in use, in MB.
    pub fn rss_peak_mb(&self) -> f64 {
        self.all().into_iter().map(|pid| status_mb(pid, "VmHWM")).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let all = self.all();
        let all: Vec<String> = all.iter().map(u32::to_string).collect();
        let _ = Command::new("kill").arg("-TERM").args(&all).stderr(Stdio::null()).status();
        let patience = Instant::now() + Duration::from_secs(5);
        while self.is_alive() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = Command::new("kill").arg("-KILL").args(&all).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// The fields behind the program's name, which may itself hold spaces and brackets.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rfind(')').map_or("", |at| &stat[at + 1..]).split_ascii_whitespace()
}

fn status_mb(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}
