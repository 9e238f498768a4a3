//! The two forms of dates that AWS has: `20150830T123600Z` to sign with, `2015-08-30T12:36:00Z` in its replies.

use crate::wire::date::Date;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;

/// A date as it is signed.
pub(super) fn compact(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let Date { year, month, day, hour, minute, second } = Date::of(seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A date of a reply; fractions of a second do not count. It is always in UTC.
pub(super) fn parsed(text: &str) -> Option<SystemTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if marks.iter().any(|(at, mark)| text.get(*at..at + 1) != Some(*mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let month = if month > 2 { month - 3 } else { month + 9 };
    let (cycle, of_cycle) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = (cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year).checked_sub(719_468)?;
    let seconds = days * DAY_S + number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let table = [
            (0, "19700101T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(compact(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
        for wrong in ["", "2015-08-30", "2015/08/30T12:36:00Z", "2015-13-30T12:36:00Z", "2015-08-30T1é:36:00Z"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn both_forms_agree(seconds in 0u64..7_000_000_000) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            let c = compact(time);
            let long = format!("{}-{}-{}T{}:{}:{}Z", &c[..4], &c[4..6], &c[6..8], &c[9..11], &c[11..13], &c[13..15]);
            prop_assert_eq!(parsed(&long), Some(time));
        }
    }
}
