//! `askonce judge eval`: conversations. Pairs of whole requests, of which it is known whether one answer does for both:
//! traps, most of which end in the same words, and repeats. What is served of them goes by the gateway's own decoding,
//! digests, condensing and judgements.

use super::Source;
use super::data::{listed, rows};
use super::vectors::embedder;
use crate::cache::context;
use crate::cache::judgement::{Asked, Learner, Question, Seen, Settings, Weights};
use crate::cache::scope::{self, Circumstances, Keys};
use crate::cache::verify;
use crate::types::caller::Tenant;
use crate::types::ids::Digest;
use crate::types::surface::Surface;
use crate::wire::json::parse;
use crate::wire::request::{self, InPath};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// The cosine of a static hit: the default of `cache.semantic.threshold`.
const THRESHOLD: f32 = 0.92;

/// Requests without a candidate that a learner sees first: it saves up all of its error budget, and then serves whatever is
/// more probably right than wrong. It is never more generous.
const IDLE: usize = 3000;

/// A pair of conversations.
pub(super) struct Pair {
    set: String,
    kind: String,
    same: bool,
    sides: [Vec<Value>; 2],
}

/// How the turns before the question count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// They belong to the scope.
    Scope,
    /// Not at all.
    LastTurn,
    /// Their words are embedded behind the question, and nothing else.
    Transcript,
    /// As `cache.semantic.follow_ups: condensed` has it.
    Condensed,
}

const WAYS: [(Way, &str); 4] = [
    (Way::Scope, "scope"),
    (Way::LastTurn, "last turn"),
    (Way::Transcript, "transcript"),
    (Way::Condensed, "condensed"),
];

/// Pairs served, by set, label and kind: served, all.
#[derive(Serialize)]
pub(super) struct Served {
    way: &'static str,
    judgement: &'static str,
    served: BTreeMap<String, [usize; 2]>,
}

/// Reads the pairs of conversations of all sets of a folder: lines whose `a` and `b` are lists of messages.
pub(super) fn read(folder: &Path) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    for set in listed(folder)?.iter().filter(|set| set.is_dir()) {
        for file in listed(set)? {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_lines = name.ends_with(".jsonl") || name.ends_with(".jsonl.gz");
            if !is_lines || !(name.starts_with("pairs") || name.starts_with("conversations")) {
                continue;
            }
            let set = set.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            for row in rows(&file)? {
                let side = |name: &str| row.get(name).and_then(Value::as_array).cloned();
                let (Some(one), Some(other)) = (side("a"), side("b")) else { continue };
                let label = row.get("same").and_then(Value::as_bool);
                let same = label.or_else(|| row.get("label").and_then(Value::as_u64).map(|label| label == 1));
                let same =
                    same.ok_or_else(|| format!("{}: expected `same` or `label` in every line", file.display()))?;
                let kind = row.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
                pairs.push(Pair { set: set.clone(), kind, same, sides: [one, other] });
            }
        }
    }
    Ok(pairs)
}

/// One conversation, as the cache would see it.
struct Side {
    /// Where the exact and the normalised tier find it; nowhere where its digests leave out what its text holds.
    keys: Option<Keys>,
    /// What it is compared within by meaning.
    place: Digest,
    /// What is compared; without it there is nothing to compare.
    text: Option<String>,
}

impl Side {
    fn read(messages: &[Value], way: Way) -> Result<Side, String> {
        let alone = matches!(way, Way::LastTurn | Way::Transcript);
        let sent = if alone { without_turns(messages) } else { messages.to_vec() };
        let body = Bytes::from(json!({"model": "m", "messages": sent}).to_string());
        let json = parse(&body).map_err(|error| error.message)?;
        let request =
            request::read(Surface::ChatCompletions, &json, &body, &InPath::default()).map_err(|error| error.message)?;
        let tenant = Tenant::configured("judge");
        let around = Circumstances {
            tenant: &tenant,
            sub_scope: None,
            targets: &[("provider", "m", &[])],
            headers: &[],
            guardrails: None,
        };
        let keys = scope::keys(&json, &request, &around, &[]).ok_or("a number in it has no exact form")?;
        let mut side = Side { place: keys.meaning, keys: Some(keys), text: request.question.clone() };
        if way == Way::Transcript {
            side.text = Some(transcript(messages));
            side.keys = None;
        } else if way == Way::Condensed
            && let Some(condensed) = context::condense(&json, &request)
            && let Some(place) = scope::meaning(&json, &request, &around, &[], &condensed.turns)
        {
            (side.place, side.text) = (place, Some(condensed.text));
        }
        Ok(side)
    }

