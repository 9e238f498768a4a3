//! `Guarded`: a stream, event by event. An event goes when all text in it may; events keep their order, and but for texts that
//! are replaced their bytes.

use super::Guard;
use super::output::{Watch, no_tokens};
use crate::guardrails::{Advance, Hand, Looker, Seen, Vault, Window};
use crate::types::surface::Surface;
use crate::wire::answer;
use crate::wire::pieces::{self, Channel, Ends, Said};
use crate::wire::spanned::{Edit, Spanned, edited, unquoted};
use crate::wire::sse;
use crate::wire::texts::{self, Scope, quoted};
use bytes::Bytes;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Events that wait may come to this many bytes, and an answer that is gathered.
const HELD_BYTES: usize = 32 << 20;

/// A stream on its way.
pub(super) struct Guarded {
    guard: Arc<Guard>,
    watch: Watch,
    splitter: sse::Splitter,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    tracks: BTreeMap<Channel, Track>,
    /// What was seen and not yet judged.
    news: Seen,
    /// Texts that stood whole in events, masked; and the answers of a response that was told whole.
    whole: Vec<String>,
    answers: Vec<String>,
    /// Digests of the texts in `whole`, so that one that is told again is known however many there are.
    known: HashSet<[u8; 32]>,
    gathers: bool,
}

/// One text of the stream.
struct Track {
    window: Window,
    /// How much has come, and how much of it may go.
    came: usize,
    free: usize,
    edits: Vec<Edit>,
    json: bool,
    /// All of it, where that is needed.
    all: String,
}

/// An event that waits.
struct Waiting {
    event: Bytes,
    data: String,
    /// What is replaced in its data, whatever becomes of its pieces.
    edits: Vec<Edit>,
    pieces: Vec<Part>,
}

/// A piece of a text in an event.
struct Part {
    channel: Channel,
    /// Where it stands in the data.
    span: Range<usize>,
    /// Where it stands in the text.
    at: Range<usize>,
}

impl Guarded {
    pub(super) fn new(guard: Arc<Guard>, watch: Watch) -> Guarded {
        let gathers = guard.needs_all();
        Guarded {
            guard,
            watch,
            splitter: sse::Splitter::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            tracks: BTreeMap::new(),
            news: Seen::default(),
            whole: Vec::new(),
            answers: Vec::new(),
            known: HashSet::new(),
            gathers,
        }
    }

    /// What was seen since this was last asked.
    pub(super) fn news(&mut self) -> Seen {
        let news = std::mem::take(&mut self.news);
        let known = self.watch.seen();
        self.watch.join(news.clone());
        // Each guardrail is told of once for an answer.
        let new = |all: std::collections::BTreeSet<usize>, known: &std::collections::BTreeSet<usize>| &all - known;
        Seen {
            blocked: new(news.blocked, &known.blocked),
            redacted: new(news.redacted, &known.redacted),
            flagged: new(news.flagged, &known.flagged),
            rerouted: new(news.rerouted, &known.rerouted),
        }
    }

