//! What is counted in a question's text: cheap, and blind to what it is about, which the embedding tells.

/// What the features are called, in their order.
pub(super) const NAMES: [&str; 8] =
    ["log_chars", "log_words", "log_lines", "log_digits", "log_code_marks", "log_clauses", "asks_what", "asks_why"];

/// Words that ask for a fact, and words that ask for a reason or a way.
const WHAT: [&str; 5] = ["what", "who", "when", "where", "which"];
const WHY: [&str; 7] = ["why", "how", "explain", "compare", "prove", "derive", "design"];
/// Signs that texts seldom have, and programs and formulas often.
const CODE: &str = "{}[]();=<>`\\|&^_+*/#$";
/// More than this of a text tells nothing new.
const READ_BYTES: usize = 32 << 10;

/// The features of `text`.
pub(super) fn of(text: &str) -> [f64; NAMES.len()] {
    let text = beginning(text);
    let count = |is: &dyn Fn(char) -> bool| log(text.chars().filter(|sign| is(*sign)).count());
    let mut words = 0;
    let (mut what, mut why) = (0.0, 0.0);
    for word in text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words += 1;
        let is_one_of = |list: &[&str]| list.iter().any(|one| one.eq_ignore_ascii_case(word));
        what = if is_one_of(&WHAT) { 1.0 } else { what };
        why = if is_one_of(&WHY) { 1.0 } else { why };
    }
    [
        count(&|_| true),
        log(words),
        log(text.lines().count()),
        count(&|sign| sign.is_ascii_digit()),
        count(&|sign| CODE.contains(sign)),
        count(&|sign| ",.:?!".contains(sign)),
        what,
        why,
    ]
}

fn log(count: usize) -> f64 {
    (count as f64).ln_1p()
}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(READ_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_what_they_are_called() {
        let [chars, words, lines, digits, code, clauses, what, why] = of("How, in 12 lines?\nx = f(y);");
        let logs = [chars, words, lines, digits, code, clauses].map(|log| log.exp_m1().round());
        assert_eq!(logs, [27.0, 7.0, 2.0, 2.0, 4.0, 2.0]);
        assert_eq!((what, why), (0.0, 1.0));
        assert_eq!(of("WHAT is it?")[6..], [1.0, 0.0]);
        assert_eq!(of(""), [0.0; NAMES.len()]);
        assert!(of(&"ä".repeat(READ_BYTES)).iter().all(|feature| feature.is_finite()));
    }
}
