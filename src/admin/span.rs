//! Times and lists as the queries of reports tell them.

use crate::types::error::{Error, ErrorKind};
use axum::extract::rejection::QueryRejection;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const DAY_MS: u64 = 86_400_000;

/// What cannot be read of a query.
pub(super) fn refused(rejection: &QueryRejection) -> Error {
    let message = rejection.body_text();
    let why = message.split_once(": ").map_or(message.as_str(), |(_, why)| why);
    Error::new(ErrorKind::InvalidRequest, format!("The query cannot be read: {why}.")).with_code("invalid_query")
}

/// The time zone of this name; UTC where none is named.
pub(super) fn zone(name: Option<&str>) -> Result<TimeZone, Error> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).map_err(|_| {
        let message = "`time_zone` is the name of a time zone, as in `Europe/Berlin` or `UTC` (the names are IANA's).";
        Error::invalid("time_zone", message)
    })
}

/// From when to when, in milliseconds since 1970. Where nothing is said of the end, it is now; of the beginning, so many `days` before it.
pub(super) fn read(
    from: Option<&str>,
    to: Option<&str>,
    zone: &TimeZone,
    (days, now_ms): (u64, u64),
) -> Result<(u64, u64), Error> {
    let to_ms = to.map(|text| moment("to", text, zone)).transpose()?.unwrap_or(now_ms.saturating_add(1));
    let from_ms = from.map(|text| moment("from", text, zone)).transpose()?;
    let from_ms = from_ms.unwrap_or_else(|| to_ms.saturating_sub(days * DAY_MS));
    if from_ms >= to_ms {
        return Err(Error::invalid("to", "`to` is later than `from`."));
    }
    Ok((from_ms, to_ms))
}

/// `2026-11-23`, at midnight in `zone`, or `2026-11-23T10:00:00Z`.
fn moment(param: &'static str, text: &str, zone: &TimeZone) -> Result<u64, Error> {
    // A `+` that nobody escaped comes as a space.
    let text = text.replace(' ', "+");
    let at = match text.parse::<Timestamp>() {
        Ok(at) => Some(at),
        Err(_) => {
            let date = text.parse::<Date>().ok().filter(|_| text.len() == "2026-11-23".len());
            date.and_then(|date| date.to_zoned(zone.clone()).ok()).map(|at| at.timestamp())
        }
    };
    at.and_then(|at| u64::try_from(at.as_millisecond()).ok()).ok_or_else(|| {
        let message = format!(
            "`{param}` is a day or a moment after 1970, as in `2026-11-23` or `2026-11-23T10:00:00Z`; got `{}`.",
            text.chars().take(64).collect::<String>()
        );
        Error::invalid(param, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_of_the_zone() {
        let berlin = zone(Some("Europe/Berlin")).unwrap();
        let at = |text| moment("from", text, &berlin).ok();
        assert_eq!(at("2026-11-23"), at("2026-11-22T23:00:00Z"));
        assert_eq!(at("2026-11-23T10:00:00+01:00"), at("2026-11-23T09:00:00Z"));
        assert_eq!(at("2026-11-23T10:00:00 01:00"), at("2026-11-23T09:00:00Z"));
        assert_eq!((at("1969-01-01"), at("2026-11"), at("now"), at("")), (None, None, None, None));
        assert_eq!(read(None, Some("1970-02-01"), &TimeZone::UTC, (1, 0)).unwrap(), (30 * DAY_MS, 31 * DAY_MS));
    }
}
