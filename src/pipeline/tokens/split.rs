//! Words of ASCII text as `o200k_base` cuts it, without its regular expression: most text is ASCII, and finding words takes longer than
//! counting their tokens.
//!
//! The expression, in its parts: a word with one sign or space before it and an English contraction behind it; up to three digits; signs
//! with a space before and line breaks behind them; white space up to its last line break; white space but for the space that
//! belongs to the next word; white space.

/// The words of `text`, which is ASCII.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (word, behind) = rest.split_at_checked(first(rest.as_bytes()))?;
        rest = behind;
        Some(word)
    })
}

/// How long the first word of `text` is, which is not empty.
fn first(text: &[u8]) -> usize {
    let at = |index: usize| text.get(index).copied();
    let is_letter = |index| at(index).is_some_and(|byte| byte.is_ascii_alphabetic());
    let begin = text[0];
    if begin.is_ascii_alphabetic() {
        return word(text, 0);
    }
    if begin.is_ascii_digit() {
        return run(text, 0, |byte| byte.is_ascii_digit()).min(3);
    }
    if !matches!(begin, b'\r' | b'\n') && is_letter(1) {
        return word(text, 1);
    }
    let signs = usize::from(begin == b' ');
    if at(signs).is_some_and(is_sign) {
        return run(text, run(text, signs, is_sign), |byte| matches!(byte, b'\r' | b'\n' | b'/'));
    }
    let end = run(text, 0, is_space);
    if let Some(last) = text[..end].iter().rposition(|byte| matches!(byte, b'\r' | b'\n')) {
        return last + 1;
    }
    // The last space belongs to what follows.
    if end == text.len() || end == 1 { end } else { end - 1 }
}

/// Where the word ends whose first letter is at `from`: large letters, then small ones.
fn word(text: &[u8], from: usize) -> usize {
    let large = run(text, from, |byte| byte.is_ascii_uppercase());
    let end = run(text, large, |byte| byte.is_ascii_lowercase());
    end + contraction(&text[end..])
}

/// The length of the contraction that `text` begins with.
fn contraction(text: &[u8]) -> usize {
    let small = |index: usize| text.get(index).map(u8::to_ascii_lowercase);
    match (small(0), small(1), small(2)) {
        (Some(b'\''), Some(b's' | b't' | b'm' | b'd'), _) => 2,
        (Some(b'\''), Some(b'r' | b'v'), Some(b'e')) | (Some(b'\''), Some(b'l'), Some(b'l')) => 3,
        _ => 0,
    }
}

/// Where the bytes end that are `like` that, from `from` on.
fn run(text: &[u8], from: usize, like: impl Fn(u8) -> bool) -> usize {
    from + text[from..].iter().take_while(|byte| like(**byte)).count()
}

/// What Unicode calls white space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn is_sign(byte: u8) -> bool {
    !is_space(byte) && !byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::super::VOCABULARY;
    use super::*;
    use proptest::prelude::*;

    fn same(text: &str) -> Result<(), TestCaseError> {
        let theirs: Vec<&str> = VOCABULARY.split(text).collect();
        prop_assert_eq!(words(text).collect::<Vec<_>>(), theirs, "{:?}", text);
        Ok(())
    }

    #[test]
    fn cuts_as_the_expression_does() {
        for text in [
            "Hello, world! I'LL say it's 12345 times\n\n  indented\tand (parenthesised) HTTPServer's x/y//\n/z",
            " a  b   c \r\n \n d\x0b\x0ce \x1c\x7f  ",
            "don't DON'T rock'n'roll 'tis 's 're'll",
            "fn main() { println!(\"{}\", 1_000.5e-3); } // path/to/file.rs\r\n",
        ] {
            same(text).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn cuts_any_ascii_as_the_expression_does(text in "[ -~\t\r\n\x00-\x1f]{0,60}") {
            same(&text)?;
        }

        #[test]
        fn cuts_what_is_like_text_as_the_expression_does(text in "([A-Z]{0,2}[a-z]{0,4}('(s|t|re|ve|m|ll|d|LL|x))?|[0-9]{1,5}|[ ]{1,3}|[\r\n\t]{1,3}|[.,/!(]{1,3}){0,12}") {
            same(&text)?;
        }
    }
}
