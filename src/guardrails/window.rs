//! `Window`: a text that comes in pieces. It is let go as far as nothing that is looked for can still reach back into it, so that
//! whatever its pieces are, it ends up as if it had come whole.
//!
//! That holds of what can be told within the window: an expression of the operator's that only the end of a long text completes may
//! be missed. What was found and may yet go on is held until it has ended, or until [`MOST_HELD`] bytes are.

use super::scan::{Find, Hand, Looker, Seen, placeholder_run, with_values};
use crate::wire::spanned::Edit;
use crate::wire::texts::{Speaker, changed_free};

/// So many bytes of one text are held back at most.
pub const MOST_HELD: usize = 64 << 10;
/// What was let go and is still looked at, for what stands around a find.
const AROUND: usize = 8;
/// From so many bytes on a text is not looked at anew for each piece.
const LARGE: usize = 1024;

/// One text, as far as it has come.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The end of what was let go, and what is held.
    text: String,
    /// Where in `text` begins what is held.
    held: usize,
    /// Where in the whole text that is.
    base: usize,
    /// It is JSON, which is looked at when it is whole.
    json: bool,
    /// It is looked at again when so much is held.
    again: usize,
}

/// What became of a text with its last piece.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Advance {
    /// The text may go as far as this, by the places of the whole text.
    pub free: usize,
    /// What stands in place of parts of it that had not been let go before.
    pub edits: Vec<Edit>,
}

impl Window {
    /// A text of which nothing has come. `json`: it is the arguments of a call.
    pub fn new(json: bool) -> Window {
        Window { json, ..Window::default() }
    }

    /// The bytes that are held.
    pub fn held(&self) -> usize {
        self.text.len() - self.held
    }

    /// Takes the next piece, after which the text has `ended` or not.
    pub fn push(&mut self, piece: &str, ended: bool, looker: &Looker, hand: &mut Hand<'_>, seen: &mut Seen) -> Advance {
        self.text.push_str(piece);
        if self.json {
            return self.push_json(ended, looker, hand, seen);
        }
        if !ended && self.held() < self.again {
            return Advance { free: self.base, edits: Vec::new() };
        }
        let finds = looker.finds(&self.text, self.held);
        let cut = if ended { self.text.len() } else { self.cut(&finds, looker, hand) };
        let done: Vec<Find> = finds.into_iter().filter(|find| find.range.end <= cut).collect();
        let edits = looker.edits(&self.text, &done, hand, seen);
        let edits = with_values(&self.text, self.held..cut, edits, hand);
        self.let_go(cut, edits)
    }

    /// How far nothing can change any more.
    fn cut(&self, finds: &[Find], looker: &Looker, hand: &Hand<'_>) -> usize {
        let (text, end) = (&self.text, self.text.len());
        let vault = match hand {
            Hand::Masks(vault) => Some(*vault),
            Hand::Replaces(_) => None,
        };
        let run = looker.run.max(vault.map_or(0, placeholder_run));
        let from = text.floor_char_boundary(end.saturating_sub(run));
        let word = text.get(from..).and_then(|tail| tail.rfind(char::is_whitespace)).map_or(from, |at| from + at);
        let sure = text.floor_char_boundary(word.min(end.saturating_sub(looker.reach))).max(self.held);
        let places = vault.into_iter().flat_map(|vault| vault.places(text)).map(|(at, one, _)| at..at + one.len());
        let mut held: Vec<_> =
            finds.iter().map(|find| find.told_by.clone()).chain(places.filter(|one| one.start >= self.held)).collect();
        held.sort_by_key(|one| std::cmp::Reverse(one.start));
        // From the last to the first: each may be reached by one that begins before it.
        let mut cut = sure;
        while let Some(over) = held.iter().filter(|one| one.start < cut && one.end > cut).map(|one| one.start).min() {
            cut = over;
        }
        if end - self.held > MOST_HELD && cut == self.held {
            let longest = finds.iter().filter(|find| find.told_by.start < sure).map(|find| find.range.end).max();
            return longest.unwrap_or(sure).max(sure);
        }
        cut.max(self.held)
    }

    fn push_json(&mut self, ended: bool, looker: &Looker, hand: &mut Hand<'_>, seen: &mut Seen) -> Advance {
        if !ended {
            return Advance { free: self.base, edits: Vec::new() };
        }
        let edits = match crate::wire::spanned::Spanned::read(&self.text) {
            Some(_) => changed_free(&self.text, Speaker::Assistant, &mut |text, _| looker.whole(text, hand, seen)),
            // What is no JSON is a text like others.
            None => {
                let finds = looker.finds(&self.text, self.held);
                let edits = looker.edits(&self.text, &finds, hand, seen);
                with_values(&self.text, 0..self.text.len(), edits, hand)
            }
        };
        self.let_go(self.text.len(), edits)
    }

    fn let_go(&mut self, cut: usize, edits: Vec<Edit>) -> Advance {
        let shift = self.base as i128 - self.held as i128;
        let moved = |at: usize| usize::try_from(at as i128 + shift).unwrap_or_default();
        let edits = edits.into_iter().map(|(range, new)| (moved(range.start)..moved(range.end), new)).collect();
        let free = moved(cut);
        let keep = self.text.floor_char_boundary(cut.saturating_sub(AROUND));
        self.text.drain(..keep);
        self.held = cut - keep;
        self.base = free;
        let held = self.held();
        self.again = if held > LARGE { held + held / 8 } else { 0 };
        Advance { free, edits }
    }
}
