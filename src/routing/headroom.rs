//! `Headroom`: how much a target still takes before it refuses for its rate limits, as it says itself.

use super::Moment;
use super::atomic::{AtomicU64, Ordering};
use http::HeaderMap;
use std::time::Duration;

/// Below this share of a limit a target is asked less, the less is left.
const LITTLE: f64 = 0.1;
/// What a target is given at least that has not refused.
const LEAST: f64 = 0.005;
/// No refusal keeps everybody away for longer.
const LONGEST: Duration = Duration::from_secs(600);
/// All of a limit.
const ALL: f64 = 1_048_575.0;
const AT_BITS: u32 = 44;

/// What is left, and until when that holds. In one word: read and changed without a lock.
#[derive(Debug, Default)]
pub struct Headroom(AtomicU64);

/// What a target's headroom says of a request that would be sent now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Room {
    /// The target should get this share of its weight, in (0, 1].
    Some(f64),
    /// Nothing is left before this moment.
    None(Moment),
}

impl Headroom {
    /// A reply told that `left`, a share in [0, 1], is left of the limit that is nearest, until it is made whole `after`.
    pub fn told(&self, left: f64, after: Duration, now: Moment) {
        // Who is told that nothing is left may be lucky: limits fill up as time passes. A refusal is another thing.
        let word = packed(left.max(LEAST), now.after(after));
        // A refusal knows better than what a reply of before it said.
        let _ = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
            (known >> AT_BITS != 0 || known == 0 || until(known) <= now).then_some(word)
        });
    }

    /// A request was refused for a limit: nothing is left for so long.
    pub fn refused(&self, after: Duration, now: Moment) {
        let word = packed(0.0, now.after(after.min(LONGEST)));
        let _ = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
            (known >> AT_BITS != 0 || until(known) < until(word)).then_some(word)
        });
    }

    /// What is left now.
    pub fn room(&self, now: Moment) -> Room {
        let word = self.0.load(Ordering::Relaxed);
        if word == 0 || until(word) <= now {
            return Room::Some(1.0);
        }
        match (word >> AT_BITS) as f64 / ALL {
            0.0 => Room::None(until(word)),
            left => Room::Some((left / LITTLE).min(1.0)),
        }
    }
}

fn packed(left: f64, until: Moment) -> u64 {
    let share = (left.clamp(0.0, 1.0) * ALL).round() as u64;
    share << AT_BITS | until.ms().clamp(1, (1 << AT_BITS) - 1)
}

fn until(word: u64) -> Moment {
    Moment::from_ms(word & ((1 << AT_BITS) - 1))
}

/// What reply headers say of rate limits: the smallest share that is left of any limit, and when that limit is whole again. The names
/// are OpenAI's (<https://platform.openai.com/docs/guides/rate-limits>), which most others took over, and Anthropic's
/// (<https://docs.anthropic.com/en/api/rate-limits>), whose resets are dates.
pub fn of_headers(headers: &HeaderMap, wall: std::time::SystemTime) -> Option<(f64, Duration)> {
    // Most say nothing of it.
    let tells = |name: &str| name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-");
    if !headers.keys().any(|name| tells(name.as_str())) {
        return None;
    }
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut nearest: Option<(f64, Duration)> = None;
    for what in ["requests", "tokens", "input-tokens", "output-tokens"] {
        for (limit, left, reset) in [
            (
                format!("x-ratelimit-limit-{what}"),
                format!("x-ratelimit-remaining-{what}"),
                format!("x-ratelimit-reset-{what}"),
            ),
            (
                format!("anthropic-ratelimit-{what}-limit"),
                format!("anthropic-ratelimit-{what}-remaining"),
                format!("anthropic-ratelimit-{what}-reset"),
            ),
        ] {
            let number = |name: &str| value(name)?.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
            let (Some(limit), Some(left)) = (number(&limit).filter(|limit| *limit > 0.0), number(&left)) else {
                continue;
            };
            let share = (left / limit).min(1.0);
            let reset = value(&reset).and_then(|text| reset_after(text, wall)).unwrap_or(Duration::from_secs(1));
            if nearest.is_none_or(|(known, _)| share < known) {
                nearest = Some((share, reset.min(Duration::from_secs(600))));
            }
        }
    }
    nearest
}

/// `6m0s`, `1s`, `20ms`, `7.66s`, a number of seconds, or a date of RFC 3339.
fn reset_after(text: &str, wall: std::time::SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    if text.ends_with('Z') && text.contains('T') {
        return date(text)?.duration_since(wall).ok().or(Some(Duration::ZERO));
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// `2026-11-22T10:00:00Z`, by the days of the proleptic Gregorian calendar.
fn date(text: &str) -> Option<std::time::SystemTime> {
    let mut numbers = text.split(['-', 'T', ':', 'Z']).map(|part| part.split('.').next().unwrap_or_default());
    let mut number = || numbers.next()?.parse::<i64>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    let (hour, minute, second) = (number()?, number()?, number()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the leap day is the last.
    let (shifted, of_year) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * of_year + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use std::time::UNIX_EPOCH;

    #[test]
    fn little_room_makes_a_smaller_share() {
        let headroom = Headroom::default();
        let at = Moment::from_ms;
        let second = Duration::from_secs(1);
        assert_eq!(headroom.room(at(0)), Room::Some(1.0));
        headroom.told(0.5, second, at(0));
        assert_eq!(headroom.room(at(1)), Room::Some(1.0));
        headroom.told(0.05, second, at(0));
        assert!(matches!(headroom.room(at(1)), Room::Some(share) if (share - 0.5).abs() < 0.01));
        headroom.refused(second * 2, at(10));
        headroom.refused(second, at(10));
        headroom.told(0.9, second, at(11));
        assert_eq!(headroom.room(at(2009)), Room::None(at(2010)));
        assert_eq!(headroom.room(at(2010)), Room::Some(1.0));
        headroom.told(0.0, second, at(3000));
        assert!(
            matches!(headroom.room(at(3999)), Room::Some(share) if (share - 0.05).abs() < 0.01),
            "it has not refused"
        );
    }

    #[test]
    fn reads_headers() {
        let wall = UNIX_EPOCH + Duration::from_secs(1_795_341_600); // 2026-11-22T10:00:00Z
        let told = |headers: &[(&'static str, &'static str)]| {
            let pairs =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let headers: HeaderMap = pairs.collect();
            of_headers(&headers, wall).map(|(share, reset)| (share, reset.as_millis()))
        };
        let openai = [
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "90"),
            ("x-ratelimit-limit-tokens", "1000"),
            ("x-ratelimit-remaining-tokens", "50"),
            ("x-ratelimit-reset-tokens", "1m6.5s"),
        ];
        assert_eq!(told(&openai), Some((0.05, 66_500)));
        let anthropic = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-22T10:00:30Z"),
        ];
        assert_eq!(told(&anthropic), Some((0.0, 30_000)));
        assert_eq!(told(&[("x-ratelimit-remaining-requests", "1")]), None);
        assert_eq!(told(&[("x-ratelimit-limit-requests", "0"), ("x-ratelimit-remaining-requests", "0")]), None);
        for (text, expected) in
            [("20ms", Some(20)), ("6m0s", Some(360_000)), ("1.5", Some(1500)), ("x", None), ("5q", None)]
        {
            assert_eq!(reset_after(text, wall).map(|reset| reset.as_millis()), expected, "{text}");
        }
        assert_eq!(reset_after("2026-11-22T09:00:00Z", wall), Some(Duration::ZERO));
    }
}
