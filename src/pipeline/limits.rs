//! Limits: how much of them is left, in the headers that callers know.
//!
//! - `ratelimit-policy` and `ratelimit`: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
//! - `x-ratelimit-*`: <https://platform.openai.com/docs/guides/rate-limits>
//! - `anthropic-ratelimit-*`: <https://docs.anthropic.com/en/api/rate-limits>, on its own surface

use crate::config::{Measure, Per};
use crate::governance::Standing;
use crate::types::surface::Surface;
use jiff::Timestamp;
use std::fmt::Write;
use std::time::Duration;

/// The headers that tell of `standing`, at that time.
pub(super) fn headers(standing: &[Standing], surface: Surface, now_ms: u64) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    if standing.is_empty() {
        return headers;
    }
    headers.reserve(2 + 3 * standing.len());
    let (mut policy, mut left) = (String::with_capacity(64), String::with_capacity(64));
    for one in standing {
        let (comma, measure) = (if policy.is_empty() { "" } else { ", " }, one.measure.as_str());
        // Writing to a string cannot fail.
        let _ = write!(policy, "{comma}\"{measure}\";q={}", one.most);
        if let Some(seconds) = seconds(one.per) {
            let _ = write!(policy, ";w={seconds}");
        }
        let resets = one.resets.as_secs() + u64::from(one.resets.subsec_nanos() > 0);
        let _ = write!(left, "{comma}\"{measure}\";r={};t={resets}", one.left);
    }
    headers.push(("ratelimit-policy".to_owned(), policy));
    headers.push(("ratelimit".to_owned(), left));
    for one in standing {
        if surface == Surface::Messages {
            let name = one.measure.as_str().replace('_', "-");
            headers.push((format!("anthropic-ratelimit-{name}-limit"), one.most.to_string()));
            headers.push((format!("anthropic-ratelimit-{name}-remaining"), one.left.to_string()));
            headers.push((format!("anthropic-ratelimit-{name}-reset"), at(now_ms, one.resets)));
        } else if matches!(one.measure, Measure::Requests | Measure::Tokens) {
            let name = one.measure.as_str();
            headers.push((format!("x-ratelimit-limit-{name}"), one.most.to_string()));
            headers.push((format!("x-ratelimit-remaining-{name}"), one.left.to_string()));
            headers.push((format!("x-ratelimit-reset-{name}"), duration(one.resets)));
        }
    }
    headers
}

/// How long a window is.
fn seconds(per: Per) -> Option<u64> {
    Some(match per {
        Per::Minute => 60,
        Per::Hour => 3_600,
        Per::Day => 86_400,
        Per::Week => 7 * 86_400,
        Per::Month => 30 * 86_400,
        Per::Year => 365 * 86_400,
        Per::Ever => return None,
    })
}

/// A time as RFC 3339 has it, in whole seconds.
fn at(now_ms: u64, after: Duration) -> String {
    let ms = u128::from(now_ms) + after.as_millis();
    let second = i64::try_from(ms.div_ceil(1_000)).ok().and_then(|second| Timestamp::from_second(second).ok());
    second.map(|second| second.to_string()).unwrap_or_default()
}

/// A time as OpenAI writes it: `20ms`, `1s`, `6m0s`, `2h0m5s`.
fn duration(time: Duration) -> String {
    let ms = time.as_millis();
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let seconds = ms.div_ceil(1_000);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vendor_is_told_in_its_own_words() {
        let standing = |measure, most, left, resets_ms| Standing {
            measure,
            per: Per::Minute,
            most,
            left,
            resets: Duration::from_millis(resets_ms),
        };
        let both = [standing(Measure::Requests, 60, 59, 1_000), standing(Measure::InputTokens, 500, 20, 360_001)];
        let told = |surface| headers(&both, surface, 1_700_000_000_000);
        let find = |all: &[(String, String)], name: &str| {
            all.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let openai = told(Surface::ChatCompletions);
        assert_eq!(find(&openai, "ratelimit-policy"), "\"requests\";q=60;w=60, \"input_tokens\";q=500;w=60");
        assert_eq!(find(&openai, "ratelimit"), "\"requests\";r=59;t=1, \"input_tokens\";r=20;t=361");
        assert_eq!(find(&openai, "x-ratelimit-remaining-requests"), "59");
        assert_eq!(find(&openai, "x-ratelimit-reset-requests"), "1s");
        assert!(!openai.iter().any(|(name, _)| name.contains("input")), "OpenAI has no such header");
        let anthropic = told(Surface::Messages);
        assert_eq!(find(&anthropic, "anthropic-ratelimit-input-tokens-remaining"), "20");
        assert_eq!(find(&anthropic, "anthropic-ratelimit-requests-reset"), "2023-11-14T22:13:21Z");
        assert!(!anthropic.iter().any(|(name, _)| name.starts_with("x-ratelimit")));
        assert!(headers(&[], Surface::Messages, 0).is_empty());
    }

    #[test]
    fn durations_are_written_as_openai_does() {
        for (ms, text) in
            [(0, "0ms"), (20, "20ms"), (1_000, "1s"), (1_001, "2s"), (360_000, "6m0s"), (7_205_000, "2h0m5s")]
        {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
