//! [`Checkpoint`]: reads a checkpoint back, whatever has happened to it. A damaged section is skipped; the others still count.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::ScopeKey;
use crate::files::image::{GraphImage, Group, Restored};
use crate::files::section::{self, Head, Kind, Run, Totals};
use crate::graph::Entry;
use crate::quantize::Row;

/// Where the good sections of a checkpoint are, and what is wrong with the rest.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    sections: Vec<Head>,
    /// Bytes that are in no good section.
    pub(crate) damaged: Vec<Range<u64>>,
    /// Sections and live rows that were written, if the end is there.
    pub(crate) written: Option<(u64, u64)>,
    /// Whether nothing is missing.
    pub(crate) is_whole: bool,
}

impl Checkpoint {
    /// Verifies all sections of `file`, in parallel; the first begins at `begin`.
    pub(crate) fn verify(file: &[u8], begin: usize, seed: u32) -> Checkpoint {
        let (sections, damaged) = match quickly(file, begin, seed) {
            Some(sections) => (sections, Vec::new()),
            None => patiently(file, begin, seed),
        };
        let last = sections.last().filter(|last| last.kind == Kind::End);
        let written = last.and_then(|last| section::end(&file[last.body.clone()]));
        let in_order = sections.iter().enumerate().all(|(i, s)| s.number as usize == i);
        let complete = written.is_some_and(|(count, _)| count + 1 == sections.len() as u64);
        let is_whole = damaged.is_empty() && in_order && complete;
        Checkpoint { sections, damaged, written, is_whole }
    }

    /// Sections that are good.
    pub(crate) fn sections(&self) -> usize {
        self.sections.len()
    }

    /// All that is in the verified `file`.
    pub(crate) fn contents<'a>(&self, file: &'a [u8], width: usize) -> Contents<'a> {
        let mut contents = Contents { width, ..Contents::default() };
        for section in &self.sections {
            contents.take(section.kind, &file[section.body.clone()]);
        }
        contents.runs.par_sort_by_key(|run| run.scope);
        contents
    }
}

/// Follows the heads, and verifies the bodies in parallel; `None` when there is anything wrong.
fn quickly(file: &[u8], begin: usize, seed: u32) -> Option<Vec<Head>> {
    let mut sections = Vec::new();
    let mut at = begin;
    while at < file.len() {
        let head = Head::read(file, at, seed)?;
        at = head.body.end;
        sections.push(head);
    }
    sections.par_iter().all(|section| section.is_whole(file)).then_some(sections)
}

/// Looks for good sections everywhere, and gives the bytes between them too.
fn patiently(file: &[u8], begin: usize, seed: u32) -> (Vec<Head>, Vec<Range<u64>>) {
    let (mut sections, mut damaged) = (Vec::new(), Vec::new());
    let (mut at, mut good) = (begin.min(file.len()), begin.min(file.len()));
    while at < file.len() {
        match Head::read(file, at, seed).filter(|head| head.is_whole(file)) {
            Some(head) => {
                if good < at {
                    damaged.push(good as u64..at as u64);
                }
                at = head.body.end;
                good = at;
                sections.push(head);
            }
            None => at = next_magic(file, at + 1),
        }
    }
    if good < file.len() {
        damaged.push(good as u64..file.len() as u64);
    }
    (sections, damaged)
}

/// Where the next section could begin, from `at` on.
fn next_magic(file: &[u8], at: usize) -> usize {
    let rest = &file[at.min(file.len())..];
    rest.windows(4).position(|four| four == section::MAGIC).map_or(file.len(), |found| at + found)
}

/// What the sections hold, by scope.
#[derive(Default)]
pub(crate) struct Contents<'a> {
    width: usize,
    runs: Vec<Run<'a>>,
    graphs: BTreeMap<ScopeKey, Parts<'a>>,
    /// Good checksum, and yet not what such a section should hold.
    pub(crate) odd: usize,
}

/// The sections of a graph.
#[derive(Default)]
struct Parts<'a> {
    totals: Option<Totals>,
    groups: Vec<Group<'a>>,
    links: Vec<(u32, &'a [u8])>,
}

