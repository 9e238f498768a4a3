//! Folding of a question: differences that cannot change the answer are taken out.
//!
//! Unicode NFKC, case, white space, edge punctuation, greetings and thanks. Text with code is left alone: there case
//! and space mean something.

use memchr::memmem;
use unicode_normalization::UnicodeNormalization;

/// Longest first, so that "hello there" goes as a whole.
const GREETINGS: [&str; 12] = [
    "good afternoon",
    "good evening",
    "good morning",
    "hello there",
    "hey there",
    "hi there",
    "greetings",
    "good day",
    "hello",
    "hiya",
    "hey",
    "hi",
];

const THANKS: [&str; 14] = [
    "thank you very much",
    "thank you so much",
    "thank you in advance",
    "thanks in advance",
    "thanks very much",
    "thanks so much",
    "many thanks",
    "thanks a lot",
    "thank you",
    "thanks",
    "thx",
    "cheers",
    "please",
    "pls",
];

const OPENERS: [&str; 2] = ["please", "pls"];

/// The folded question, or `None` where folding does not apply: code, or nothing left.
pub fn fold(text: &str) -> Option<String> {
    if has_code(text) {
        return None;
    }
    let spaced = if text.is_ascii() { folded_ascii(text) } else { folded_unicode(text)? };
    let mut rest = trim(&spaced);
    while let Some(shorter) = without_courtesy(rest) {
        rest = shorter;
    }
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// ASCII in lower case, with one space between words: NFKC changes none of it. Goes from one odd space to the next, not from byte to byte:
/// questions may be long, and most of their spaces are as they should be.
fn folded_ascii(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut folded = String::with_capacity(text.len());
    let mut add = |line: &str| {
        let mut rest = line.trim_matches(' ');
        while !rest.is_empty() {
            let end = memmem::find(rest.as_bytes(), b"  ").unwrap_or(rest.len());
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.push_str(&rest[..end]);
            rest = rest[end..].trim_start_matches(' ');
        }
    };
    if memchr::memchr2(0x0b, 0x0c, bytes).is_some() {
        text.split_whitespace().for_each(add);
    } else {
        let mut from = 0;
        for end in memchr::memchr3_iter(b'\t', b'\n', b'\r', bytes).chain([bytes.len()]) {
            add(&text[from..end]);
            from = end + 1;
        }
    }
    folded.make_ascii_lowercase();
    folded
}

/// The same of any text; `None` where it turns out to have code.
fn folded_unicode(text: &str) -> Option<String> {
    let normal: String = text.nfkc().flat_map(char::to_lowercase).collect();
    // Some look-alikes become back quotes only here.
    if normal.contains('`') {
        return None;
    }
    Some(normal.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Code blocks and inline code.
fn has_code(text: &str) -> bool {
    text.contains('`') || text.lines().any(|line| line.starts_with("    ") || line.starts_with('\t'))
}

/// Without edge punctuation. Signs that are part of names and amounts (`+`, `#`, `$`, `%`, brackets) stay.
fn trim(text: &str) -> &str {
    let edge = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '.' | ',' | '!' | '?' | ';' | ':' | '…' | '¿' | '¡' | '。' | '、' | '"' | '\'' | '“' | '”' | '‘' | '’'
            )
    };
    // A leading dot may begin a number or a file name.
    text.trim_start_matches(|c| edge(c) && c != '.').trim_end_matches(edge)
}

/// Without one greeting in front or one thanks behind; `None` when there is none, or nothing else.
fn without_courtesy(text: &str) -> Option<&str> {
    let front = GREETINGS
        .iter()
        .chain(&OPENERS)
        .find_map(|word| text.strip_prefix(word).filter(|rest| rest.starts_with(breaks)));
    let back = || THANKS.iter().find_map(|word| text.strip_suffix(word).filter(|rest| rest.ends_with(breaks)));
    front.or_else(back).map(trim).filter(|rest| !rest.is_empty())
}

fn breaks(c: char) -> bool {
    c.is_whitespace() || matches!(c, '.' | ',' | '!' | '?' | ';' | ':' | '-' | '…')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spaces_of_ascii_are_folded_as_any_are(text in "([a-zA-Z.]{0,3}[ \t\r\n\x0b\x0c]{0,3}){0,12}") {
            let plain = text.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
            prop_assert_eq!(folded_ascii(&text), plain);
        }
    }

    #[test]
    fn folds_what_cannot_matter() {
        let same = [
            "How do I reset my password?",
            "how do i  reset my\npassword",
            "Hi, how do I reset my password?",
            "Hello there! How do I reset my password? Thanks in advance!",
            "HOW DO I RESET MY PASSWORD!!",
            "Ｈow do I reset my password？",
            "Please, how do I reset my password? Thank you.",
        ];
        for text in same {
            assert_eq!(fold(text).as_deref(), Some("how do i reset my password"), "{text}");
        }
    }

    #[test]
    fn keeps_what_can() {
        let table = [
            ("What is C++?", Some("what is c++")),
            ("C#", Some("c#")),
            (".5 + 1", Some(".5 + 1")),
            ("Hidden fees?", Some("hidden fees")),
            ("What does hi mean", Some("what does hi mean")),
            ("thanks", Some("thanks")),
            ("Hi", Some("hi")),
            ("what does `X` do", None),
            ("run:\n    ls", None),
            ("?!", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(fold(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ascii_is_folded_like_any_text(text in "[ -~\\t\\n\\r\u{b}\u{c}]{0,60}") {
            if !text.contains('`') {
                prop_assert_eq!(Some(folded_ascii(&text)), folded_unicode(&text));
            }
        }

        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,60}") {
            if let Some(folded) = fold(&text) {
                prop_assert_eq!(fold(&folded), Some(folded.clone()));
            }
        }
    }
}
