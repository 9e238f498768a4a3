//! The sections of a checkpoint: each can be verified and skipped without the others.
//!
//! ```text
//! section     magic u32 "asks" | kind u32 | number u32, from 0 | crc u32 of the body | length u64 of the body | zero u32
//!             crc u32 of the head so far, begun at the file's seed | body, a multiple of 8 bytes
//!
//! FLAT        runs, one after the other: scope × 16 | rows u32 | zero u32 | rows × (id u64 | row as `RowRef::pack` has it)
//!             then fewer than 8 zeros
//! LINKS       scope × 16 | piece u32, from 0 | zero u32 | length u64 | bytes of `Graph::save`, padded
//! ROWS        scope × 16 | first slot u32 | rows u32 | live, a bit a row, padded | ids u64 | scales u16, padded
//!             coarse bytes, width a row | fine bytes, likewise, padded
//! GRAPH       scope × 16 | kind u32 | slots u32 | pieces of the links u32 | zero u32; behind all LINKS and ROWS of the scope
//! END         sections before this one u64 | live rows in them u64
//! ```
//!
//! A scope's flat rows may lie in several runs. Padding is to 8 bytes, with zeros.

use std::ops::Range;

use crate::ScopeKey;
use crate::files::header::{crc, u32_at, u64_at};
use crate::files::image::Group;
use crate::quantize::packed_len;

/// Bytes of a section before its body.
pub(crate) const HEAD: usize = 32;

/// What the first bytes of a section are.
pub(crate) const MAGIC: [u8; 4] = *b"asks";

/// Bytes of a run before its rows.
pub(crate) const RUN: usize = 24;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Flat,
    Links,
    Rows,
    Graph,
    End,
}

const KINDS: [(Kind, u32); 5] = [(Kind::Flat, 1), (Kind::Links, 2), (Kind::Rows, 3), (Kind::Graph, 4), (Kind::End, 5)];

/// The head of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) number: u32,
    /// Where in the file its body lies.
    pub(crate) body: Range<usize>,
    body_crc: u32,
}

impl Head {
    /// The head at `at`, if there is one and the file is long enough for its body.
    pub(crate) fn read(file: &[u8], at: usize, seed: u32) -> Option<Head> {
        let bytes = file.get(at..at.checked_add(HEAD)?)?;
        if bytes[..4] != MAGIC || crc(seed, &bytes[..28]) != u32_at(bytes, 28) {
            return None;
        }
        let (kind, _) = *KINDS.iter().find(|(_, number)| *number == u32_at(bytes, 4))?;
        let begin = at + HEAD;
        let end = begin.checked_add(usize::try_from(u64_at(bytes, 16)).ok()?)?;
        let head = Head { kind, number: u32_at(bytes, 8), body: begin..end, body_crc: u32_at(bytes, 12) };
        (end <= file.len()).then_some(head)
    }

    /// Whether the body is as it was written.
    pub(crate) fn is_whole(&self, file: &[u8]) -> bool {
        crc32fast::hash(&file[self.body.clone()]) == self.body_crc
    }
}

/// Makes a section of what `section` holds behind [`HEAD`] free bytes.
pub(crate) fn seal(section: &mut Vec<u8>, kind: Kind, number: u32, seed: u32) {
    section.resize(section.len().next_multiple_of(8), 0);
    let (head, body) = section.split_at_mut(HEAD);
    let kind = KINDS.iter().find(|(k, _)| *k == kind).map_or(0, |(_, number)| *number);
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&kind.to_le_bytes());
    head[8..12].copy_from_slice(&number.to_le_bytes());
    head[12..16].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    head[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
    head[24..28].fill(0);
    let crc = crc(seed, &head[..28]);
    head[28..].copy_from_slice(&crc.to_le_bytes());
}

/// Flat rows of one scope, as they lie in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) scope: ScopeKey,
    rows: &'a [u8],
    width: usize,
}

impl<'a> Run<'a> {
    /// The id and the packed row of each.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = (u64, &'a [u8])> + use<'a> {
        self.rows.chunks_exact(8 + packed_len(self.width)).map(|row| (u64_at(row, 0), &row[8..]))
    }
}

/// The runs in the body of a FLAT section; `None` when it is not what it should be.
pub(crate) fn runs(mut body: &[u8], width: usize) -> Option<Vec<Run<'_>>> {
    let mut runs = Vec::new();
    while body.len() >= RUN {
        let (scope, count) = (scope_at(body), u32_at(body, 16) as usize);
        let end = RUN.checked_add(count.checked_mul(8 + packed_len(width))?)?;
        runs.push(Run { scope, rows: body.get(RUN..end)?, width });
        body = &body[end..];
    }
    Some(runs)
}

/// The scope that the body of a LINKS, ROWS or GRAPH section begins with.
pub(crate) fn scope_at(body: &[u8]) -> ScopeKey {
    let mut scope = ScopeKey([0; 16]);
    scope.0.copy_from_slice(&body[..16]);
    scope
}

/// The number and the bytes of a piece of links.
pub(crate) fn piece(body: &[u8]) -> Option<(u32, &[u8])> {
    let len = usize::try_from(u64_at(body.get(..32)?, 24)).ok()?;
    Some((u32_at(body, 16), body.get(32..32_usize.checked_add(len)?)?))
}

/// The rows of a ROWS section.
pub(crate) fn group(body: &[u8], width: usize) -> Option<Group<'_>> {
    let (first, count) = (u32_at(body.get(..24)?, 16), u32_at(body, 20) as usize);
    let rest = &mut &body[24..];
    let group = Group {
        first,
        count,
        live: take(rest, count.div_ceil(8))?,
        ids: take(rest, count.checked_mul(8)?)?,
        scales: take(rest, 2 * count)?,
        high: take_exact(rest, count.checked_mul(width)?)?,
        low: take_exact(rest, count.checked_mul(width)?)?,
    };
    (count > 0).then_some(group)
}

/// Takes `len` bytes, and their padding.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    Some(&take_exact(rest, len.checked_next_multiple_of(8)?)?[..len])
}

fn take_exact<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

/// What a GRAPH section says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) kind: u32,
    pub(crate) slots: u32,
    pub(crate) pieces: u32,
}

pub(crate) fn totals(body: &[u8]) -> Option<Totals> {
    let body = body.get(..28)?;
    Some(Totals { kind: u32_at(body, 16), slots: u32_at(body, 20), pieces: u32_at(body, 24) })
}

/// Sections and live rows, as END says.
pub(crate) fn end(body: &[u8]) -> Option<(u64, u64)> {
    let body = body.get(..16)?;
    Some((u64_at(body, 0), u64_at(body, 8)))
}
