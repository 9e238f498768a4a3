//! Sizes in bytes, as people write them: `1048576`, `32MiB`, `1.5 GB`.

/// Units and their bytes, the long names first, so that `MiB` is not read as `B`.
const UNITS: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// What [`parse`] understands, for messages.
pub(super) const FORMS: &str = "a number of bytes, or a number with one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB";

/// The bytes that `text` stands for. A fraction is rounded down to whole bytes.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = UNITS
        .iter()
        .find_map(|&(name, bytes)| text.strip_suffix(name).map(|number| (number.trim_end(), bytes)))
        .unwrap_or((text, 1));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.len() <= 20 && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (unit == 1 && number.contains('.')) {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = fraction.parse::<u128>().ok()? * u128::from(unit) / scale;
    u64::try_from(whole.parse::<u128>().ok()? * u128::from(unit) + fraction).ok()
}

/// The shortest way to write `bytes` that [`parse`] reads back as the same number.
pub(super) fn format(bytes: u64) -> String {
    let unit = UNITS.iter().filter(|&&(name, unit)| name != "B" && bytes > 0 && bytes.is_multiple_of(unit));
    match unit.max_by_key(|&&(_, unit)| unit) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_sizes() {
        let cases = [
            ("0", Some(0)),
            ("1048576", Some(1 << 20)),
            ("32MiB", Some(32 << 20)),
            ("32 MiB", Some(32 << 20)),
            ("1.5 GB", Some(1_500_000_000)),
            ("1kB", Some(1000)),
            ("7B", Some(7)),
            ("16777215TiB", Some(18_446_742_974_197_923_840)),
            ("16777216TiB", None),
            ("999999999999999999TB", None),
            ("1.5", None),
            ("1.5B", None),
            ("-1MB", None),
            ("MB", None),
            (".5MB", None),
            ("5.MB", None),
            ("5mb", None),
            ("5 M", None),
            ("1e3MB", None),
            ("", None),
            ("\u{661}MB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(format(1 << 30), "1GiB");
        assert_eq!(format(1500), "1500");
        assert_eq!(format(2000), "2kB");
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(bytes: u64) {
            prop_assert_eq!(parse(&format(bytes)), Some(bytes));
            let round = bytes >> 20 << 20;
            prop_assert_eq!(parse(&format(round)), Some(round));
        }

        #[test]
        fn survives_any_text(text: String) {
            let _ = parse(&text);
        }
    }
}
