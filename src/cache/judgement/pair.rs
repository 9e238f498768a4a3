//! Features of two questions: what the trap score looks at. All of them are read off two `Question`s; no text is touched.

use super::places::Places;
use super::question::{Question, Word};
use super::weights::Idf;

/// How many features a pair has.
pub(super) const FEATURES: usize = 40;

/// Names of the features, for whoever explains a decision.
pub const FEATURE_NAMES: [&str; FEATURES] = [
    "similarity",
    "log_distance",
    "jaccard",
    "jaccard_idf",
    "jaccard_stems",
    "facts_differ",
    "facts_differ_both_sides",
    "negation_parity",
    "negations",
    "opposites",
    "names_one_sided",
    "names_two_sided",
    "length_ratio",
    "same_words",
    "one_word_replaced",
    "fewer_extra_words",
    "more_extra_words",
    "less_idf_extra",
    "more_idf_extra",
    "rarest_extra_word",
    "rarest_on_both_sides",
    "same_words_other_order",
    "similarity_jaccard",
    "distance_idf",
    "question_words_differ",
    "fewer_extra_stems",
    "more_extra_stems",
    "shorter",
    "shared_idf",
    "order_kept",
    "fewer_other_names",
    "more_other_names",
    "rarest_name_on_both_sides",
    "replaced_beside",
    "replaced_between",
    "value_replaced",
    "value_moved",
    "values_swapped",
    "rarest_stem_on_both_sides",
    "less_idf_extra_stems",
];

/// The features of two questions whose vectors have this cosine. Symmetric.
pub(super) fn features(one: &Question, other: &Question, similarity: f32, idf: &Idf) -> [f32; FEATURES] {
    let words = Overlap::of(one, other, idf);
    let distance = (1.0 - similarity).max(1e-3);
    let union = words.shared + words.extra[0] + words.extra[1];
    let jaccard = ratio(words.shared, union);
    let idf_extra = [words.idf_extra[0], words.idf_extra[1]];
    let idf_union = words.idf_shared + idf_extra[0] + idf_extra[1];
    let stems = stems(one, other);
    let facts = one.facts != other.facts;
    let names = [missing(&one.names, &other.content), missing(&other.names, &one.content)];
    let lengths = [one.words.len() as f32, other.words.len() as f32];
    let same = words.extra[0] + words.extra[1] == 0.0;
    let order = order_kept(one, other);
    let places = Places::of(one, other, idf);
    let flag = |yes: bool| f32::from(u8::from(yes));
    [
        similarity,
        distance.ln(),
        jaccard,
        ratio(words.idf_shared, idf_union),
        ratio(stems.0, stems.0 + stems.1[0] + stems.1[1]),
        flag(facts),
        flag(facts && !one.facts.is_empty() && !other.facts.is_empty()),
        flag(one.negations % 2 != other.negations % 2),
        f32::from(one.negations.max(other.negations)),
        flag(opposed(one, other) || opposed(other, one)),
        flag(names[0] != names[1]),
        flag(names[0] && names[1]),
        ratio(lengths[0].min(lengths[1]), lengths[0].max(lengths[1])),
        flag(same),
        replaced(one, other),
        words.extra[0].min(words.extra[1]),
        words.extra[0].max(words.extra[1]),
        idf_extra[0].min(idf_extra[1]),
        idf_extra[0].max(idf_extra[1]),
        words.rarest[0].max(words.rarest[1]),
        words.rarest[0].min(words.rarest[1]),
        flag(same && order < 1.0),
        similarity * jaccard,
        distance * (idf_extra[0] + idf_extra[1]),
        (one.asks ^ other.asks).count_ones() as f32,
        stems.1[0].min(stems.1[1]),
        stems.1[0].max(stems.1[1]),
        lengths[0].min(lengths[1]),
        words.idf_shared,
        order,
        places.names[0].min(places.names[1]),
        places.names[0].max(places.names[1]),
        places.rarest_name[0].min(places.rarest_name[1]),
        places.beside,
        places.between,
        places.valued,
        flag(places.moved),
        flag(places.swapped),
        places.rarest[0].min(places.rarest[1]),
        places.loose[0].min(places.loose[1]),
    ]
}

fn ratio(part: f32, whole: f32) -> f32 {
    if whole > 0.0 { part / whole } else { 1.0 }
}

/// Content words shared and not.
#[derive(Default)]
struct Overlap {
    shared: f32,
    extra: [f32; 2],
    idf_shared: f32,
    idf_extra: [f32; 2],
    rarest: [f32; 2],
}

