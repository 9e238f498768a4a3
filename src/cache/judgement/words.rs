//! Words of a question: how a text is split, which words carry no meaning of their own, and which are opposites.
//!
//! English, mostly; in other languages all words count as content, and no opposites are known.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Words and whether a sentence ends behind each.
pub(super) fn split(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(char::is_alphanumeric)?;
        let from = &rest[start..];
        let mut end = from.len();
        let mut chars = from.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            let joins = matches!(c, '\'' | '’' | '.' | ',' | ':' | '-' | '_' | '/' | '+' | '#')
                && match c {
                    '\'' | '’' | '_' => next.is_some_and(char::is_alphanumeric),
                    '+' | '#' => true,
                    _ => next.is_some_and(|next| next.is_ascii_digit()),
                };
            if !c.is_alphanumeric() && !joins {
                end = at;
                break;
            }
        }
        let (word, behind) = from.split_at(end);
        rest = behind;
        let ends = behind.trim_start_matches(['"', '\'', ')', ' ']).starts_with(['.', '!', '?', ':', '\n']);
        Some((word, ends))
    })
}

/// FNV-1a, 32 bits: the same on every machine, as hashes are in the weights file.
pub(super) fn hash(word: &str) -> u32 {
    word.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Without a plural's s.
pub(super) fn singular(word: &str) -> &str {
    if word.len() < 4 || word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        return word;
    }
    word.strip_suffix('s').unwrap_or(word)
}

/// The first five letters; what is shorter is left as it is.
pub(super) fn beginning(word: &str) -> &str {
    word.char_indices().nth(5).map_or(word, |(at, _)| &word[..at])
}

/// Is a dot behind it no end of a sentence? An initial, or a title.
pub(super) fn abbreviates(word: &str) -> bool {
    const TITLES: [&str; 16] =
        ["prof", "dr", "mr", "mrs", "ms", "st", "mt", "ft", "jr", "sr", "vs", "no", "dept", "gen", "sen", "capt"];
    word.chars().count() == 1 || TITLES.iter().any(|title| title.eq_ignore_ascii_case(word))
}

/// So many of the roles have a direction: with another value they say something else.
pub(super) const DIRECTIONS: usize = 8;

/// Hashes of the words that stand before a value and say its role. Not "between" and "and": their values have no order.
pub(super) fn roles() -> &'static [u32; 24] {
    static ROLES: OnceLock<[u32; 24]> = OnceLock::new();
    ROLES.get_or_init(|| {
        [
            "from", "to", "into", "after", "before", "than", "over", "under", "in", "on", "at", "by", "for", "with",
            "about", "of", "via", "through", "until", "since", "during", "near", "using", "without",
        ]
        .map(|word| hash(singular(word)))
    })
}

/// Hashes of the words that may stand between a word and what it belongs to.
pub(super) fn articles() -> &'static [u32; 12] {
    static ARTICLES: OnceLock<[u32; 12]> = OnceLock::new();
    ARTICLES.get_or_init(|| {
        ["a", "an", "the", "my", "your", "our", "their", "this", "that", "these", "any", "some"]
            .map(|word| hash(singular(word)))
    })
}

pub(super) fn negates(word: &str) -> bool {
    word.ends_with("n't")
        || word.ends_with("n’t")
        || matches!(
            word,
            "not"
                | "no"
                | "never"
                | "none"
                | "nothing"
                | "nobody"
                | "nor"
                | "neither"
                | "without"
                | "cannot"
                | "cant"
                | "dont"
                | "doesnt"
                | "didnt"
                | "wont"
                | "isnt"
                | "arent"
                | "wasnt"
                | "couldnt"
                | "shouldnt"
                | "wouldnt"
                | "hasnt"
                | "havent"
                | "hardly"
                | "nowhere"
                | "except"
                | "unable"
        )
}

