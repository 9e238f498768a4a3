//! The veto: numbers, ids, dates and units that differ between two questions forbid sharing an answer.
//!
//! Sentence models see "one number changed" as almost the same; so these are compared as words. Each question gives a
//! sorted list of facts; the lists must agree.

/// One thing that must agree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fact {
    /// A number, in canonical digits, with its unit if one follows or a currency sign precedes.
    Number(String, &'static str),
    /// Letters and digits mixed: an order number, a version, a model name.
    Id(String),
    /// A month, a weekday, or a day told from today.
    Date(&'static str),
}

/// The facts of one question, sorted: what must agree. Read once, then compared with many.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts(Vec<Fact>);

impl Facts {
    /// Reads the facts of `text`.
    pub fn read(text: &str) -> Facts {
        Facts(facts(text))
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The facts in words, as they are compared.
    pub fn words(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|fact| match fact {
                Fact::Number(number, "") => number.clone(),
                Fact::Number(number, unit) => format!("{number} {unit}"),
                Fact::Id(id) => id.clone(),
                Fact::Date(date) => (*date).to_owned(),
            })
            .collect()
    }

    /// Bytes on the heap, about.
    pub fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Fact>() * 2
    }
}

/// Do the two questions differ in a number, id, date or unit?
pub fn differs(one: &str, other: &str) -> bool {
    facts(one) != facts(other)
}

fn facts(text: &str) -> Vec<Fact> {
    let words = words(text);
    let mut facts = Vec::new();
    let mut at = 0;
    while at < words.len() {
        at += take(&words[at..], at.checked_sub(1).map(|before| words[before].as_str()), &mut facts);
    }
    facts.sort_unstable();
    facts
}

/// Reads the fact that begins at `words[0]`, if there is one. Gives how many words it took.
fn take(words: &[String], before: Option<&str>, facts: &mut Vec<Fact>) -> usize {
    let word = words[0].as_str();
    let next = words.get(1).map(String::as_str);
    if let Some((number, suffix)) = number(word) {
        let currency = before.and_then(currency);
        if let Some(unit) = currency.or_else(|| unit(suffix)) {
            facts.push(Fact::Number(number, unit));
            return 1;
        }
        match suffix {
            "" => match next.and_then(unit) {
                Some(unit) => {
                    facts.push(Fact::Number(number, unit));
                    return 2;
                }
                None => facts.push(Fact::Number(number, "")),
            },
            "st" | "nd" | "rd" | "th" | "s" | "x" => facts.push(Fact::Number(number, "")),
            "am" | "pm" => facts.push(Fact::Id(word.to_owned())),
            _ => facts.push(Fact::Id(word.to_owned())),
        }
    } else if word.bytes().any(|byte| byte.is_ascii_digit()) {
        facts.push(Fact::Id(word.to_owned()));
    } else if let Some(number) = spelled(word) {
        match next.and_then(unit) {
            Some(unit) => {
                facts.push(Fact::Number(number.to_owned(), unit));
                return 2;
            }
            None => facts.push(Fact::Number(number.to_owned(), "")),
        }
    } else if let Some(date) = date(word, before, next) {
        facts.push(Fact::Date(date));
    }
    1
}

