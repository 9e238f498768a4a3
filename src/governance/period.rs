//! `Calendar`: periods as people count them, in a time zone of theirs.

use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, ToSpan, Unit, ZonedRound};

/// How long a period is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Span {
    /// From one full minute to the next.
    Minute,
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday, as ISO 8601 has it.
    Week,
    /// From the first of a month to that of the next.
    Month,
    /// From one 1 January to the next.
    Year,
}

/// Periods in a time zone.
#[derive(Clone, PartialEq, Debug)]
pub struct Calendar {
    /// How long each is.
    pub span: Span,
    /// Whose midnight counts.
    pub zone: TimeZone,
}

impl Calendar {
    /// The period that `now_ms` (since 1970) is in: its first millisecond, and that of the next one. A time that no calendar has is in
    /// a period of its own.
    pub fn period(&self, now_ms: u64) -> (u64, u64) {
        self.try_period(now_ms).unwrap_or((now_ms, now_ms.saturating_add(1)))
    }

    fn try_period(&self, now_ms: u64) -> Option<(u64, u64)> {
        let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?;
        let at = now.to_zoned(self.zone.clone());
        let floor = |unit: Unit| at.round(ZonedRound::new().smallest(unit).mode(RoundMode::Trunc));
        let (from, length) = match self.span {
            Span::Minute => (floor(Unit::Minute).ok()?, 1.minute()),
            // An hour of a zone with half an hour's offset begins when its clocks say so.
            Span::Hour => (floor(Unit::Hour).ok()?, 1.hour()),
            Span::Day => (at.start_of_day().ok()?, 1.day()),
            Span::Week => {
                let monday = i64::from(at.weekday().to_monday_zero_offset());
                (at.checked_sub(monday.days()).ok()?.start_of_day().ok()?, 1.week())
            }
            Span::Month => (at.first_of_month().ok()?.start_of_day().ok()?, 1.month()),
            Span::Year => (at.first_of_year().ok()?.start_of_day().ok()?, 1.year()),
        };
        let to = from.checked_add(length).ok()?;
        let to = match self.span {
            Span::Minute | Span::Hour => to,
            // A day may begin at one in the morning, where clocks are put forward at midnight.
            _ => to.start_of_day().ok()?,
        };
        let ms = |at: Timestamp| u64::try_from(at.as_millisecond()).ok();
        let (from, to) = (ms(from.timestamp())?, ms(to.timestamp())?);
        (from <= now_ms && now_ms < to).then_some((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn periods_are_those_of_the_zone() {
        let table = [
            (Span::Minute, "UTC", "2026-11-22T10:05:33Z", "2026-11-22T10:05:00Z", "2026-11-22T10:06:00Z"),
            (Span::Hour, "UTC", "2026-11-22T10:05:33Z", "2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"),
            // Half an hour's offset.
            (Span::Hour, "Asia/Kolkata", "2026-11-22T10:05:33Z", "2026-11-22T09:30:00Z", "2026-11-22T10:30:00Z"),
            (Span::Day, "America/New_York", "2026-11-22T03:00:00Z", "2026-11-21T05:00:00Z", "2026-11-22T05:00:00Z"),
            // Clocks are put forward, and back: days of 23 and 25 hours.
            (Span::Day, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            (Span::Day, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            // The hour that is there twice is two hours.
            (Span::Hour, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
            (Span::Hour, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
            // A Sunday belongs to the week before.
            (Span::Week, "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Span::Week, "UTC", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            (Span::Month, "UTC", "2028-02-29T10:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Span::Month, "Asia/Tokyo", "2026-12-31T15:00:00Z", "2026-12-31T15:00:00Z", "2027-01-31T15:00:00Z"),
            (Span::Year, "UTC", "2026-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            // Midnight is not there.
            (Span::Day, "Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
        ];
        for (span, zone, at, from, to) in table {
            let calendar = Calendar { span, zone: TimeZone::get(zone).unwrap() };
            assert_eq!(calendar.period(ms(at)), (ms(from), ms(to)), "{span:?} {zone} {at}");
        }
    }

    #[test]
    fn every_moment_is_in_one_period_and_periods_meet() {
        for zone in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo"]
        {
            for span in [Span::Minute, Span::Hour, Span::Day, Span::Week, Span::Month, Span::Year] {
                let calendar = Calendar { span, zone: TimeZone::get(zone).unwrap() };
                let mut at = ms("2025-12-30T00:00:00Z");
                for _ in 0..600 {
                    let (from, to) = calendar.period(at);
                    assert!(from <= at && at < to && to - from > 1, "{zone} {span:?} {at}: {from} {to}");
                    assert_eq!(calendar.period(to - 1), (from, to), "{zone} {span:?} {at}");
                    assert_eq!(calendar.period(to).0, to, "{zone} {span:?} {at}");
                    at = to + (at % 7) * 1000;
                }
            }
        }
        let utc = Calendar { span: Span::Day, zone: TimeZone::UTC };
        assert_eq!(utc.period(u64::MAX), (u64::MAX, u64::MAX));
    }
}
