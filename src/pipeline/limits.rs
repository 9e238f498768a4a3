//! Limits: how much of them is left, in the headers that callers know.
//!
//! - `ratelimit-policy` and `ratelimit`: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
//! - `x-ratelimit-*`: <https://platform.openai.com/docs/guides/rate-limits>
//! - `anthropic-ratelimit-*`: <https://docs.anthropic.com/en/api/rate-limits>, on its own surface

use crate::config::{Measure, Per};
use crate::governance::Standing;
use crate::types::header::{Text, Writer};
use crate::types::surface::Surface;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use std::time::Duration;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// Tells of `standing`, at that time, in place of what a provider told of its own.
pub(super) fn tell(headers: &mut HeaderMap, standing: &[Standing], surface: Surface, now_ms: u64) {
    if standing.is_empty() {
        return;
    }
    let mut told = Writer::new(headers);
    told.set(POLICY, |text| each(standing, text, policy));
    told.set(LEFT, |text| each(standing, text, left));
    for one in standing {
        let Some([most, left, reset]) = names(one.measure, surface) else { continue };
        told.set_number(most, one.most);
        told.set_number(left, one.left);
        told.set(reset, |text| match surface {
            Surface::Messages => at(text, now_ms, one.resets),
            _ => duration(text, one.resets),
        });
    }
}

/// Three names, made as the program is compiled.
macro_rules! names {
    ($($name:expr),+) => {
        const { [$(HeaderName::from_static($name)),+] }
    };
}

macro_rules! openai {
    ($of:literal) => {
        names!(
            concat!("x-ratelimit-limit-", $of),
            concat!("x-ratelimit-remaining-", $of),
            concat!("x-ratelimit-reset-", $of)
        )
    };
}

macro_rules! anthropic {
    ($of:literal) => {
        names!(
            concat!("anthropic-ratelimit-", $of, "-limit"),
            concat!("anthropic-ratelimit-", $of, "-remaining"),
            concat!("anthropic-ratelimit-", $of, "-reset")
        )
    };
}

/// The headers that tell how much there is, how much of that is left, and when it is whole again. `None`: the vendor has none.
fn names(measure: Measure, surface: Surface) -> Option<[HeaderName; 3]> {
    Some(match (surface, measure) {
        (Surface::Messages, Measure::Requests) => anthropic!("requests"),
        (Surface::Messages, Measure::Tokens) => anthropic!("tokens"),
        (Surface::Messages, Measure::InputTokens) => anthropic!("input-tokens"),
        (Surface::Messages, Measure::OutputTokens) => anthropic!("output-tokens"),
        (_, Measure::Requests) => openai!("requests"),
        (_, Measure::Tokens) => openai!("tokens"),
        _ => return None,
    })
}

/// A list with one item for each limit.
fn each<'t>(standing: &[Standing], list: &'t mut Text, write: impl Fn(&Standing, &mut Text)) -> &'t mut Text {
    for (at, one) in standing.iter().enumerate() {
        list.text(if at == 0 { "\"" } else { ", \"" }).text(one.measure.as_str());
        write(one, list);
    }
    list
}

fn policy(one: &Standing, text: &mut Text) {
    text.text("\";q=").number(one.most);
    if let Some(seconds) = seconds(one.per) {
        text.text(";w=").number(seconds);
    }
}

fn left(one: &Standing, text: &mut Text) {
    let resets = one.resets.as_secs() + u64::from(one.resets.subsec_nanos() > 0);
    text.text("\";r=").number(one.left).text(";t=").number(resets);
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
fn at(text: &mut Text, now_ms: u64, after: Duration) -> &mut Text {
    let ms = u128::from(now_ms) + after.as_millis();
    let second = i64::try_from(ms.div_ceil(1_000)).ok().and_then(|second| Timestamp::from_second(second).ok());
    match second {
        Some(second) => text.display(second),
        None => text,
    }
}

/// A time as OpenAI writes it: `20ms`, `1s`, `6m0s`, `2h0m5s`.
fn duration(text: &mut Text, time: Duration) -> &mut Text {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if ms < 1_000 {
        return text.number(ms).text("ms");
    }
    let seconds = ms.div_ceil(1_000);
    if seconds >= 3_600 {
        text.number(seconds / 3_600).text("h");
    }
    if seconds >= 60 {
        text.number(seconds / 60 % 60).text("m");
    }
    text.number(seconds % 60).text("s")
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
        let told = |surface| {
            let mut headers = HeaderMap::new();
            tell(&mut headers, &both, surface, 1_700_000_000_000);
            headers
        };
        let find = |all: &HeaderMap, name: &str| all.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let openai = told(Surface::ChatCompletions);
        assert_eq!(find(&openai, "ratelimit-policy"), "\"requests\";q=60;w=60, \"input_tokens\";q=500;w=60");
        assert_eq!(find(&openai, "ratelimit"), "\"requests\";r=59;t=1, \"input_tokens\";r=20;t=361");
        assert_eq!(find(&openai, "x-ratelimit-remaining-requests"), "59");
        assert_eq!(find(&openai, "x-ratelimit-reset-requests"), "1s");
        assert!(!openai.keys().any(|name| name.as_str().contains("input")), "OpenAI has no such header");
        let anthropic = told(Surface::Messages);
        assert_eq!(find(&anthropic, "anthropic-ratelimit-input-tokens-remaining"), "20");
        assert_eq!(find(&anthropic, "anthropic-ratelimit-requests-reset"), "2023-11-14T22:13:21Z");
        assert!(!anthropic.keys().any(|name| name.as_str().starts_with("x-ratelimit")));
        let mut none = HeaderMap::new();
        tell(&mut none, &[], Surface::Messages, 0);
        assert!(none.is_empty());
    }

    #[test]
    fn durations_are_written_as_openai_does() {
        for (ms, text) in
            [(0, "0ms"), (20, "20ms"), (1_000, "1s"), (1_001, "2s"), (360_000, "6m0s"), (7_205_000, "2h0m5s")]
        {
            let mut headers = HeaderMap::new();
            Writer::new(&mut headers).set(LEFT, |text| duration(text, Duration::from_millis(ms)));
            assert_eq!(headers[LEFT], text);
        }
    }
}
