//! The names of the files in the index's folder, and of what is set aside there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::files::header::Kind;

/// The log of format version 1: generation 0.
pub(crate) const OLD_LOG: &str = "vectors.log";

/// What a file is called while it is written.
const UNFINISHED: &str = ".tmp";

/// A file of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) generation: u64,
    pub(crate) kind: Kind,
}

impl Name {
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(match self.kind {
            Kind::Log => format!("log-{}.log", self.generation),
            Kind::Checkpoint => format!("checkpoint-{}.bin", self.generation),
        })
    }

    fn parse(name: &str) -> Option<Name> {
        let (kind, number) = match name.strip_prefix("log-") {
            Some(rest) => (Kind::Log, rest.strip_suffix(".log")?),
            None => (Kind::Checkpoint, name.strip_prefix("checkpoint-")?.strip_suffix(".bin")?),
        };
        let generation: u64 = number.parse().ok()?;
        // Only as we would write it: no sign, no leading zero.
        (generation > 0 && generation < u64::MAX / 2 && generation.to_string() == number)
            .then_some(Name { generation, kind })
    }
}

/// What lies in a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// By generation.
    pub(crate) names: Vec<Name>,
    pub(crate) old_log: bool,
    /// Files that were never finished.
    pub(crate) unfinished: Vec<PathBuf>,
    /// Files that an earlier start set aside.
    pub(crate) aside: Vec<PathBuf>,
}

pub(crate) fn list(dir: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for file in std::fs::read_dir(dir)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if let Some(found) = Name::parse(&name) {
            listing.names.push(found);
        } else if name == OLD_LOG {
            listing.old_log = true;
        } else if name.strip_suffix(UNFINISHED).is_some_and(|name| Name::parse(name).is_some())
            || name == format!("{OLD_LOG}.new")
        {
            listing.unfinished.push(file.path());
        } else if is_aside(&name) {
            listing.aside.push(file.path());
        }
    }
    listing.names.sort_unstable();
    listing.aside.sort_unstable();
    Ok(listing)
}

/// Whether `name` is one that [`aside`] gives.
fn is_aside(name: &str) -> bool {
    let Some((file, word)) = name.rsplit_once('.') else { return false };
    (file == OLD_LOG || Name::parse(file).is_some()) && word.contains('-')
}

/// Where the file that is to be `path` is written.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}{UNFINISHED}", path.display()))
}

/// `<path>.<word>-<n>` with the first `n` that is free.
pub(crate) fn aside(path: &Path, word: &str) -> PathBuf {
    (1_u64..).map(|n| PathBuf::from(format!("{}.{word}-{n}", path.display()))).find(|p| !p.exists()).unwrap_or_default()
}

/// Copies `ranges` of the file into one of their own, and says which.
pub(crate) fn keep(path: &Path, word: &str, ranges: &[Range<u64>]) -> io::Result<PathBuf> {
    let aside = aside(path, word);
    let mut file = File::open(path)?;
    let mut kept = File::create_new(&aside)?;
    for range in ranges {
        file.seek(SeekFrom::Start(range.start))?;
        io::copy(&mut (&file).take(range.end - range.start), &mut kept)?;
    }
    Ok(aside)
}

/// The last part of a path, for notes.
pub(crate) fn short(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        let dir = Path::new("");
        for kind in [Kind::Log, Kind::Checkpoint] {
            for generation in [1, 9, 10, 1 << 40] {
                let name = Name { generation, kind };
                assert_eq!(Name::parse(&name.path(dir).to_string_lossy()), Some(name));
            }
        }
        for other in
            ["log-0.log", "log-01.log", "log-+1.log", "log-1.bin", "checkpoint-1.log", "log-.log", "log-1.log.tmp"]
        {
            assert_eq!(Name::parse(other), None, "{other}");
        }
        assert!(is_aside("vectors.log.torn-1") && is_aside("log-7.log.damaged-12") && !is_aside("notes.txt-1"));
    }
}