/// A bit for each question word.
pub(super) fn asks(word: &str) -> u8 {
    match word {
        "who" | "whom" | "whose" => 1,
        "what" | "which" => 2,
        "when" => 4,
        "where" => 8,
        "why" => 16,
        "how" => 32,
        _ => 0,
    }
}

/// Words without a meaning of their own: articles, auxiliaries, pronouns, and the phrases of asking. Prepositions are
/// left in: "under" and "over" are not the same.
pub(super) fn is_filler(word: &str) -> bool {
    matches!(
        word,
        "a" | "an"
            | "the"
            | "is"
            | "are"
            | "was"
            | "were"
            | "be"
            | "been"
            | "being"
            | "am"
            | "do"
            | "does"
            | "did"
            | "done"
            | "doing"
            | "have"
            | "has"
            | "had"
            | "having"
            | "i"
            | "me"
            | "my"
            | "mine"
            | "myself"
            | "you"
            | "your"
            | "yours"
            | "we"
            | "us"
            | "our"
            | "ours"
            | "it"
            | "its"
            | "they"
            | "them"
            | "their"
            | "this"
            | "that"
            | "these"
            | "those"
            | "there"
            | "here"
            | "can"
            | "could"
            | "would"
            | "should"
            | "will"
            | "shall"
            | "may"
            | "might"
            | "must"
            | "what"
            | "which"
            | "who"
            | "whom"
            | "whose"
            | "when"
            | "where"
            | "why"
            | "how"
            | "and"
            | "or"
            | "but"
            | "so"
            | "if"
            | "then"
            | "than"
            | "as"
            | "of"
            | "to"
            | "in"
            | "on"
            | "at"
            | "by"
            | "for"
            | "with"
            | "about"
            | "into"
            | "just"
            | "please"
            | "tell"
            | "give"
            | "show"
            | "want"
            | "need"
            | "like"
            | "know"
            | "any"
            | "some"
            | "get"
            | "got"
            | "also"
            | "really"
            | "very"
            | "help"
            | "im"
            | "i'm"
            | "i've"
            | "i'd"
            | "it's"
            | "what's"
            | "s"
            | "t"
            | "ok"
            | "hi"
            | "hello"
            | "hey"
            | "thanks"
    )
}

