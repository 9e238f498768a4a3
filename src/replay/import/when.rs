//! Points in time as logs write them → seconds since the Unix epoch.

use serde_json::Value;

/// Seconds since the epoch: from a number of seconds, milliseconds, microseconds or nanoseconds, or from a date and time of ISO 8601.
pub(super) fn seconds(value: &Value) -> Option<f64> {
    let seconds = match value {
        Value::Number(number) => by_size(number.as_f64()?),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => by_size(number),
            Err(_) => date(text.trim())?,
        },
        _ => return None,
    };
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

/// A number this large cannot be seconds: the year would be past 5000.
fn by_size(number: f64) -> f64 {
    if number > 1e17 {
        number / 1e9
    } else if number > 1e14 {
        number / 1e6
    } else if number > 1e11 {
        number / 1e3
    } else {
        number
    }
}

/// `2026-03-01T10:20:30.5+02:00`, with a space for the `T`, and with or without an offset (then UTC).
fn date(text: &str) -> Option<f64> {
    let (day, rest) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let mut parts = day.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    Some(days as f64 * 86_400.0 + time(rest.trim())?)
}

/// Seconds of the day, less the offset.
fn time(text: &str) -> Option<f64> {
    let text = text.strip_suffix("UTC").or_else(|| text.strip_suffix(['Z', 'z'])).unwrap_or(text).trim();
    if text.is_empty() {
        return Some(0.0);
    }
    let at = text.find(['+', '-']).unwrap_or(text.len());
    let (clock, offset) = text.split_at(at);
    let mut parts = clock.trim().split(':');
    let mut next = |most: f64| match parts.next() {
        None => Some(0.0),
        Some(part) => part.parse::<f64>().ok().filter(|value| (0.0..=most).contains(value)),
    };
    let seconds = next(24.0)? * 3600.0 + next(59.0)? * 60.0 + next(61.0)?;
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let shift = match digits.len() {
        0 => 0.0,
        2 | 4 => {
            let hours: f64 = digits[..2].parse().ok()?;
            let minutes: f64 =
                digits.get(2..).filter(|rest| !rest.is_empty()).map_or(Some(0.0), |rest| rest.parse().ok())?;
            hours * 3600.0 + minutes * 60.0
        }
        _ => return None,
    };
    Some(if offset.starts_with('-') { seconds + shift } else { seconds - shift })
}

/// Days from 1970-01-01 to the first of `month`.
fn days_before(year: i64, month: i64) -> i64 {
    // The year begins in March here, so that the leap day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_months = (153 * month + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_of_months - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_the_usual_ways() {
        let table = [
            (json!(1_700_000_000), Some(1_700_000_000.0)),
            (json!(1_700_000_000_500_u64), Some(1_700_000_000.5)),
            (json!(1_700_000_000_500_000_000_u64), Some(1_700_000_000.5)),
            (json!("1700000000.25"), Some(1_700_000_000.25)),
            (json!("1970-01-01T00:00:00Z"), Some(0.0)),
            (json!("2023-11-14T22:13:20Z"), Some(1_700_000_000.0)),
            (json!("2023-11-15 00:13:20.5+02:00"), Some(1_700_000_000.5)),
            (json!("2023-11-14T20:13:20-0200"), Some(1_700_000_000.0)),
            (json!("2024-02-29"), Some(1_709_164_800.0)),
            (json!("2024-13-01"), None),
            (json!("soon"), None),
            (json!(-1), None),
            (json!([1]), None),
        ];
        for (value, expected) in table {
            assert_eq!(seconds(&value), expected, "{value}");
        }
    }
}
