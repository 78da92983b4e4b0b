//! Moments as RFC 3339 text in UTC, in whole seconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// 9999-12-31T23:59:59Z: RFC 3339 has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Whole seconds since 1970. A clock that shows an earlier time was never set.
pub(crate) fn unix_seconds(moment: SystemTime) -> u64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// `2026-11-20T11:09:12Z`, or nothing for what RFC 3339 cannot say.
pub(crate) fn rfc3339(moment: SystemTime) -> Option<String> {
    let seconds = unix_seconds(moment);
    if seconds > LAST_SECOND {
        return None;
    }
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    ))
}

/// Year, month and day. Counts in years that begin on 1 March, so that the leap day is the last day of its year
/// and of its era of 400 years.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(seconds: u64) -> Option<String> {
        rfc3339(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// `Fri, 20 Nov 2026 11:09:12 GMT`, which another crate wrote, in our order.
    fn rearranged(http_date: &str) -> String {
        let words: Vec<&str> = http_date.split(' ').collect();
        let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
        let month = months.split(' ').position(|name| name == words[2]).unwrap() + 1;
        format!("{}-{month:02}-{}T{}Z", words[3], words[1], words[4])
    }

    #[test]
    fn every_day_of_four_centuries_is_what_another_calendar_says() {
        for day in 0..(2370 - 1970) * 366 {
            let seconds = day * 86_400 + day % 86_400;
            let moment = UNIX_EPOCH + Duration::from_secs(seconds);
            let other = rearranged(&httpdate::fmt_http_date(moment));
            assert_eq!(text(seconds), Some(other));
        }
    }

    /// Expected values from `date -u -d @SECONDS +%FT%TZ`.
    #[test]
    fn the_ends_of_what_can_be_said() {
        assert_eq!(text(0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(text(1_795_172_952).unwrap(), "2026-11-20T11:09:12Z");
        assert_eq!(text(LAST_SECOND).unwrap(), "9999-12-31T23:59:59Z");
        assert_eq!(text(LAST_SECOND + 1), None);
        assert_eq!(
            rfc3339(UNIX_EPOCH - Duration::from_secs(1)).unwrap(),
            "1970-01-01T00:00:00Z"
        );
    }
}