    /// Takes a piece, and adds the events that may go to `out`. An error says in words why the stream cannot be held back.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.splitter.push(piece);
        while let Some(event) = self.splitter.next_event() {
            self.take(event);
        }
        self.go(out);
        let held = self.waiting_bytes + self.splitter.pending() + if self.gathers { out.len() } else { 0 };
        if held > HELD_BYTES {
            return Err(format!(
                "The answer has more than {HELD_BYTES} bytes, and guardrails have to look at it whole."
            ));
        }
        Ok(())
    }

    /// The stream has ended.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let rest = self.splitter.rest();
        if !rest.is_empty() {
            self.take(rest);
        }
        self.end(Ends::All);
        self.go(out);
        Ok(())
    }

    /// What was said, masked: every text, and those that are answers.
    pub(super) fn said(&self) -> (Vec<String>, Vec<String>) {
        let (mut texts, mut answers) = (self.whole.clone(), self.answers.clone());
        for (channel, track) in &self.tracks {
            let (nothing, mut ignored) = (Vault::default(), Seen::default());
            let mut hand = Hand::Masks(&nothing);
            let masked = match track.json {
                true => {
                    let edits = texts::changed_free(&track.all, texts::Speaker::Assistant, &mut |text, _| {
                        self.guard.looker.whole(text, &mut hand, &mut ignored)
                    });
                    Some(edited(&track.all, &edits))
                }
                false => self.guard.looker.whole(&track.all, &mut hand, &mut ignored),
            };
            let text = masked.unwrap_or_else(|| track.all.clone());
            if is_answer(&channel.path) && !track.json {
                add(&mut answers, text.clone());
            }
            add(&mut texts, text);
        }
        let calls = self.tracks.values().any(|track| track.json);
        answers.retain(|text| !(calls && text.trim().is_empty()));
        (texts, answers)
    }

    fn take(&mut self, event: Bytes) {
        self.waiting_bytes += event.len();
        let data = sse::data(&event).map(|data| String::from_utf8_lossy(&data).into_owned()).unwrap_or_default();
        let mut waiting = Waiting { event, data: String::new(), edits: Vec::new(), pieces: Vec::new() };
        match pieces::said(self.guard.surface, &data) {
            Some(said) => self.read(&data, said, &mut waiting),
            None if data.trim() == "[DONE]" => self.end(Ends::All),
            // What is no JSON is a text by itself.
            None => {
                let mut hand = Hand::Masks(&self.guard.vault);
                let new = self.guard.looker.whole(&data, &mut hand, &mut self.news);
                waiting.edits.extend(new.map(|new| (0..data.len(), new)));
            }
        }
        waiting.data = data;
        self.waiting.push_back(waiting);
    }

    fn read(&mut self, data: &str, said: Said<'_>, waiting: &mut Waiting) {
        let Said { pieces, whole, repeated, tokens, ends } = said;
        for piece in pieces {
            let text = unquoted(data, &piece.span);
            let at = self.piece(&piece.channel, &text, piece.json);
            waiting.pieces.push(Part { channel: piece.channel, span: piece.span, at });
        }
        let (looker, vault) = (&self.guard.looker, &self.guard.vault);
        let nothing = Vault::default();
        let masked = |text: &str| looker.whole(text, &mut Hand::Masks(&nothing), &mut Seen::default());
        if self.gathers && self.guard.surface == Surface::Responses {
            // Who made no pieces of it tells all of it at the end; who did may tell something else there.
            answers_of(data, masked).into_iter().for_each(|answer| add(&mut self.answers, answer));
        }
        let mut edits = texts::edits(data, &whole, &mut |text, _| {
            if self.gathers {
                let text = masked(text).unwrap_or_else(|| text.to_owned());
                if self.known.insert(*blake3::hash(text.as_bytes()).as_bytes()) {
                    self.whole.push(text);
                }
            }
            looker.whole(text, &mut Hand::Masks(vault), &mut self.news)
        });
        edits.extend(texts::edits(data, &repeated, &mut |text, _| vault.restored(text)));
        if self.guard.hides() {
            edits.extend(tokens.into_iter().map(|span| no_tokens(data, span)));
        }
        waiting.edits = edits;
        self.end(ends);
    }

    /// Takes a piece of a text; where in the text it stands.
    fn piece(&mut self, channel: &Channel, text: &str, json: bool) -> Range<usize> {
        let gathers = self.gathers;
        let track = self.tracks.entry(channel.clone()).or_insert_with(|| Track {
            window: Window::new(json),
            came: 0,
            free: 0,
            edits: Vec::new(),
            json,
            all: String::new(),
        });
        if gathers {
            track.all.push_str(text);
        }
        let at = track.came..track.came + text.len();
        track.came = at.end;
        track.advance(text, false, &self.guard.looker, &self.guard.vault, &mut self.news);
        at
    }

    fn end(&mut self, ends: Ends) {
        let Guarded { tracks, guard, news, .. } = self;
        for (channel, track) in tracks.iter_mut() {
            let is_over = match ends {
                Ends::Nothing => false,
                Ends::Group(group) => channel.group == group,
                Ends::All => true,
            };
            if is_over && track.free < track.came {
                track.advance("", true, &guard.looker, &guard.vault, news);
            }
        }
    }

    /// Lets go what may go.
    fn go(&mut self, out: &mut Vec<u8>) {
        if !self.news.blocked.is_empty() {
            return;
        }
        while let Some(first) = self.waiting.front() {
            let is_free = |part: &Part| self.tracks.get(&part.channel).is_none_or(|track| part.at.end <= track.free);
            if !first.pieces.iter().all(is_free) {
                return;
            }
            let Some(first) = self.waiting.pop_front() else { return };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(first.event.len());
            self.write(first, out);
        }
    }

    fn write(&mut self, waiting: Waiting, out: &mut Vec<u8>) {
        let Waiting { event, data, mut edits, pieces } = waiting;
        for part in pieces {
            let Some(track) = self.tracks.get_mut(&part.channel) else { continue };
            let text = unquoted(&data, &part.span);
            if let Some(new) = part_of(&text, &part.at, &track.edits) {
                edits.push((part.span, quoted(&new)));
            }
            track.edits.retain(|(range, _)| range.end > part.at.end);
        }
        if edits.is_empty() {
            return out.extend_from_slice(&event);
        }
        edits.sort_by_key(|(span, _)| span.start);
        for line in event.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()) {
            if !line.starts_with(b"data") {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
        sse::write_event(out, edited(&data, &edits).replace(['\n', '\r'], " ").as_bytes());
    }
}

