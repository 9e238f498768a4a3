//! What no pattern can tell: check digits, numbers that nobody has, and whether text is random.

use std::net::IpAddr;
use std::ops::Range;

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> + Clone + '_ {
    text.chars().filter_map(|c| c.to_digit(10))
}

/// Sum of digits after Luhn, which is divisible by ten.
fn is_luhn(text: &str) -> bool {
    let sum: u32 = digits(text)
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The number of a payment card at the beginning of `found`, which may hold a group of digits too much at its end.
pub(super) fn card(found: &str) -> Option<Range<usize>> {
    let mut end = found.len();
    loop {
        let one = found.get(..end)?;
        if is_card(one) {
            return Some(0..end);
        }
        end = one.rfind([' ', '-'])?;
    }
}

fn is_card(text: &str) -> bool {
    let count = digits(text).count();
    let head: u32 = digits(text).take(4).fold(0, |all, digit| all * 10 + digit);
    let known = match count {
        13 => head / 1000 == 4,
        14 => matches!(head / 100, 36 | 38 | 39) || matches!(head / 10, 300..=305),
        15 => matches!(head / 100, 34 | 37) || matches!(head, 2131 | 1800),
        16 => {
            head / 1000 == 4
                || matches!(head / 100, 51..=55 | 60 | 62 | 64 | 65 | 81)
                || matches!(head, 2221..=2720 | 3528..=3589)
        }
        17..=19 => head / 1000 == 4 || matches!(head / 100, 50 | 56..=69),
        _ => false,
    };
    let mixed = text.contains(' ') && text.contains('-');
    known && !mixed && is_luhn(text)
}

/// Characters of an account number in each country that has some.
const IBANS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 \
                     ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 \
                     LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 OM23 PK24 PL28 PS29 \
                     PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20";

/// The account number at the beginning of `found`, which may go on with other words in capitals.
pub(super) fn iban(found: &str) -> Option<Range<usize>> {
    let country = found.get(..2)?;
    let length: usize = IBANS.split_whitespace().find_map(|one| one.strip_prefix(country)?.parse().ok())?;
    let (last, _) = found.char_indices().filter(|(_, c)| *c != ' ').nth(length - 1)?;
    let end = last + 1;
    if found.get(end..)?.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let number: String = found.get(..end)?.chars().filter(|c| *c != ' ').collect();
    let turned = number.chars().skip(4).chain(number.chars().take(4));
    let rest = turned.filter_map(|c| c.to_digit(36)).fold(0u32, |rest, value| match value {
        0..=9 => (rest * 10 + value) % 97,
        _ => (rest * 100 + value) % 97,
    });
    (rest == 1).then_some(0..end)
}

/// Telephone numbers have from 7 to 15 digits, and separators unless they begin with a plus or two zeros.
pub(super) fn is_phone(found: &str) -> bool {
    let count = digits(found).count();
    let international = found.starts_with('+') || found.starts_with("00");
    if international {
        return (8..=17).contains(&count);
    }
    let groups: Vec<usize> =
        found.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).map(str::len).collect();
    // Dates and amounts have other groups.
    match (found.starts_with('('), found.starts_with('0'), groups.as_slice()) {
        (true, _, [2..=5, rest @ ..]) => !rest.is_empty() && (8..=12).contains(&count),
        (_, true, [3..=5, rest @ ..]) => {
            !rest.is_empty() && rest.iter().all(|one| *one >= 2) && (9..=12).contains(&count)
        }
        (false, false, [3, 3, 4] | [1, 3, 3, 4]) => is_american(found),
        _ => false,
    }
}

/// Areas and exchanges of North America do not begin with 0 or 1.
fn is_american(found: &str) -> bool {
    let all: Vec<u32> = digits(found).collect();
    let number = match all.as_slice() {
        [1, rest @ ..] if rest.len() == 10 => rest,
        rest => rest,
    };
    number.len() == 10 && number[0] >= 2 && number[3] >= 2
}

/// Both separators are the same.
pub(super) fn has_one_separator(found: &str) -> bool {
    let mut signs = found.chars().filter(|c| !c.is_ascii_digit());
    let first = signs.next();
    signs.all(|sign| Some(sign) == first)
}

/// Numbers that are given to people.
pub(super) fn is_ssn(found: &str) -> bool {
    let mut groups = found.split([' ', '-']);
    let (area, group, serial) = (groups.next(), groups.next(), groups.next());
    let area_is_given = area.is_some_and(|area| area != "000" && area != "666" && !area.starts_with('9'));
    has_one_separator(found) && area_is_given && group != Some("00") && serial != Some("0000")
}

/// Prefixes that are given to people.
pub(super) fn is_nino(found: &str) -> bool {
    !["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"].contains(&found.get(..2).unwrap_or_default())
}

/// The last digit is what 11 lacks after the sum of the others, by their places.
pub(super) fn is_nhs_number(found: &str) -> bool {
    let all: Vec<u32> = digits(found).collect();
    let sum: u32 = all.iter().take(9).zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
    let check = (11 - sum % 11) % 11;
    has_one_separator(found) && check != 10 && all.get(9) == Some(&check)
}

