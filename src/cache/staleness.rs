//! How soon an answer is out of date: a request's staleness class, from what it says. Pure.
//!
//! Rules, not a model: words of time in the question, tools, something that is looked up elsewhere, and the caller's
//! header. Of several, the shortest class counts. A wrong class costs a fetch, or serves an answer for longer than one
//! would like; what may be served at all is for the scope and the judgement to say.

use crate::config;
use crate::types::json::Json;
use crate::types::staleness::Staleness;
use std::time::Duration;

/// Words read at either end of a question: what is asked stands there, and a pasted text between them says nothing about
/// its age.
const WORDS_READ: usize = 32;

/// Fields of a request that have something looked up when it is answered.
const LOOKED_UP: [&str; 5] = ["web_search_options", "plugins", "documents", "data_sources", "search_parameters"];
/// Parts of the type or name of a tool that looks something up.
const LOOK_UP_TOOLS: [&str; 5] = ["search", "retriev", "browse", "fetch", "crawl"];

/// The class of a request with this `question` and this body. `asked` is the caller's own word, which can only shorten.
pub fn classify(
    settings: &config::Staleness,
    question: Option<&str>,
    body: &Json<'_>,
    asked: Option<Staleness>,
) -> Staleness {
    let asked = asked.unwrap_or_default();
    if !settings.enabled {
        return asked;
    }
    let of_words = question.map_or(Staleness::Static, |question| by_words(settings, question));
    asked.min(of_words).min(by_markers(settings, body))
}

/// How long an answer of `class` keeps; `None` for as long as the cache's own settings say.
pub fn keeps(settings: &config::Staleness, class: Staleness) -> Option<Duration> {
    match class {
        Staleness::Never => Some(Duration::ZERO),
        Staleness::Minutes => Some(settings.minutes_ttl),
        Staleness::Hours => Some(settings.hours_ttl),
        Staleness::Days => Some(settings.days_ttl),
        Staleness::Static => None,
    }
}

fn by_words(settings: &config::Staleness, question: &str) -> Staleness {
    let text = ends(question);
    let mut may_begin = Beginnings::default();
    settings.words.iter().flat_map(|(_, phrases)| phrases).for_each(|phrase| may_begin.add(phrase.as_bytes()));
    let mut shortest = Staleness::Static;
    // Every word begins behind a space, and the text ends with one.
    for (at, _) in text.as_bytes().iter().enumerate().filter(|(_, byte)| **byte == b' ') {
        let rest = &text.as_bytes()[at + 1..];
        if !may_begin.holds(rest) {
            continue;
        }
        for (class, phrases) in settings.words.iter().filter(|(class, _)| *class < shortest) {
            if phrases.iter().any(|phrase| begins(rest, phrase.as_bytes())) {
                shortest = *class;
                break;
            }
        }
    }
    shortest
}

/// How phrases begin, as bits of their first two bytes: most words of a question begin like none of them.
#[derive(Default)]
struct Beginnings([u64; 16]);

impl Beginnings {
    fn bit(text: &[u8]) -> (usize, u64) {
        let of = |at: usize| usize::from(text.get(at).copied().unwrap_or(b' ')) & 31;
        let bit = of(0) * 32 + of(1);
        (bit / 64, 1 << (bit % 64))
    }

    fn add(&mut self, phrase: &[u8]) {
        let (word, bit) = Beginnings::bit(phrase);
        self.0[word] |= bit;
    }

    fn holds(&self, text: &[u8]) -> bool {
        let (word, bit) = Beginnings::bit(text);
        self.0[word] & bit != 0
    }
}

/// Does `rest` begin with `phrase` as whole words?
fn begins(rest: &[u8], phrase: &[u8]) -> bool {
    // Most differ in the first letter.
    phrase.first() == rest.first() && rest.starts_with(phrase) && rest.get(phrase.len()) == Some(&b' ')
}

/// Its first and last words in lower case, each with one space before and behind.
fn ends(question: &str) -> String {
    let mut text = String::with_capacity(question.len().min(1024) + 2);
    let breaks = |c: char| !(c.is_alphanumeric() || c == '\'' || c == '’');
    let mut add = |word: &str| {
        text.push(' ');
        for c in word.chars() {
            match c {
                '’' => text.push('\''),
                c if c.is_ascii() => text.push(c.to_ascii_lowercase()),
                c => text.extend(c.to_lowercase()),
            }
        }
    };
    let words = || question.split(breaks).filter(|word| !word.is_empty());
    let mut front = words();
    front.by_ref().take(WORDS_READ).for_each(&mut add);
    let mut back: Vec<&str> = front.rev().take(WORDS_READ).collect();
    back.reverse();
    back.into_iter().for_each(&mut add);
    text.push(' ');
    text
}