/// Lower-cased words; inside a word, signs that join digits and letters stay ("3.5", "inv-2041", "10:30", "$").
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for raw in text.split_whitespace() {
        let mut word = String::new();
        let lower = raw.to_lowercase();
        let mut chars = lower.chars().peekable();
        while let Some(c) = chars.next() {
            let joins = matches!(c, '.' | ',' | ':' | '-' | '_' | '/' | '\'')
                && !word.is_empty()
                && chars.peek().is_some_and(|next| next.is_alphanumeric());
            // A plain hyphen between two words parts them; in an id or a range it belongs.
            if c.is_alphanumeric()
                || (joins && (c != '-' || has_digit(&word) || chars.peek().is_some_and(char::is_ascii_digit)))
            {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if matches!(c, '$' | '€' | '£' | '¥' | '%' | '°') {
                words.push(c.to_string());
            } else if matches!(c, '-' | '−') && chars.peek().is_some_and(char::is_ascii_digit) {
                word.push('-');
            }
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

fn has_digit(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

/// Splits "1,000.50kg" into canonical digits and the letters behind. `None` when it is no plain number.
fn number(word: &str) -> Option<(String, &str)> {
    let end = word.find(|c: char| c.is_alphabetic()).unwrap_or(word.len());
    let (digits, suffix) = word.split_at(end);
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) || suffix.bytes().any(|byte| !byte.is_ascii_alphabetic()) {
        return None;
    }
    let plain = without_thousands(unsigned)?;
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut canonical = String::from(if digits.starts_with('-') { "-" } else { "" });
    canonical.push_str(match whole.trim_start_matches('0') {
        "" => "0",
        trimmed => trimmed,
    });
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        canonical.push('.');
        canonical.push_str(fraction);
    }
    Some((canonical, suffix))
}

/// "1,000,000" → "1000000"; `None` when the commas do not part thousands.
fn without_thousands(digits: &str) -> Option<String> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    if !rest.is_empty() && (first.is_empty() || first.len() > 3 || rest.iter().any(|group| group.len() != 3)) {
        return None;
    }
    let mut plain = first.to_owned() + &rest.concat();
    if digits.contains('.') {
        plain.push('.');
        plain.push_str(fraction);
    }
    Some(plain)
}

fn currency(word: &str) -> Option<&'static str> {
    matches!(word, "$" | "€" | "£" | "¥").then(|| unit(word)).flatten()
}

/// One word per unit, whatever way it is written.
fn unit(word: &str) -> Option<&'static str> {
    Some(match word {
        "$" | "usd" | "dollar" | "dollars" | "buck" | "bucks" => "usd",
        "€" | "eur" | "euro" | "euros" => "eur",
        "£" | "gbp" | "pound" | "pounds" | "quid" => "gbp",
        "¥" | "jpy" | "yen" => "jpy",
        "%" | "percent" | "pct" => "percent",
        "°" | "degree" | "degrees" => "degree",
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => "km",
        "m" | "meter" | "meters" | "metre" | "metres" => "m",
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => "cm",
        "mm" | "millimeter" | "millimeters" | "millimetre" | "millimetres" => "mm",
        "mile" | "miles" | "mi" => "mile",
        "foot" | "feet" | "ft" => "foot",
        "inch" | "inches" => "inch",
        "yard" | "yards" | "yd" => "yard",
        "kg" | "kilo" | "kilos" | "kilogram" | "kilograms" => "kg",
        "g" | "gram" | "grams" => "g",
        "mg" | "milligram" | "milligrams" => "mg",
        "lb" | "lbs" => "lb",
        "oz" | "ounce" | "ounces" => "oz",
        "l" | "liter" | "liters" | "litre" | "litres" => "l",
        "ml" | "milliliter" | "milliliters" | "millilitre" | "millilitres" => "ml",
        "cup" | "cups" => "cup",
        "second" | "seconds" | "sec" | "secs" => "second",
        "minute" | "minutes" | "min" | "mins" => "minute",
        "hour" | "hours" | "hr" | "hrs" => "hour",
        "day" | "days" => "day",
        "week" | "weeks" => "week",
        "month" | "months" => "month",
        "year" | "years" | "yr" | "yrs" => "year",
        "kb" | "kilobyte" | "kilobytes" => "kb",
        "mb" | "megabyte" | "megabytes" => "mb",
        "gb" | "gigabyte" | "gigabytes" => "gb",
        "tb" | "terabyte" | "terabytes" => "tb",
        "thousand" | "k" => "thousand",
        "million" | "mln" => "million",
        "billion" | "bn" => "billion",
        _ => return None,
    })
}

/// Numbers in words. "One" is left out: mostly it counts nothing.
fn spelled(word: &str) -> Option<&'static str> {
    Some(match word {
        "zero" => "0",
        "two" | "both" | "twice" => "2",
        "three" | "thrice" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        "eleven" => "11",
        "twelve" | "dozen" => "12",
        "fifteen" => "15",
        "twenty" => "20",
        "thirty" => "30",
        "forty" => "40",
        "fifty" => "50",
        "sixty" => "60",
        "seventy" => "70",
        "eighty" => "80",
        "ninety" => "90",
        "hundred" => "100",
        "thousand" => "1000",
        "million" => "1000000",
        "billion" => "1000000000",
        _ => return None,
    })
}