impl Track {
    fn advance(&mut self, text: &str, ended: bool, looker: &Looker, vault: &Vault, seen: &mut Seen) {
        let Advance { free, edits } = self.window.push(text, ended, looker, &mut Hand::Masks(vault), seen);
        self.free = free;
        self.edits.extend(edits);
    }
}

/// What was said twice is looked at once.
fn add(texts: &mut Vec<String>, text: String) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}

/// The answers of the response that an event tells whole, masked.
fn answers_of(data: &str, masked: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let tree = Spanned::read(data);
    let response = tree.as_ref().and_then(|tree| data.get(tree.get("response", data)?.span.clone()));
    let Some(response) = response else { return Vec::new() };
    let body = texts::changed(response, Scope::Answer(Surface::Responses), &mut |text, _| masked(text));
    answer::texts(Surface::Responses, &Bytes::from(body.unwrap_or_else(|| response.to_owned())))
}

/// The piece of a text that stands at `at`, after `edits` of the text; `None` where it is the same. What is put in the place of
/// something stands where that began.
fn part_of(text: &str, at: &Range<usize>, edits: &[Edit]) -> Option<String> {
    let mine = || edits.iter().filter(|(range, _)| range.start < at.end && range.end > at.start);
    mine().next()?;
    let mut out = String::with_capacity(text.len());
    let mut next = at.start;
    for (range, new) in mine() {
        if range.start >= at.start {
            out.push_str(text.get(next - at.start..range.start - at.start).unwrap_or_default());
            out.push_str(new);
        }
        next = range.end.min(at.end);
    }
    out.push_str(text.get(next - at.start..).unwrap_or_default());
    Some(out)
}

/// Is it what was answered, and neither thoughts nor arguments?
fn is_answer(path: &str) -> bool {
    let thinks =
        ["reasoning", "thinking", "thought", "arguments", "plan", "refusal"].iter().any(|word| path.contains(word));
    !thinks && (path.ends_with("content") || path.ends_with("text") || path.starts_with("response.output_text"))
}
