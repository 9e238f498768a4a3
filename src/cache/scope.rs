//! Who may share an answer: digests of everything that counts.
//!
//! Built as a deny-list: every field of the request counts unless it is named harmless. The question's text is left out
//! of the scope and put back for the exact key. The encoding is injective (tags, lengths, sorted keys), so two requests
//! that differ in anything that counts never have the same digest.

use super::question;
use crate::types::caller::Tenant;
use crate::types::ids::Digest;
use crate::types::json::{Json, Number};
use crate::types::params::Param;
use crate::types::request::{QuestionAt, Request};
use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use std::sync::LazyLock;

/// So much is hashed at a time: a long text as many lanes of the processor take it, not a word after the other.
const AT_ONCE: usize = 32 * 1024;

/// What a digest is for. Each kind has a key of its own, so that no digest of one is one of another.
struct Kind(LazyLock<ContextKey>);

static SCOPE: Kind = Kind(LazyLock::new(|| hash_derive_key_context("askonce 2026 scope v1")));
static CONDENSED: Kind = Kind(LazyLock::new(|| hash_derive_key_context("askonce 2026 condensed v1")));
static EXACT: Kind = Kind(LazyLock::new(|| hash_derive_key_context("askonce 2026 exact v1")));
static NORMALISED: Kind = Kind(LazyLock::new(|| hash_derive_key_context("askonce 2026 normalised v1")));

/// The digests of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keys {
    /// Everything but the question.
    pub scope: Digest,
    /// What it is compared within by meaning: `scope`, or for a condensed follow-up [`meaning`].
    pub meaning: Digest,
    /// Scope and question.
    pub exact: Digest,
    /// Scope and folded question, where folding applies.
    pub normalised: Option<Digest>,
}

/// What counts beside the request's own body.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'c> {
    /// Whose request it is.
    pub tenant: &'c Tenant,
    /// The caller's own partition.
    pub sub_scope: Option<&'c str>,
    /// Who may answer it, in order, each as provider, model, and the fields that are set for it: another provider's answer is
    /// another answer, and so is that to another request.
    pub targets: &'c [(&'c str, &'c str, &'c [Param])],
    /// Headers that go on to the provider and change what it does.
    pub headers: &'c [(&'c str, &'c [u8])],
    /// The guardrails that look at it and at its answer: an answer that others looked at is another answer.
    pub guardrails: Option<[u8; 32]>,
}

/// Digests `request`, whose parsed body is `json`. `None` when a number in it has no exact canonical form.
pub fn keys(json: &Json<'_>, request: &Request, around: &Circumstances<'_>, harmless: &[String]) -> Option<Keys> {
    let scope = scope(&SCOPE, json, request, around, harmless, &[])?;
    let folded = request.question.as_deref().and_then(question::fold);
    Some(Keys {
        scope,
        meaning: scope,
        exact: key(&EXACT, scope, request.question.as_deref()),
        normalised: folded.map(|folded| key(&NORMALISED, scope, Some(&folded))),
    })
}

/// The scope of a condensed follow-up: everything but the question and the words of `turns`, places in the conversation. No
/// scope of [`keys`] is the same. `None` when a number has no exact canonical form.
pub fn meaning(
    json: &Json<'_>,
    request: &Request,
    around: &Circumstances<'_>,
    harmless: &[String],
    turns: &[usize],
) -> Option<Digest> {
    scope(&CONDENSED, json, request, around, harmless, turns)
}

fn scope(
    kind: &Kind,
    json: &Json<'_>,
    request: &Request,
    around: &Circumstances<'_>,
    harmless: &[String],
    condensed: &[usize],
) -> Option<Digest> {
    let mut canonical = Canonical::new(kind, condensed);
    canonical.text(&around.tenant.0);
    canonical.optional(around.sub_scope);
    canonical.tag(b't', around.targets.len());
    for (provider, model, params) in around.targets {
        canonical.text(provider);
        canonical.text(model);
        canonical.params(params);
    }
    canonical.tag(b'h', around.headers.len());
    for (name, value) in around.headers {
        canonical.text(name);
        canonical.tag(b's', value.len());
        canonical.write(value);
    }
    // None leave no trace: nothing else begins with this tag here.
    if let Some(digest) = around.guardrails {
        canonical.tag(b'g', digest.len());
        canonical.write(&digest);
    }
    canonical.text(request.surface.as_str());
    if request.model_span.is_none() {
        // The path told it; in a body it counts like every other field.
        canonical.text(&request.model);
    }
    canonical.request(json, request.question_at, harmless);
    canonical.exact.then(|| canonical.digest())
}

fn key(kind: &Kind, scope: Digest, question: Option<&str>) -> Digest {
    let mut canonical = Canonical::new(kind, &[]);
    canonical.write(&scope.0);
    canonical.optional(question);
    canonical.digest()
}

/// Writes values into the hasher, each in one unmistakable form.
struct Canonical<'c> {
    hasher: Hasher,
    /// What is not in the hasher yet.
    written: Vec<u8>,
    /// No number was met that doubles cannot tell from its neighbours.
    exact: bool,
    /// Messages of which only the role counts.
    condensed: &'c [usize],
}