fn by_markers(settings: &config::Staleness, body: &Json<'_>) -> Staleness {
    let there = |value: Option<&Json<'_>>| match value {
        None | Some(Json::Null) => false,
        Some(Json::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    if LOOKED_UP.iter().any(|field| there(body.get(field))) {
        return settings.retrieval;
    }
    let tools = body.get("tools").and_then(Json::as_array).unwrap_or_default();
    if tools.iter().any(looks_up) {
        return settings.retrieval.min(settings.tools);
    }
    if there(body.get("tools")) || there(body.get("functions")) { settings.tools } else { Staleness::Static }
}

/// A tool of the provider's own that looks something up, or a function named for it.
fn looks_up(tool: &Json<'_>) -> bool {
    let name = tool.get("function").and_then(|function| function.get("name")).and_then(Json::as_str);
    let word = name.or_else(|| tool.get("type").and_then(Json::as_str)).unwrap_or_default().to_ascii_lowercase();
    LOOK_UP_TOOLS.iter().any(|part| word.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;
    use proptest::prelude::*;

    fn settings(text: &str) -> config::Staleness {
        let overrides = config::Overrides { data_dir: Some("unused".into()), ..config::Overrides::default() };
        config::parse(text, "test", &overrides, &|_| None).unwrap().cache.staleness
    }

    fn class(settings: &config::Staleness, question: &str, body: &str) -> Staleness {
        let body = bytes::Bytes::copy_from_slice(body.as_bytes());
        classify(settings, Some(question), &parse(&body).unwrap(), None)
    }

    #[test]
    fn words_of_time_shorten() {
        use Staleness::{Days, Hours, Minutes, Never, Static};
        let settings = settings("");
        let table = [
            ("What is the capital of France?", Static),
            ("Who knows a synonym for knowing?", Static),
            ("What time is it?", Never),
            ("what TIME is it in Rome right now", Never),
            ("Who leads the race NOW?", Minutes),
            ("What’s the weather in Oslo tomorrow?", Minutes),
            ("What is the time complexity of binary search?", Static),
            ("How do I make a random number in Python?", Static),
            ("How do I get the current time in Python?", Days),
            ("What happened today?", Hours),
            ("Today’s special, please", Hours),
            ("Give me the latest figures", Hours),
            ("How do I reset my password?", Days),
            ("Is the mining company in Myanmar newsworthy?", Static),
            ("", Static),
        ];
        for (question, expected) in table {
            assert_eq!(class(&settings, question, "{}"), expected, "{question}");
        }
        // What stands in the middle of a long text is not what is asked.
        let pasted = |word: &str| format!("Sum up: {} {word} {} Be brief.", "la ".repeat(99), "la ".repeat(99));
        assert_eq!(class(&settings, &pasted("now"), "{}"), Static);
        assert_eq!(class(&settings, &format!("{} What of it holds today?", "la ".repeat(999)), "{}"), Hours);
    }

    #[test]
    fn tools_retrieval_and_callers_shorten() {
        use Staleness::{Hours, Minutes, Never, Static};
        let by_default = settings("");
        let function = |name: &str| format!(r#"{{"tools":[{{"type":"function","function":{{"name":"{name}"}}}}]}}"#);
        let table = [
            (r#"{"tools":[]}"#.to_owned(), Static),
            (function("add"), Hours),
            (function("web_search"), Minutes),
            (r#"{"tools":[{"type":"file_search"}]}"#.to_owned(), Minutes),
            (r#"{"web_search_options":{}}"#.to_owned(), Minutes),
            (r#"{"documents":[{"text":"x"}]}"#.to_owned(), Minutes),
            (r#"{"plugins":null,"functions":[{"name":"f"}]}"#.to_owned(), Hours),
        ];
        for (body, expected) in table {
            assert_eq!(class(&by_default, "x", &body), expected, "{body}");
        }
        let own = settings("cache: {staleness: {tools: static, words: {never: [Secret  Word], hours: []}}}");
        assert_eq!(class(&own, "x", &function("add")), Static);
        assert_eq!(class(&own, "the secret word is today", "{}"), Never);
        assert_eq!(class(&own, "what is new today", "{}"), Static);
        let off = settings("cache: {staleness: {enabled: false}}");
        assert_eq!(class(&off, "what time is it now", "{}"), Static);
        assert_eq!(classify(&off, Some("x"), &Json::Null, Some(Hours)), Hours);
        assert_eq!(classify(&by_default, Some("now"), &Json::Null, Some(Hours)), Minutes);
    }

    proptest! {
        /// Any text has a class, and a phrase is found wherever it stands near an end.
        #[test]
        fn phrases_are_whole_words(before in "\\PC{0,40}", after in "\\PC{0,40}") {
            let settings = settings("");
            let _ = class(&settings, &before, "{}");
            let found = class(&settings, &format!("{before} at the moment {after}"), "{}");
            prop_assert!(found <= Staleness::Minutes);
        }
    }
}
