//! [`Writer`]: writes a checkpoint, section by section, in bounded memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::ScopeKey;
use crate::files::disk::Medium;
use crate::files::section::{HEAD, Kind, RUN, seal};
use crate::graph::Graph;
use crate::quantize::RowRef;

/// Bytes of flat rows in a section, about.
const FLAT_BYTES: usize = 1 << 20;

/// Rows of a graph in a section. A multiple of 64.
const GROUP: u32 = 1024;

/// Bytes written between two syncs. At most twice as many wait in memory for the disk, and a sync of the log behind them.
const SYNC_EVERY: u64 = 32 << 20;

/// Writes a checkpoint. A scope's flat rows are given first, then its graph, if it has one:
///
/// ```text
/// writer.begin(scope);                  // under the scope's locks:
/// rows: writer.row(id, row);            //   memory only, no input or output
/// writer.spill()?;                      // without them
/// writer.graph(scope, &*graph)?;
/// ```
pub(crate) struct Writer<'a> {
    medium: Arc<dyn Medium>,
    width: usize,
    seed: u32,
    stop: &'a AtomicBool,
    /// The FLAT section that grows, and those that are full.
    flat: Vec<u8>,
    full: Vec<Vec<u8>>,
    /// The scope whose run is open, and where the run begins in `flat`.
    run: Option<(ScopeKey, usize)>,
    in_run: u32,
    /// Sections and live rows so far.
    sections: u32,
    live: u64,
    written: u64,
    unsynced: u64,
    /// A sync of what was written, while more is.
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// Sections that are put together before they are written.
    scratch: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Writes into `medium`, which holds a header of `begin` bytes. Gives up with an error once `stop` is set.
    pub(crate) fn new(
        medium: Arc<dyn Medium>,
        begin: usize,
        width: usize,
        seed: u32,
        stop: &'a AtomicBool,
    ) -> Writer<'a> {
        Writer {
            medium,
            width,
            seed,
            stop,
            flat: vec![0; HEAD],
            full: Vec::new(),
            run: None,
            in_run: 0,
            sections: 0,
            live: 0,
            written: begin as u64,
            unsynced: 0,
            syncing: None,
            scratch: Vec::new(),
        }
    }

    /// What follows are flat rows of `scope`.
    pub(crate) fn begin(&mut self, scope: ScopeKey) {
        self.close_run();
        let at = self.flat.len();
        self.flat.extend_from_slice(&scope.0);
        self.flat.extend_from_slice(&[0; RUN - 16]);
        self.run = Some((scope, at));
    }

    /// A flat row of the scope begun last.
    pub(crate) fn row(&mut self, id: u64, row: RowRef<'_>) {
        self.flat.extend_from_slice(&id.to_le_bytes());
        row.pack(self.width, &mut self.flat);
        self.in_run += 1;
        self.live += 1;
        if self.flat.len() >= FLAT_BYTES
            && let Some((scope, _)) = self.run
        {
            self.close_run();
            self.full.push(std::mem::replace(&mut self.flat, vec![0; HEAD]));
            self.begin(scope);
        }
    }

    /// Notes how many rows the open run has; one without rows is taken back.
    fn close_run(&mut self) {
        if let Some((_, at)) = self.run.take() {
            match std::mem::take(&mut self.in_run) {
                0 => self.flat.truncate(at),
                rows => self.flat[at + 16..at + 20].copy_from_slice(&rows.to_le_bytes()),
            }
        }
    }

    /// Writes the flat rows of which a section is full.
    pub(crate) fn spill(&mut self) -> io::Result<()> {
        self.close_run();
        for mut section in std::mem::take(&mut self.full) {
            self.write(&mut section, Kind::Flat)?;
        }
        Ok(())
    }

    /// Writes the graph of `scope`: rows and links, or just its live rows, as flat ones, when it does not save its links. Only
    /// while nothing is inserted and nothing tidied; who kills a slot meanwhile has to be in the log that goes with this checkpoint.
    pub(crate) fn graph(&mut self, scope: ScopeKey, graph: &dyn Graph) -> io::Result<()> {
        let pieces = self.links(scope, graph)?;
        if pieces == 0 {
            return self.loose(scope, graph);
        }
        let live = graph.live();
        self.live += live.len() as u64;
        let slots = graph.slots();
        let mut live = &live[..];
        for first in (0..slots).step_by(GROUP as usize) {
            let count = GROUP.min(slots - first);
            let here = live.partition_point(|(slot, _)| *slot < first + count);
            self.group(scope, graph, first, count, &live[..here])?;
            live = &live[here..];
        }
        let mut section = self.section(scope);
        for number in [graph.kind(), slots, pieces, 0] {
            section.extend_from_slice(&number.to_le_bytes());
        }
        self.write(&mut section, Kind::Graph)?;
        self.scratch = section;
        Ok(())
    }

    /// Writes the links; says how many pieces they have.
    fn links(&mut self, scope: ScopeKey, graph: &dyn Graph) -> io::Result<u32> {
        for piece in 0_u32.. {
            let mut section = self.section(scope);
            section.extend_from_slice(&piece.to_le_bytes());
            section.extend_from_slice(&[0; 12]);
            let begin = section.len();
            let more = graph.save(piece as usize, &mut section);
            if more {
                let len = (section.len() - begin) as u64;
                section[begin - 8..begin].copy_from_slice(&len.to_le_bytes());
                self.write(&mut section, Kind::Links)?;
            }
            self.scratch = section;
            if !more {
                return Ok(piece);
            }
        }
        Ok(u32::MAX)
    }

    /// Writes rows `first` to `first + count`, of which `live` (slot, id) are live.
    fn group(
        &mut self,
        scope: ScopeKey,
        graph: &dyn Graph,
        first: u32,
        count: u32,
        live: &[(u32, u64)],
    ) -> io::Result<()> {
        let (rows, width) = (count as usize, self.width);
        let mut section = self.section(scope);
        section.extend_from_slice(&first.to_le_bytes());
        section.extend_from_slice(&count.to_le_bytes());
        let bits = section.len();
        let ids = bits + rows.div_ceil(8).next_multiple_of(8);
        let scales = ids + 8 * rows;
        let high = scales + (2 * rows).next_multiple_of(8);
        let low = high + rows * width;
        section.resize(low + rows * width, 0);
        for (slot, id) in live {
            let i = (slot - first) as usize;
            section[bits + i / 8] |= 1 << (i % 8);
            section[ids + 8 * i..ids + 8 * i + 8].copy_from_slice(&id.to_le_bytes());
        }
        for i in 0..rows {
            graph.with_row(first + i as u32, &mut |row| {
                section[scales + 2 * i..scales + 2 * i + 2].copy_from_slice(&row.scale.to_le_bytes());
                section[high + i * width..high + (i + 1) * width].copy_from_slice(&row.high[..width]);
                section[low + i * width..low + (i + 1) * width].copy_from_slice(&row.low[..width]);
            });
        }
        self.write(&mut section, Kind::Rows)?;
        self.scratch = section;
        Ok(())
    }

    /// Writes the live rows of a graph as flat ones.
    fn loose(&mut self, scope: ScopeKey, graph: &dyn Graph) -> io::Result<()> {
        self.begin(scope);
        for (slot, id) in graph.live() {
            graph.with_row(slot, &mut |row| self.row(id, row));
            if !self.full.is_empty() {
                self.spill()?;
                self.begin(scope);
            }
        }
        self.spill()
    }

    /// Writes what is left and the end, and brings all to the disk; says how long the file is.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.spill()?;
        if self.flat.len() > HEAD {
            let mut section = std::mem::take(&mut self.flat);
            self.write(&mut section, Kind::Flat)?;
        }
        let mut section = vec![0; HEAD];
        section.extend_from_slice(&u64::from(self.sections).to_le_bytes());
        section.extend_from_slice(&self.live.to_le_bytes());
        self.write(&mut section, Kind::End)?;
        self.wait_for_sync()?;
        self.medium.sync()?;
        Ok(self.written)
    }

    /// An empty section of `scope`.
    fn section(&mut self, scope: ScopeKey) -> Vec<u8> {
        let mut section = std::mem::take(&mut self.scratch);
        section.clear();
        section.resize(HEAD, 0);
        section.extend_from_slice(&scope.0);
        section
    }

    fn write(&mut self, section: &mut Vec<u8>, kind: Kind) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the index is being closed"));
        }
        seal(section, kind, self.sections, self.seed);
        self.medium.append(section)?;
        self.sections += 1;
        self.written += section.len() as u64;
        self.unsynced += section.len() as u64;
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            self.begin_sync()?;
        }
        Ok(())
    }

    /// Has the disk take what was written, while more is.
    fn begin_sync(&mut self) -> io::Result<()> {
        self.wait_for_sync()?;
        let medium = Arc::clone(&self.medium);
        let thread = std::thread::Builder::new().name("askonce-sync".to_owned()).spawn(move || medium.sync());
        match thread {
            Ok(thread) => self.syncing = Some(thread),
            Err(_) => self.medium.sync()?,
        }
        Ok(())
    }

    fn wait_for_sync(&mut self) -> io::Result<()> {
        match self.syncing.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(synced) => synced.unwrap_or_else(|_| Err(io::Error::other("a sync ended in a panic"))),
        }
    }
}
