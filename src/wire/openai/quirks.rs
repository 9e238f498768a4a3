//! What a provider of this wire does differently, put right in the bytes of a request: fields that it refuses are left
//! out, and the field for the longest answer gets the name that it understands. All else stays byte for byte.

use bytes::Bytes;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::ops::Range;

/// The two names of the field for the longest answer.
const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Objects and arrays within each other; the request was read before with this limit (`wire::json`).
const MOST_NESTING: usize = 128;

/// What is put right for one provider.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    refused: Vec<Refused>,
    /// The name of the limit that it understands, and the one that it does not.
    limit: Option<[&'static str; 2]>,
    /// What one of these has to stand in a body for it to matter: the names in their quotes, and `\u`, by which alone a
    /// name of letters may be written otherwise.
    signs: Vec<Finder<'static>>,
}

/// A field that is not sent.
#[derive(Clone, Debug)]
struct Refused {
    /// As it was written, such as `messages[].name`.
    path: String,
    /// From the outermost to the field itself: names, and whether the next one is looked for in each element of a list.
    steps: Vec<(String, bool)>,
}

/// A cut in the bytes, and what stands there instead.
type Edit = (Range<usize>, &'static str);

impl Quirks {
    /// Those of a provider that refuses `fields` (`seed`, `messages[].name`, …) and understands one name of the limit, or
    /// both (`None`).
    pub fn new(fields: &[String], limit: Option<&str>) -> Quirks {
        let refused = |path: &String| {
            let steps = path.split('.').map(|step| match step.strip_suffix("[]") {
                Some(name) => (name.to_owned(), true),
                None => (step.to_owned(), false),
            });
            Refused { path: path.clone(), steps: steps.collect() }
        };
        let limit = limit.and_then(|known| match LIMITS {
            [one, other] if known == one => Some([one, other]),
            [one, other] if known == other => Some([other, one]),
            _ => None,
        });
        let refused: Vec<Refused> = fields.iter().map(refused).collect();
        let last = refused.iter().filter_map(|refused| refused.steps.last()).map(|(name, _)| name.as_str());
        let names = last.chain(limit.map(|[_, unknown]| unknown)).map(|name| format!("\"{name}\""));
        let signs = names.chain([r"\u".to_owned()]).map(|sign| Finder::new(&sign).into_owned()).collect();
        Quirks { refused, limit, signs }
    }

    /// Is there nothing to put right?
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.limit.is_none()
    }

    /// `body` as the provider understands it, and the fields that were left out. `body` is a JSON object; one that is not
    /// comes back as it is.
    pub fn apply(&self, body: &Bytes) -> (Bytes, Vec<String>) {
        if !self.may_matter(body) {
            return (body.clone(), Vec::new());
        }
        let mut scan = Scan { text: body, at: 0, edits: Vec::new(), dropped: Vec::new() };
        let open: Vec<Open<'_>> = self.refused.iter().map(|refused| Open { refused, depth: 0 }).collect();
        let whole = scan.skip_space().and_then(|()| scan.object(&open, self.limit, 0)).is_some();
        let Scan { edits, dropped, .. } = scan;
        if !whole || edits.is_empty() {
            return (body.clone(), Vec::new());
        }
        (edited(body, &edits), dropped)
    }

    /// May there be anything to put right?
    fn may_matter(&self, body: &[u8]) -> bool {
        !self.is_empty() && self.signs.iter().any(|sign| sign.find(body).is_some())
    }
}

/// `body` with the edits made, which stand in order and do not overlap.
fn edited(body: &[u8], edits: &[Edit]) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + 16);
    let mut at = 0;
    for (cut, instead) in edits {
        out.extend_from_slice(body.get(at..cut.start).unwrap_or_default());
        out.extend_from_slice(instead.as_bytes());
        at = cut.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out.into()
}

/// A field that may stand in this object, and how many of its steps lead here.
#[derive(Clone, Copy)]
struct Open<'q> {
    refused: &'q Refused,
    depth: usize,
}

/// One member of an object.
struct Member {
    key: Range<usize>,
    end: usize,
    /// It is left out.
    out: bool,
    /// Its key is written so instead.
    renamed: Option<&'static str>,
    /// Edits inside of it begin at this place in the list.
    edits_from: usize,
}

/// A way through the bytes, once. Every step gives `None` where they are no JSON.
struct Scan<'b> {
    text: &'b [u8],
    at: usize,
    edits: Vec<Edit>,
    dropped: Vec<String>,
}

impl<'b> Scan<'b> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip_space(&mut self) -> Option<()> {
        while matches!(self.peek()?, b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        Some(())
    }