    /// Is the other's answer found without a look at the meaning?
    fn is_found_by(&self, other: &Side) -> bool {
        self.keys.zip(other.keys).is_some_and(|(one, other)| {
            one.exact == other.exact || one.normalised.is_some_and(|key| other.normalised == Some(key))
        })
    }
}

/// The request with the turns before the last one left out.
fn without_turns(messages: &[Value]) -> Vec<Value> {
    let stays = |message: &Value| !matches!(role(message), "user" | "assistant");
    let (last, earlier) = messages.split_last().map_or((None, messages), |(last, earlier)| (Some(last), earlier));
    earlier.iter().filter(|message| stays(message)).chain(last).cloned().collect()
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

/// The words of user and assistant, the newest turn first.
fn transcript(messages: &[Value]) -> String {
    let spoken = messages.iter().rev().filter(|message| matches!(role(message), "user" | "assistant"));
    spoken.filter_map(|message| message.get("content")?.as_str()).collect::<Vec<_>>().join("\n")
}

/// Vectors of texts, and whether the model does not read the whole text.
struct Vectors(HashMap<String, (Vec<f32>, bool)>);

impl Vectors {
    fn of(texts: &BTreeSet<String>, source: &Source) -> Result<Vectors, String> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = embedder(source)?.embed_batch(&texts, &|_| {}).map_err(|error| error.to_string())?;
        let known = |(text, vector): (&&str, askonce_models::Embedding)| {
            ((*text).to_owned(), (vector.vector.to_vec(), vector.truncated))
        };
        Ok(Vectors(texts.iter().zip(vectors).map(known).collect()))
    }

    /// Cosine of two texts; without `cut`, only of what is read whole.
    fn similarity(&self, one: &str, other: &str, cut: bool) -> Option<f32> {
        let (one, other) = (self.0.get(one)?, self.0.get(other)?);
        (cut || !(one.1 || other.1)).then(|| one.0.iter().zip(&other.0).map(|(a, b)| a * b).sum())
    }
}

/// Who decides.
enum Judge {
    Static,
    Learned(Box<Learner>),
}

impl Judge {
    /// The least cosine of a candidate.
    fn floor(&self) -> f32 {
        match self {
            Judge::Static => THRESHOLD,
            Judge::Learned(_) => -1.0,
        }
    }

    fn serves(&mut self, one: &str, other: &str, similarity: f32) -> bool {
        match self {
            Judge::Static => similarity >= THRESHOLD && !verify::differs(one, other),
            Judge::Learned(learner) => {
                let (asked, stored) = (Question::read(one), Question::read(other));
                let seen = [Seen { entry: 1, question: &stored, similarity }];
                learner.decide(0, &asked, &seen, &Asked { dry: true, ..Asked::default() }).serve.is_some()
            }
        }
    }
}

/// Would the answer to `stored` be served to `asked`? As `Cache::lookup` has it.
fn is_served(asked: &Side, stored: &Side, way: Way, vectors: &Vectors, judge: &mut Judge) -> bool {
    if asked.is_found_by(stored) {
        return true;
    }
    let (Some(one), Some(other), true) = (&asked.text, &stored.text, asked.place == stored.place) else {
        return false;
    };
    let Some(similarity) = vectors.similarity(one, other, way == Way::Transcript) else {
        return false;
    };
    let [question, stored] = [one, other].map(|text| context::question(text));
    let of_questions =
        if context::ask_the_same(one, other) { Some(1.0) } else { vectors.similarity(question, stored, false) };
    match of_questions {
        _ if way != Way::Condensed => judge.serves(one, other, similarity),
        None => false,
        // As within a scope, if it is near enough with all that is shared to be looked at.
        Some(cosine) if context::same_turns(one, other) => {
            similarity >= judge.floor() && judge.serves(question, stored, cosine)
        }
        Some(cosine) => {
            cosine >= THRESHOLD && context::agrees(one, other, similarity) && judge.serves(one, other, similarity)
        }
    }
}

