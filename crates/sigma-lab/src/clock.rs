//! The two timestamp forms of the wire: microseconds with `Z`, nanoseconds with `+00:00`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment since 1970, in UTC.
#[derive(Clone, Copy)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// The time of day. A clock set before 1970 counts as 1970: its figures are worthless anyway.
    pub(crate) fn now() -> Moment {
        Moment(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }

    /// As kept in columns that are compared.
    pub(crate) fn from_micros(micros: i64) -> Moment {
        Moment(Duration::from_micros(
            u64::try_from(micros).unwrap_or_default(),
        ))
    }

    pub(crate) fn as_micros(self) -> i64 {
        i64::try_from(self.0.as_micros()).unwrap_or(i64::MAX)
    }

    /// How long ago the other moment was; zero where the clock was set back since.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// `2026-11-20T11:08:39.008008Z`, as in `created_at`. Sorts as text.
    pub(crate) fn micros(self) -> String {
        format!("{}.{:06}Z", self.date_and_time(), self.0.subsec_micros())
    }

    /// `2026-11-20T11:08:39.201591360+00:00`, as in `last_heartbeat`.
    pub(crate) fn nanos(self) -> String {
        format!(
            "{}.{:09}+00:00",
            self.date_and_time(),
            self.0.subsec_nanos()
        )
    }

    fn date_and_time(self) -> String {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil_date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

/// Days since 1970 → year, month, day. Counts in years that begin on 1 March, so that the leap day
/// is the last day of its year and of its 400-year era.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `date -u -d @SECONDS +%FT%T`.
    #[test]
    fn seconds_become_the_dates_that_date_1_prints() {
        let known = [
            (0, "1970-01-01T00:00:00"),
            (68_169_599, "1972-02-28T23:59:59"),
            (68_169_600, "1972-02-29T00:00:00"),
            (68_256_000, "1972-03-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (1_795_172_919, "2026-11-20T11:08:39"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (4_107_456_000, "2100-02-28T00:00:00"),
            (253_402_300_799, "9999-12-31T23:59:59"),
        ];
        for (seconds, text) in known {
            assert_eq!(Moment(Duration::from_secs(seconds)).date_and_time(), text);
        }
    }

    #[test]
    fn fractions_keep_their_leading_and_trailing_zeros() {
        let moment = Moment(Duration::new(1_795_172_919, 8_008_360));
        assert_eq!(moment.micros(), "2026-11-20T11:08:39.008008Z");
        assert_eq!(moment.nanos(), "2026-11-20T11:08:39.008008360+00:00");
        assert_eq!(
            Moment(Duration::ZERO).nanos(),
            "1970-01-01T00:00:00.000000000+00:00"
        );
    }
}