    /// A string; gives what stands between its quotes.
    fn string(&mut self) -> Option<&'b [u8]> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            let rest = self.text.get(self.at..)?;
            let next = memchr::memchr2(b'"', b'\\', rest)?;
            self.at += next;
            if self.peek()? == b'"' {
                let inside = self.text.get(start..self.at);
                self.at += 1;
                return inside;
            }
            self.at += 2;
        }
    }

    fn value(&mut self, open: &[Open<'_>], nesting: usize) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(open, None, nesting),
            b'[' => self.array(open, nesting),
            b'"' => self.string().map(|_| ()),
            _ => {
                // A number or a word: up to what ends it.
                while self.peek().is_some_and(|byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
                {
                    self.at += 1;
                }
                Some(())
            }
        }
    }

    fn array(&mut self, open: &[Open<'_>], nesting: usize) -> Option<()> {
        if nesting >= MOST_NESTING {
            return None;
        }
        self.take(b'[')?;
        self.skip_space()?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            self.skip_space()?;
            self.value(open, nesting + 1)?;
            self.skip_space()?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b']'),
            }
        }
    }

    /// An object, in which the fields of `open` are left out, and that of `limit` is given its other name.
    fn object(&mut self, open: &[Open<'_>], limit: Option<[&'static str; 2]>, nesting: usize) -> Option<()> {
        if nesting >= MOST_NESTING {
            return None;
        }
        self.take(b'{')?;
        self.skip_space()?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        let mut members: Vec<Member> = Vec::new();
        let (mut known_is_there, mut unknown) = (false, None);
        loop {
            self.skip_space()?;
            let start = self.at;
            let inside = self.string()?;
            let key = start..self.at;
            let name = unescaped(inside, self.text.get(key.clone())?);
            self.skip_space()?;
            self.take(b':')?;
            self.skip_space()?;
            let edits_from = self.edits.len();
            let refused = self.member(&name, open, nesting)?;
            if let Some([good, bad]) = limit {
                known_is_there |= name == good;
                unknown = unknown.or((name == bad).then_some(members.len()));
            }
            let out = refused.is_some();
            refused.into_iter().for_each(|path| self.drop(path));
            members.push(Member { key, end: self.at, out, renamed: None, edits_from });
            self.skip_space()?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => break,
            }
        }
        if let (Some([good, bad]), Some(member)) = (limit, unknown.and_then(|at| members.get_mut(at))) {
            // Both at once: the one that is understood says enough.
            (member.out, member.renamed) = (known_is_there, (!known_is_there).then_some(good));
            if known_is_there {
                self.drop(bad);
            }
        }
        self.cut(&members);
        self.take(b'}')
    }

    /// Walks over the value of the field `name`. Gives the path by which the field is refused, if it is.
    fn member<'q>(&mut self, name: &str, open: &[Open<'q>], nesting: usize) -> Option<Option<&'q str>> {
        let mut inside: Vec<Open<'q>> = Vec::new();
        let list = self.peek()? == b'[';
        for Open { refused, depth } in open {
            match refused.steps.get(*depth) {
                Some((step, _)) if step != name => {}
                Some(_) if depth + 1 == refused.steps.len() => {
                    self.value(&[], nesting + 1)?;
                    return Some(Some(refused.path.as_str()));
                }
                Some((_, each)) if *each == list => inside.push(Open { refused, depth: depth + 1 }),
                _ => {}
            }
        }
        self.value(&inside, nesting + 1)?;
        Some(None)
    }

    fn drop(&mut self, path: &str) {
        if !self.dropped.iter().any(|dropped| dropped == path) {
            self.dropped.push(path.to_owned());
        }
    }

    /// Notes the edits of an object's members, in order. What is left out takes one comma with it.
    fn cut(&mut self, members: &[Member]) {
        if members.iter().all(|member| !member.out && member.renamed.is_none()) {
            return;
        }
        let from = members.first().map_or(0, |member| member.edits_from);
        let inner = self.edits.split_off(from);
        let last_kept = members.iter().rposition(|member| !member.out);
        for (at, member) in members.iter().enumerate() {
            let inner_to = members.get(at + 1).map_or(inner.len(), |next| next.edits_from - from);
            match (member.out, last_kept) {
                (false, _) => {
                    let name = |name: &'static str| (member.key.start + 1..member.key.end - 1, name);
                    self.edits.extend(member.renamed.map(name));
                    self.edits.extend_from_slice(inner.get(member.edits_from - from..inner_to).unwrap_or_default());
                }
                // A member that is kept comes later: up to its key.
                (true, Some(kept)) if at < kept => {
                    let next = members.get(at + 1).map_or(member.end, |next| next.key.start);
                    self.edits.push((member.key.start..next, ""));
                }
                // None does: from the last that is kept, its comma included.
                (true, Some(kept)) => {
                    let start = members.get(at - 1).map_or(member.key.start, |before| before.end);
                    debug_assert!(at > kept);
                    self.edits.push((start..member.end, ""));
                }
                (true, None) => {
                    let end = members.get(at + 1).map_or(member.end, |next| next.key.start);
                    self.edits.push((member.key.start..end, ""));
                }
            }
        }
    }
}

/// A key as it is meant. `quoted` is it with its quotes.
fn unescaped<'b>(inside: &'b [u8], quoted: &'b [u8]) -> Cow<'b, str> {
    if memchr::memchr(b'\\', inside).is_some()
        && let Ok(text) = serde_json::from_slice::<String>(quoted)
    {
        return Cow::Owned(text);
    }
    String::from_utf8_lossy(inside)
}

#[cfg(test)]
mod tests;