impl Overlap {
    fn of(one: &Question, other: &Question, idf: &Idf) -> Overlap {
        let mut overlap = Overlap::default();
        merge(
            &one.content,
            &other.content,
            |word| word.hash,
            |side, word| {
                let idf = idf.of(word.hash);
                match side {
                    None => {
                        overlap.shared += 1.0;
                        overlap.idf_shared += idf;
                    }
                    Some(side) => {
                        overlap.extra[side] += 1.0;
                        overlap.idf_extra[side] += idf;
                        overlap.rarest[side] = overlap.rarest[side].max(idf);
                    }
                }
            },
        );
        overlap
    }
}

/// Walks two sorted lists: tells `each` which side a word is on, or `None` for both.
fn merge(one: &[Word], other: &[Word], key: fn(&Word) -> u32, mut each: impl FnMut(Option<usize>, &Word)) {
    let (mut i, mut j) = (0, 0);
    while i < one.len() || j < other.len() {
        match (one.get(i), other.get(j)) {
            (Some(a), Some(b)) if key(a) == key(b) => {
                each(None, a);
                i += 1;
                j += 1;
            }
            (Some(a), Some(b)) if key(a) < key(b) => {
                each(Some(0), a);
                i += 1;
            }
            (Some(a), None) => {
                each(Some(0), a);
                i += 1;
            }
            (_, Some(b)) => {
                each(Some(1), b);
                j += 1;
            }
            (None, None) => break,
        }
    }
}

/// Shared stems, and stems on one side only.
fn stems(one: &Question, other: &Question) -> (f32, [f32; 2]) {
    let has = |list: &[Word], stem: u32| list.iter().any(|word| word.stem == stem);
    let shared = one.content.iter().filter(|word| has(&other.content, word.stem)).count() as f32;
    let back = other.content.iter().filter(|word| has(&one.content, word.stem)).count() as f32;
    (shared.min(back), [one.content.len() as f32 - shared, other.content.len() as f32 - back])
}

/// Has `one` a name that the other lacks, and no word that begins alike?
pub(super) fn renames(one: &Question, other: &Question) -> bool {
    let begins_alike = |name: u32| one.content.iter().any(|word| word.hash == name && has_stem(other, word.stem));
    one.names.iter().any(|name| !holds(&other.content, *name) && !begins_alike(*name))
}

/// Is one of `names` no word of `content`?
fn missing(names: &[u32], content: &[Word]) -> bool {
    names.iter().any(|name| !holds(content, *name))
}

/// Is this a word of `content`?
pub(super) fn holds(content: &[Word], hash: u32) -> bool {
    content.binary_search_by_key(&hash, |word| word.hash).is_ok()
}

/// Is there a word with this beginning?
pub(super) fn has_stem(question: &Question, stem: u32) -> bool {
    question.content.iter().any(|word| word.stem == stem)
}

/// Does `other` say, in place of a word of `one`, its opposite?
fn opposed(one: &Question, other: &Question) -> bool {
    one.opposites.iter().any(|opposite| {
        let theirs = other.words.contains(opposite);
        theirs && !one.words.contains(opposite)
    })
}

/// 1 where both have as many words and differ in one of them only; less where in two or three.
fn replaced(one: &Question, other: &Question) -> f32 {
    if one.words.len() != other.words.len() {
        return 0.0;
    }
    match one.words.iter().zip(&other.words).filter(|(a, b)| a != b).count() {
        1 => 1.0,
        2 => 0.5,
        3 => 0.25,
        _ => 0.0,
    }
}

/// Share of the content words of both that stand in the same order, from 0 to 1.
fn order_kept(one: &Question, other: &Question) -> f32 {
    let shared = |words: &[u32], content: &[Word]| -> Vec<u32> {
        words.iter().copied().filter(|word| holds(content, *word)).take(24).collect()
    };
    let (a, b) = (shared(&one.words, &other.content), shared(&other.words, &one.content));
    if a.len() < 2 || b.len() < 2 {
        return 1.0;
    }
    // Neighbours in one that stand the other way round in the other.
    let place = |word: u32| b.iter().position(|other| *other == word);
    let pairs = a.windows(2).filter(|pair| pair[0] != pair[1]);
    let (mut kept, mut all) = (0.0, 0.0);
    for pair in pairs {
        if let (Some(first), Some(second)) = (place(pair[0]), place(pair[1])) {
            all += 1.0;
            kept += f32::from(u8::from(first < second));
        }
    }
    ratio(kept, all)
}