/// What is served of `pairs`, the first of each stored and the second asked for.
pub(super) fn tables(pairs: &[Pair], source: &Source, weights: &Arc<Weights>) -> Result<Vec<Served>, String> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let mut sides = Vec::new();
    let mut texts = BTreeSet::new();
    for (way, _) in WAYS {
        for pair in pairs {
            let [one, other] = [&pair.sides[0], &pair.sides[1]].map(|messages| Side::read(messages, way));
            let both = [one?, other?];
            for text in both.iter().filter_map(|side| side.text.as_ref()) {
                texts.extend([text.clone(), context::question(text).to_owned()]);
            }
            sides.push(both);
        }
    }
    let vectors = Vectors::of(&texts, source)?;
    let mut learner = Learner::with_weights(Settings::default(), weights.clone(), 1);
    (0..IDLE).for_each(|_| learner.pass(0, false, &Asked::default()));
    let mut judges = [("static", Judge::Static), ("learned", Judge::Learned(Box::new(learner)))];
    let mut tables = Vec::new();
    for ((way, name), sides) in WAYS.iter().zip(sides.chunks(pairs.len())) {
        for (judgement, judge) in &mut judges {
            let mut served: BTreeMap<String, [usize; 2]> = BTreeMap::new();
            for (pair, [stored, asked]) in pairs.iter().zip(sides) {
                let hit = is_served(asked, stored, *way, &vectors, judge);
                let all = format!("{} {}", pair.set, if pair.same { "repeats" } else { "traps" });
                for name in [format!("{all}, {}", pair.kind), all] {
                    let counts = served.entry(name).or_default();
                    counts[0] += usize::from(hit);
                    counts[1] += 1;
                }
            }
            tables.push(Served { way: name, judgement, served });
        }
    }
    Ok(tables)
}

/// Prints the shares, one column for each way and judgement.
pub(super) fn print(tables: &[Served]) {
    let Some(first) = tables.first() else { return };
    println!("\npairs of conversations served, %; how the turns before the question count, and who judges");
    let heads =
        |of: fn(&Served) -> &'static str| tables.iter().map(|one| format!("{:>10}", of(one))).collect::<String>();
    println!("{:<66} {:>6} {}", "", "", heads(|one| one.way));
    println!("{:<66} {:>6} {}", "", "pairs", heads(|one| one.judgement));
    for (name, [_, all]) in &first.served {
        let share = |one: &Served| {
            let [served, all] = one.served.get(name).copied().unwrap_or_default();
            format!("{:>10.1}", 100.0 * served as f64 / all.max(1) as f64)
        };
        println!("{name:<66} {all:>6} {}", tables.iter().map(share).collect::<String>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(first: &str, question: &str) -> Vec<Value> {
        vec![
            json!({"role": "system", "content": "Be brief."}),
            json!({"role": "user", "content": first}),
            json!({"role": "assistant", "content": "Sure."}),
            json!({"role": "user", "content": question}),
        ]
    }

    #[test]
    fn every_way_serves_what_it_takes_for_the_same() {
        let (tea, again) = (talk("I like tea.", "Is it healthy?"), talk("Hi, i like tea!", "Is it healthy?"));
        let table = [
            (talk("I like tea.", "is it healthy"), [true, true, true, true]),
            (again, [false, true, true, true]),
            (talk("I like 2 teas.", "Is it healthy?"), [false, true, false, false]),
            (talk("I never like tea.", "Is it healthy?"), [false, true, true, false]),
        ];
        for (other, expected) in table {
            for ((way, name), expected) in WAYS.into_iter().zip(expected) {
                let [stored, asked] = [&tea, &other].map(|messages| Side::read(messages, way).unwrap());
                // All texts look alike: what is left is up to scopes and words.
                let all = [&stored, &asked].map(|side| side.text.clone().unwrap());
                let parts = all.iter().map(|text| context::question(text).to_owned());
                let texts = all.iter().cloned().chain(parts).map(|text| (text, (vec![1.0, 0.0], false)));
                let vectors = Vectors(texts.collect());
                let served = is_served(&asked, &stored, way, &vectors, &mut Judge::Static);
                assert_eq!(served, expected, "{name}: {other:?}");
            }
        }
    }
}