fn date(word: &str, before: Option<&str>, next: Option<&str>) -> Option<&'static str> {
    let beside_a_day = [before, next].into_iter().flatten().any(|word| number(word).is_some());
    let dated =
        matches!(before, Some("in" | "of" | "on" | "since" | "until" | "by" | "last" | "next" | "this" | "every"));
    Some(match word {
        "january" | "jan" => "january",
        "february" | "feb" => "february",
        // Also a verb, unless it stands like a date.
        "march" if beside_a_day || dated => "march",
        "april" | "apr" => "april",
        "may" if beside_a_day || dated => "may",
        "june" | "jun" => "june",
        "july" | "jul" => "july",
        "august" | "aug" => "august",
        "september" | "sept" | "sep" => "september",
        "october" | "oct" => "october",
        "november" | "nov" => "november",
        "december" | "dec" => "december",
        "monday" | "mondays" => "monday",
        "tuesday" | "tuesdays" => "tuesday",
        "wednesday" | "wednesdays" => "wednesday",
        "thursday" | "thursdays" => "thursday",
        "friday" | "fridays" => "friday",
        "saturday" | "saturdays" => "saturday",
        "sunday" | "sundays" => "sunday",
        "today" | "tonight" => "today",
        "tomorrow" => "tomorrow",
        "yesterday" => "yesterday",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vetoes_what_differs() {
        let table = [
            ("What is 12 * 7?", "What is 12 * 8?"),
            ("Refund order INV-2041", "Refund order INV-2042"),
            ("Is 5 km far?", "Is 5 miles far?"),
            ("Flights on Monday", "Flights on Tuesday"),
            ("Weather on March 5", "Weather on April 5"),
            ("What happened on May 4?", "What happened on June 4?"),
            ("Pay $20", "Pay €20"),
            ("Pay 20 dollars", "Pay 20 euros"),
            ("Python 3.11 features", "Python 3.12 features"),
            ("gpt-4 price", "gpt-4o price"),
            ("Convert 100 USD", "Convert 1,000 USD"),
            ("The second world war", "The world war 2"),
            ("Send two tickets", "Send three tickets"),
            ("Is it -5 degrees?", "Is it 5 degrees?"),
            ("Meet at 10:30", "Meet at 10:45"),
            ("open today", "open tomorrow"),
            ("top 10 songs", "top songs"),
        ];
        for (one, other) in table {
            assert!(differs(one, other) && differs(other, one), "{one} / {other}");
        }
    }

    #[test]
    fn lets_rewordings_pass() {
        let table = [
            ("How much is 1,000 dollars in euros?", "$1000 in euros is how much?"),
            ("Send 2 tickets", "send two tickets please"),
            ("Wait 30 minutes", "wait for 30 min."),
            ("3.50 percent", "3.5%"),
            ("the 5th floor", "floor 5"),
            ("Which one is better?", "Which is better?"),
            ("You may go", "Can you go"),
            ("inv-2041 refund", "refund for INV-2041!"),
            ("A well-known fact", "a well known fact"),
            ("a 5-km run", "a 5-km run?"),
        ];
        for (one, other) in table {
            assert!(!differs(one, other) && !differs(other, one), "{one} / {other}");
        }
    }

    proptest! {
        #[test]
        fn is_symmetric_and_never_vetoes_itself(one in "\\PC{0,40}", other in "\\PC{0,40}") {
            prop_assert!(!differs(&one, &one));
            prop_assert_eq!(differs(&one, &other), differs(&other, &one));
        }

        #[test]
        fn any_other_number_is_vetoed(a in 0u32..1_000_000, b in 0u32..1_000_000) {
            let ask = |n: u32| format!("What is the status of order number {n}?");
            prop_assert_eq!(differs(&ask(a), &ask(b)), a != b);
        }
    }
}