/// Pairs that say the opposite of each other.
const OPPOSITES: [(&str, &str); 118] = [
    ("open", "close"),
    ("open", "shut"),
    ("opened", "closed"),
    ("opening", "closing"),
    ("start", "stop"),
    ("start", "end"),
    ("start", "finish"),
    ("begin", "end"),
    ("increase", "decrease"),
    ("increase", "reduce"),
    ("increase", "lower"),
    ("raise", "lower"),
    ("add", "remove"),
    ("add", "delete"),
    ("create", "delete"),
    ("create", "close"),
    ("insert", "remove"),
    ("enable", "disable"),
    ("activate", "deactivate"),
    ("accept", "decline"),
    ("accept", "reject"),
    ("accept", "refuse"),
    ("approve", "reject"),
    ("approve", "deny"),
    ("allow", "forbid"),
    ("allow", "deny"),
    ("allow", "prevent"),
    ("allow", "block"),
    ("allowed", "forbidden"),
    ("eat", "avoid"),
    ("use", "avoid"),
    ("seek", "avoid"),
    ("include", "exclude"),
    ("including", "excluding"),
    ("import", "export"),
    ("upload", "download"),
    ("send", "receive"),
    ("give", "take"),
    ("push", "pull"),
    ("buy", "sell"),
    ("lend", "borrow"),
    ("rent", "buy"),
    ("deposit", "withdraw"),
    ("deposit", "withdrawal"),
    ("credit", "debit"),
    ("win", "lose"),
    ("gain", "lose"),
    ("gain", "loss"),
    ("profit", "loss"),
    ("earn", "spend"),
    ("save", "spend"),
    ("join", "leave"),
    ("enter", "leave"),
    ("enter", "exit"),
    ("arrive", "depart"),
    ("arrive", "leave"),
    ("arrival", "departure"),
    ("arriving", "departing"),
    ("arriving", "leaving"),
    ("first", "last"),
    ("earliest", "latest"),
    ("early", "late"),
    ("before", "after"),
    ("next", "previous"),
    ("old", "new"),
    ("oldest", "newest"),
    ("oldest", "youngest"),
    ("old", "young"),
    ("max", "min"),
    ("maximum", "minimum"),
    ("most", "least"),
    ("more", "less"),
    ("more", "fewer"),
    ("many", "few"),
    ("highest", "lowest"),
    ("high", "low"),
    ("higher", "lower"),
    ("largest", "smallest"),
    ("biggest", "smallest"),
    ("large", "small"),
    ("big", "small"),
    ("longest", "shortest"),
    ("long", "short"),
    ("fast", "slow"),
    ("fastest", "slowest"),
    ("cheap", "expensive"),
    ("cheapest", "expensive"),
    ("best", "worst"),
    ("better", "worse"),
    ("good", "bad"),
    ("over", "under"),
    ("above", "below"),
    ("up", "down"),
    ("inside", "outside"),
    ("in", "out"),
    ("on", "off"),
    ("with", "without"),
    ("always", "never"),
    ("safe", "dangerous"),
    ("easy", "hard"),
    ("easy", "difficult"),
    ("hot", "cold"),
    ("warm", "cold"),
    ("wet", "dry"),
    ("full", "empty"),
    ("true", "false"),
    ("right", "wrong"),
    ("right", "left"),
    ("pass", "fail"),
    ("success", "failure"),
    ("love", "hate"),
    ("male", "female"),
    ("men", "women"),
    ("advantage", "disadvantage"),
    ("pro", "con"),
    ("public", "private"),
    ("internal", "external"),
    ("domestic", "international"),
];

/// Beginnings that turn a word into its opposite.
const TURNS: [&str; 9] = ["un", "in", "im", "ir", "il", "dis", "non", "de", "mis"];

/// Hashes of the words that say the opposite of `word`, those without a turning beginning included.
pub(super) fn opposites(word: &str) -> Vec<u32> {
    static TABLE: OnceLock<HashMap<&'static str, Vec<u32>>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table: HashMap<&'static str, Vec<u32>> = HashMap::new();
        for (one, other) in OPPOSITES {
            table.entry(singular(one)).or_default().push(hash(singular(other)));
            table.entry(singular(other)).or_default().push(hash(singular(one)));
        }
        table
    });
    let mut found = table.get(singular(word)).cloned().unwrap_or_default();
    for turn in TURNS {
        let rest = word.strip_prefix(turn).map(|rest| rest.trim_start_matches('-'));
        found.extend(rest.filter(|rest| rest.len() >= 3).map(|rest| hash(singular(rest))));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_into_words() {
        let table: [(&str, &[&str]); 5] = [
            ("What's C++, or C#?", &["What's", "C++", "or", "C#"]),
            ("pay 1,000.50 at 10:30.", &["pay", "1,000.50", "at", "10:30"]),
            ("well-known INV-2041", &["well", "known", "INV-2041"]),
            ("  ... ", &[]),
            ("日本語 ok", &["日本語", "ok"]),
        ];
        for (text, expected) in table {
            let words: Vec<&str> = split(text).map(|(word, _)| word).collect();
            assert_eq!(words, expected, "{text}");
        }
    }

    #[test]
    fn knows_opposites_both_ways() {
        for (one, other) in [("open", "closes"), ("unsubscribe", "subscribe"), ("dislike", "like")] {
            let [a, b] = [(one, other), (other, one)]
                .map(|(word, opposite)| opposites(word).contains(&hash(singular(opposite))));
            assert!(a || b, "{one} / {other}");
        }
        assert!(opposites("refund").is_empty());
    }
}