/// The letter stands for the number.
pub(super) fn is_dni(found: &str) -> bool {
    const LETTERS: &[u8] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let first = match found.as_bytes().first() {
        Some(b'X') => "0",
        Some(b'Y') => "1",
        Some(b'Z') => "2",
        _ => "",
    };
    let rest: String = found.chars().filter(char::is_ascii_digit).collect();
    let Ok(number) = format!("{first}{rest}").parse::<usize>() else { return false };
    found.as_bytes().last() == LETTERS.get(number % 23)
}

/// The last two digits are what 97 lacks after the others.
pub(super) fn is_nir(found: &str) -> bool {
    let text: String = found.chars().filter(|c| *c != ' ').collect();
    // Corsica, whose letters count as numbers.
    let (text, less) = match text.get(5..7) {
        Some("2A") => (text.replacen("2A", "20", 1), 1_000_000),
        Some("2B") => (text.replacen("2B", "20", 1), 2_000_000),
        _ => (text, 0),
    };
    let (Some(Ok(number)), Some(Ok(key))) =
        (text.get(..13).map(str::parse::<u64>), text.get(13..).map(str::parse::<u64>))
    else {
        return false;
    };
    number > less && 97 - (number - less) % 97 == key
}

/// Both check digits fit.
pub(super) fn is_cpf(found: &str) -> bool {
    let all: Vec<u32> = digits(found).collect();
    let check = |count: usize| {
        let weights = (2..=u32::try_from(count).unwrap_or(9) + 1).rev();
        let sum: u32 = all.iter().take(count).zip(weights).map(|(digit, weight)| digit * weight).sum();
        sum * 10 % 11 % 10
    };
    let same = all.iter().all(|digit| Some(digit) == all.first());
    all.len() == 11 && !same && all[9] == check(9) && all[10] == check(10)
}

/// Verhoeff's sum is zero.
pub(super) fn is_aadhaar(found: &str) -> bool {
    const TIMES: [[usize; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    const TURN: [usize; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let sum = digits(found).rev().enumerate().fold(0, |sum, (at, digit)| {
        let turned = (0..at % 8).fold(digit as usize, |digit, _| TURN[digit]);
        TIMES[sum][turned]
    });
    has_one_separator(found) && sum == 0
}

/// An address that may be somebody's: no address of this host, of nobody or of all.
pub(super) fn is_address(found: &str) -> bool {
    match found.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => !v4.is_loopback() && !v4.is_unspecified() && !v4.is_broadcast(),
        // Names of programs may look like a short one: `dead::beef`.
        Ok(IpAddr::V6(_)) => {
            let groups = found.split(':').filter(|group| !group.is_empty()).count();
            groups >= 3 && found.contains(|c: char| c.is_ascii_digit())
        }
        Err(_) => false,
    }
}

/// A key of a provider, behind what stands right before it. Letters and digits without a word in them, as keys have them.
pub(super) fn provider_key(found: &str) -> Option<Range<usize>> {
    let start = found.find("sk-").filter(|at| *at <= 2).unwrap_or(0);
    let key = found.get(start..)?;
    let body = key.rsplit_once("sk-").map_or(key, |(_, body)| body);
    let count = body.chars().filter(char::is_ascii_digit).count();
    let is_random = count >= 2 && body.chars().any(|c| c.is_ascii_alphabetic()) && entropy(body) >= 3.0;
    is_random.then_some(start..found.len())
}

/// An access key, or the secret behind an assignment.
pub(super) fn aws_key(found: &str) -> Option<Range<usize>> {
    match found.rfind([':', '=', ' ', '"', '\'']) {
        None => Some(0..found.len()),
        Some(at) => {
            let start = at + 1;
            found.get(start..).is_some_and(|value| entropy(value) >= 3.5).then_some(start..found.len())
        }
    }
}

/// The value of an assignment, where it is random.
pub(super) fn assigned(found: &str) -> Option<Range<usize>> {
    let sign = found.find([':', '='])?;
    let rest = found.get(sign..)?;
    let value = rest.trim_start_matches([':', '=', '>', ' ', '\t', '"', '\'', '`']);
    let start = found.len() - value.len();
    let lower = value.to_ascii_lowercase();
    let stands_for_one = [
        "example",
        "your",
        "xxxx",
        "changeme",
        "placeholder",
        "redacted",
        "****",
        "_here",
        "insert",
        "process.env",
        "os.environ",
        "...",
    ];
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let letters = value.chars().filter(char::is_ascii_alphabetic).count();
    let is_secret = value.len() >= 10
        && digits >= 2
        && letters >= 2
        && entropy(value) >= 3.0
        && !stands_for_one.iter().any(|word| lower.contains(word));
    is_secret.then_some(start..found.len())
}

/// Shannon's entropy in bits per byte.
pub(super) fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let all = text.len().max(1) as f64;
    let bits = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = f64::from(*count) / all;
        -share * share.log2()
    });
    bits.sum()
}