/// What became of the graphs of a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Live rows that were handed out.
    pub(crate) live: u64,
    /// Scopes whose graph is damaged, so that its rows are flat.
    pub(crate) broken: usize,
}

impl<'a> Contents<'a> {
    fn take(&mut self, kind: Kind, body: &'a [u8]) {
        let understood = match kind {
            Kind::Flat => section::runs(body, self.width).map(|runs| self.runs.extend(runs)),
            Kind::Links => section::piece(body).map(|piece| self.parts(body).links.push(piece)),
            Kind::Rows => section::group(body, self.width).map(|group| self.parts(body).groups.push(group)),
            Kind::Graph => section::totals(body).map(|totals| self.parts(body).totals = Some(totals)),
            Kind::End => Some(()),
        };
        self.odd += usize::from(understood.is_none());
    }

    fn parts(&mut self, body: &[u8]) -> &mut Parts<'a> {
        self.graphs.entry(section::scope_at(body)).or_default()
    }

    /// Hands each scope out, several at a time.
    pub(crate) fn hand_out(self, to: &(dyn Fn(Restored<'_>) + Sync)) -> Tally {
        let width = self.width;
        let mut graphs = self.graphs;
        let plans: Vec<_> = self.runs.chunk_by(|a, b| a.scope == b.scope).collect();
        let plans: Vec<_> =
            plans.into_iter().map(|runs| (runs[0].scope, runs, graphs.remove(&runs[0].scope))).collect();
        let rest = graphs.into_par_iter().map(|(scope, parts)| (scope, &[][..], Some(parts)));
        let tally = |(scope, runs, parts): (ScopeKey, &[Run<'a>], Option<Parts<'a>>)| {
            let mut flat = flat_rows(runs, width);
            let (graph, broken) = match parts.map(|parts| parts.assemble(width)) {
                None => (None, 0),
                Some(Ok(image)) => (Some(image), 0),
                Some(Err(rows)) => {
                    flat.extend(rows);
                    (None, 1)
                }
            };
            let graphed: u32 = graph.iter().flat_map(|g| &g.groups).map(Group::live_rows).sum();
            let live = flat.len() as u64 + u64::from(graphed);
            to(Restored { scope, flat, graph });
            Tally { live, broken }
        };
        let sum = |a: Tally, b: Tally| Tally { live: a.live + b.live, broken: a.broken + b.broken };
        plans.into_par_iter().with_min_len(16).chain(rest).map(tally).reduce(Tally::default, sum)
    }
}

fn flat_rows(runs: &[Run<'_>], width: usize) -> Vec<Entry> {
    let mut flat = Vec::with_capacity(runs.iter().map(|run| run.rows().len()).sum());
    for (id, packed) in runs.iter().flat_map(Run::rows) {
        flat.extend(Row::unpack(packed, width).map(|row| Entry { id, row }));
    }
    flat
}

impl<'a> Parts<'a> {
    /// The graph, if all of it is there; its live rows otherwise.
    fn assemble(mut self, width: usize) -> Result<GraphImage<'a>, Vec<Entry>> {
        self.groups.sort_unstable_by_key(|group| group.first);
        self.links.sort_unstable_by_key(|(piece, _)| *piece);
        match self.totals {
            Some(totals) if self.is_complete(totals) => Ok(GraphImage {
                kind: totals.kind,
                width,
                slots: totals.slots,
                groups: self.groups,
                links: self.links.into_iter().map(|(_, bytes)| bytes).collect(),
            }),
            _ => Err(self.groups.iter().flat_map(Group::entries).collect()),
        }
    }

    fn is_complete(&self, totals: Totals) -> bool {
        let mut next = 0;
        let no_gap = self.groups.iter().all(|group| {
            let fits = group.first == next;
            next = group.first.saturating_add(group.count as u32);
            fits
        });
        let pieces = self.links.iter().enumerate().all(|(i, (piece, _))| i == *piece as usize);
        no_gap && next == totals.slots && pieces && self.links.len() == totals.pieces as usize
    }
}