impl<'c> Canonical<'c> {
    fn new(kind: &Kind, condensed: &'c [usize]) -> Canonical<'c> {
        let hasher = Hasher::new_from_context_key(&kind.0);
        Canonical { hasher, written: Vec::with_capacity(1024), exact: true, condensed }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.written.len() + bytes.len() > AT_ONCE {
            self.hasher.update(&self.written);
            self.written.clear();
        }
        if bytes.len() > AT_ONCE {
            self.hasher.update(bytes);
        } else {
            self.written.extend_from_slice(bytes);
        }
    }

    fn digest(mut self) -> Digest {
        Digest(*self.hasher.update(&self.written).finalize().as_bytes())
    }
}

impl Canonical<'_> {
    fn request(&mut self, json: &Json<'_>, question_at: Option<QuestionAt>, harmless: &[String]) {
        let Json::Object(fields) = json else {
            return self.value(json);
        };
        let counting = sorted(fields.iter().filter(|(key, _)| !harmless.iter().any(|name| name == key)));
        self.tag(b'{', counting.len());
        for (key, value) in counting {
            self.text(key);
            match (question_at, value) {
                (Some(at), Json::Array(turns)) if key == at.list => self.turns(turns, at),
                (Some(QuestionAt { list, message: None, .. }), Json::String(_)) if key == list => self.question(),
                _ => self.value(value),
            }
        }
    }

    fn turns(&mut self, turns: &[Json<'_>], at: QuestionAt) {
        self.tag(b'[', turns.len());
        for (index, message) in turns.iter().enumerate() {
            match message {
                Json::Object(fields) if Some(index) == at.message => {
                    let fields = sorted(fields.iter());
                    self.tag(b'{', fields.len());
                    for (key, value) in fields {
                        self.text(key);
                        if key == at.content { self.content(value, at.part) } else { self.value(value) }
                    }
                }
                _ if self.condensed.contains(&index) => {
                    self.tag(b'c', 0);
                    self.optional(message.get("role").and_then(Json::as_str));
                }
                _ => self.value(message),
            }
        }
    }

    fn content(&mut self, content: &Json<'_>, part: Option<usize>) {
        match (content, part) {
            (Json::String(_), None) => self.question(),
            (Json::Array(parts), Some(at)) => {
                self.tag(b'[', parts.len());
                for (index, part) in parts.iter().enumerate() {
                    match part {
                        Json::Object(fields) if index == at => {
                            let fields = sorted(fields.iter());
                            self.tag(b'{', fields.len());
                            for (key, value) in fields {
                                self.text(key);
                                if key == "text" { self.question() } else { self.value(value) }
                            }
                        }
                        _ => self.value(part),
                    }
                }
            }
            _ => self.value(content),
        }
    }

    /// In any order. None leave no trace: nothing else begins with this tag here.
    fn params(&mut self, params: &[Param]) {
        if params.is_empty() {
            return;
        }
        let mut sorted: Vec<&Param> = params.iter().collect();
        sorted.sort_unstable_by_key(|param| &param.name);
        self.tag(b'p', sorted.len());
        for param in sorted {
            self.text(&param.name);
            self.optional(param.value.as_deref());
        }
    }

    /// Stands where the question's text was.
    fn question(&mut self) {
        self.tag(b'?', 0);
    }

    fn value(&mut self, value: &Json<'_>) {
        match value {
            Json::Null => self.tag(b'0', 0),
            Json::Bool(value) => self.tag(b'b', usize::from(*value)),
            Json::Number(number) => self.number(*number),
            Json::String(text) => self.text(text),
            Json::Array(items) => {
                self.tag(b'[', items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Json::Object(fields) => {
                let fields = sorted(fields.iter());
                self.tag(b'{', fields.len());
                for (key, value) in fields {
                    self.text(key);
                    self.value(value);
                }
            }
        }
    }

    fn number(&mut self, number: Number) {
        /// From here on doubles skip integers: two texts could read as one number.
        const LIMIT: f64 = 9_007_199_254_740_992.0;
        match number {
            Number::Unsigned(n) => self.integer(i128::from(n)),
            Number::Signed(n) => self.integer(i128::from(n)),
            Number::Float(n) if n.abs() >= LIMIT => self.exact = false,
            Number::Float(n) if n.fract() == 0.0 => self.integer(n as i128),
            Number::Float(n) => {
                self.tag(b'f', 0);
                self.write(&n.to_le_bytes());
            }
        }
    }

    fn integer(&mut self, n: i128) {
        self.tag(b'i', 0);
        self.write(&n.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.tag(b's', text.len());
        self.write(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.tag(b'-', 0),
        }
    }

    fn tag(&mut self, tag: u8, length: usize) {
        let mut head = [tag; 9];
        head[1..].copy_from_slice(&(length as u64).to_le_bytes());
        self.write(&head);
    }
}

fn sorted<'f, 'j: 'f>(
    fields: impl Iterator<Item = &'f (std::borrow::Cow<'j, str>, Json<'j>)>,
) -> Vec<(&'f str, &'f Json<'j>)> {
    let mut fields: Vec<_> = fields.map(|(key, value)| (key.as_ref(), value)).collect();
    fields.sort_unstable_by_key(|(key, _)| *key);
    fields
}

#[cfg(test)]
mod tests;
