//! Seconds since the Unix epoch → a date of the calendar, in UTC.

/// A day has so many seconds.
const DAY_S: u64 = 86_400;

/// A moment, as a clock and a calendar show it in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date {
    /// The year.
    pub year: u64,
    /// The month, from 1.
    pub month: u64,
    /// The day of the month, from 1.
    pub day: u64,
    /// Hours since midnight.
    pub hour: u64,
    /// Minutes of the hour.
    pub minute: u64,
    /// Seconds of the minute.
    pub second: u64,
}

impl Date {
    /// The date of so many seconds since the Unix epoch.
    pub fn of(seconds: u64) -> Date {
        let (days, rest) = (seconds / DAY_S, seconds % DAY_S);
        // Days are counted from the 1st of March of the year 0, in cycles of 400 years: a leap day is then the last of a year.
        let days = days + 719_468;
        let (cycle, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        Date {
            year: cycle * 400 + year + u64::from(month >= 10),
            month: if month < 10 { month + 3 } else { month - 9 },
            day: day - (153 * month + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    /// As RFC 3339 writes it: `2015-08-30T12:36:00Z`.
    pub fn rfc3339(self) -> String {
        let Date { year, month, day, hour, minute, second } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_440_938_160, "2015-08-30T12:36:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(Date::of(seconds).rfc3339(), text);
        }
    }
}
