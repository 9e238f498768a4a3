//! A file as memory.
#![allow(unsafe_code)] // the only way to map a file

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// Maps the whole file at `path` for reading. The folder's lock keeps other indexes from changing it meanwhile.
pub(crate) fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the file is written once, under another name, and never changed after that, by no index: they remove it or
    // rename it, which leaves the mapped bytes as they are. A stranger who cuts the file meanwhile would end the process.
    let map = unsafe { Mmap::map(&file)? };
    // Only advice: without it the pages come when they are touched.
    #[cfg(unix)]
    let _ = map.advise(Advice::WillNeed);
    Ok(map)
}
